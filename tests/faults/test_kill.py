"""kill -9 of the host at every step from the timer to the last table row.

A step is an effect that outlives the host: a write to Graph or to a table (killed before it, or before its response),
and a message that is sent or settled. Between two steps it makes no difference at which read the host dies.
"""

from __future__ import annotations

from collections.abc import Callable, Set

import pytest

from local.nightly import Counts, count
from tests.faults.conftest import FaultyWorld
from tests.faults.gates import Call, Fault, Rule
from tests.flow.trust import upn

pytestmark = pytest.mark.usefixtures("record_faults")

BEFORE, AFTER, SETTLED = "before a write", "after a write, before its response", "after a message was sent or settled"


PLANNING = {f"tables PUT /devstoreaccount1/{table}()" for table in ("tenants", "schools", "runs")}
"""Writes that every night does, whatever has changed."""


def steps_of_a_night(faulty_world: FaultyWorld, skipped_shapes: Set[str]) -> list[tuple[int, str]]:
    """Watch one night. Return the numbers of the requests at which to kill the host, each with how."""
    steps: list[tuple[int, str]] = []
    counts: list[Counts] = []

    def watch(call: Call) -> Fault | None:
        return Fault("", before=lambda: record(call))

    def record(call: Call) -> None:
        queues = count(faulty_world.trust.addresses)
        if counts and counts[-1].queues != queues.queues:
            steps.append((call.number, SETTLED))
        counts.append(queues)
        if call.method != "GET" and call.shape not in skipped_shapes:
            steps.extend([(call.number, BEFORE), (call.number, AFTER)])

    faulty_world.run_night(watch)
    return steps


def kill_at(faulty_world: FaultyWorld, step: int, how: str) -> bool:
    """Run a night and kill the host at request number `step`. False if the night ended before that request."""

    def rule_with(kill: Callable[[], None]) -> Rule:
        fault = Fault(f"kill -9 of the host {how}", reaches_server=how is AFTER, status=0, after=kill)
        return lambda call: fault if call.number == step else None

    return faulty_world.run_night_with_kill(rule_with)


def kill_at_every_step(
    faulty_world: FaultyWorld, change: Callable[[], object], skipped_shapes: Set[str] = frozenset()
) -> int:
    """Kill the host at each step, in a night of its own with a change. Returns the kills: nights differ slightly."""
    change()
    kills = 0
    for step, how in steps_of_a_night(faulty_world, skipped_shapes):
        change()
        kills += kill_at(faulty_world, step, how)
        assert faulty_world.find_errors() == [], f"killed at request {step}, {how}"
    assert faulty_world.settle_and_find_errors() == []
    return kills


def test_a_kill_at_any_step_of_a_creation_loses_nothing(faulty_world: FaultyWorld) -> None:
    assert kill_at_every_step(faulty_world, faulty_world.new_class) >= 24


def test_a_kill_at_any_step_of_a_resync_of_hand_edits_loses_nothing(faulty_world: FaultyWorld) -> None:
    def edit() -> None:
        faulty_world.trust.edit_by_hand("add-member", nickname, upn=upn("p9"))
        faulty_world.trust.edit_by_hand("remove-member", nickname, upn=upn("p0"))
        faulty_world.trust.edit_by_hand("remove-owner", nickname, upn=upn("main"))

    nickname = "Art.class.1234567.2026"
    assert kill_at_every_step(faulty_world, edit, PLANNING) >= 10
