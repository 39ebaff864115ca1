"""kill -9 of the host at every step from the timer to the last table row.

A step is whatever outlives the host: a write to Graph or to a table, which it may not live to see answered, and a
message sent or settled. Between two of them it is all the same at which of its reads it dies.
"""

from __future__ import annotations

from collections.abc import Callable, Set

import pytest

from local.nightly import Counts, count
from tests.faults.conftest import Afflicted
from tests.faults.gates import Call, Deed, Rule
from tests.flow.trust import upn

pytestmark = pytest.mark.usefixtures("tell")

BEFORE, AFTER, SAID = "before a write", "after a write, before its answer", "after a message was sent or settled"


PLANNING = {f"tables PUT /devstoreaccount1/{table}()" for table in ("tenants", "schools", "runs")}
"""Writes of every night, whatever has changed."""


def steps_of_a_night(afflicted: Afflicted, passed_over: Set[str]) -> list[tuple[int, str]]:
    """The requests of a night, by number, at which to die, and how: found by watching one."""
    steps: list[tuple[int, str]] = []
    said: list[Counts] = []

    def watch(call: Call) -> Deed | None:
        return Deed("", first=lambda: look(call))

    def look(call: Call) -> None:
        queues = count(afflicted.trust.addresses)
        if said and said[-1].queues != queues.queues:
            steps.append((call.number, SAID))
        said.append(queues)
        if call.method != "GET" and call.shape not in passed_over:
            steps.extend([(call.number, BEFORE), (call.number, AFTER)])

    afflicted.night(watch)
    return steps


def die(afflicted: Afflicted, step: int, how: str) -> bool:
    """A night in which the host dies at its request number `step`, and what follows; False if it ends before."""

    def rule_with(kill: Callable[[], None]) -> Rule:
        deed = Deed(f"kill -9 of the host {how}", work=how is AFTER, status=0, then=kill)
        return lambda call: deed if call.number == step else None

    return afflicted.deadly_night(rule_with)


def die_at_every_step(afflicted: Afflicted, change: Callable[[], object], passed_over: Set[str] = frozenset()) -> int:
    """Each in a night of its own, with a change to make. Returns how often it died: nights are not quite the same."""
    change()
    deaths = 0
    for step, how in steps_of_a_night(afflicted, passed_over):
        change()
        deaths += die(afflicted, step, how)
        assert afflicted.wrong() == [], f"killed at request {step}, {how}"
    assert afflicted.settled() == []
    return deaths


def test_at_every_step_of_a_class_that_is_made(afflicted: Afflicted) -> None:
    assert die_at_every_step(afflicted, afflicted.new_class) >= 24


def test_at_every_step_of_a_class_that_was_changed_by_hand(afflicted: Afflicted) -> None:
    def edit() -> None:
        afflicted.trust.by_hand("add-member", nickname, upn=upn("p9"))
        afflicted.trust.by_hand("remove-member", nickname, upn=upn("p0"))
        afflicted.trust.by_hand("remove-owner", nickname, upn=upn("main"))

    nickname = "Art.class.1234567.2026"
    assert die_at_every_step(afflicted, edit, PLANNING) >= 10
