"""What the page about the app's health shows, from what was found."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sync_core.admin.dead_letters import ListedDeadLetter
from sync_core.admin.health.findings import Finding, HealthLine
from sync_core.admin.health.operations import Operations
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.school import SchoolSettings
from sync_core.http.console.views.health import Pause, checks_view, notice, operations_view
from tests.builders import NOON, settings

AWAY = Finding("no answer within 15 s", "check the network")


def letter(number: int) -> ListedDeadLetter:
    return ListedDeadLetter(
        queue="class-changes",
        number=number,
        kind="owners",
        school=SchoolId("S1"),
        key=ClassKey("K"),
        run=RunId("R"),
        at=NOON + timedelta(minutes=number),
        deliveries=10,
        reason="why",
        remedy="what helps",
    )


def school(id_: str, reason: str | None = None) -> SchoolSettings:
    return replace(settings(), school=SchoolId(id_), enabled=reason is None, pause_reason=reason or "")


def line(name: str, ok: bool) -> HealthLine:
    return HealthLine(name=name, ok=ok, detail="found", remedy="" if ok else "do this")


def test_the_checks_that_failed_are_apart_in_their_order() -> None:
    lines = [line("a", True), line("b", False), line("c", True), line("d", False)]
    view = checks_view(lines)
    assert [each.name for each in view.failed] == ["b", "d"]
    assert [each.name for each in view.passed] == ["a", "c"]


def test_ten_thousand_dead_letters_are_counted_and_shown_50_to_a_page_newest_first() -> None:
    found = Operations(schools=(), letters=tuple(letter(number) for number in range(10_000)))
    view = operations_view(found, 2)
    assert [each.number for each in view.letters.rows] == list(range(9_949, 9_899, -1))
    assert view.letters.total == 10_000
    assert view.waiting == {"sync-requests": 0, "class-changes": 10_000, "urgent-changes": 0}
    assert operations_view(found, 999).letters.number == 200


def test_paused_schools_are_grouped_by_reason_the_most_schools_first() -> None:
    schools = (school("D"), school("A", "move"), school("C", "outage"), school("B", "outage"), school("E", ""))
    view = operations_view(Operations(schools=schools, letters=()), 1)
    assert view.synced == 1
    assert view.pauses == (
        Pause(reason="outage", schools=(SchoolId("B"), SchoolId("C"))),
        Pause(reason="", schools=(SchoolId("E"),)),
        Pause(reason="move", schools=(SchoolId("A"),)),
    )


def test_what_cannot_be_read_is_said_and_the_rest_is_shown() -> None:
    view = operations_view(Operations(schools=(school("A"),), letters=AWAY), 1)
    assert (view.letters_fault, view.schools_fault, view.synced, view.letters.total) == (AWAY, None, 1, 0)
    view = operations_view(Operations(schools=AWAY, letters=AWAY), 1)
    assert (view.letters_fault, view.schools_fault, view.synced) == (AWAY, AWAY, 0)


@pytest.mark.parametrize(
    ("done", "text"),
    [
        ((None, None, None), ""),
        ((1, None, None), "1 message was put back on the queues."),
        ((1_200, None, None), "1,200 messages were put back on the queues."),
        ((0, None, None), "No message was replayed: none was left."),
        ((None, 2, None), "2 schools were paused."),
        ((None, 0, None), "No school was paused: all were paused already."),
        ((None, None, 1), "1 school was resumed."),
        ((None, None, 0), "No school was resumed: none was paused for this reason."),
    ],
)
def test_the_page_says_what_a_form_has_done(done: tuple[int | None, int | None, int | None], text: str) -> None:
    assert notice(*done) == text
