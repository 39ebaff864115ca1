"""What the page about the app's health shows, from what was found."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from sync_core.admin.dead_letters import ListedDeadLetter
from sync_core.admin.health.findings import HealthLine
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.http.console.views.health import KINDS, checks_view, letters_view, pauses_notice, replayed_notice
from sync_core.messaging.messages import Change, Request
from tests.builders import NOON


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


def line(name: str, ok: bool) -> HealthLine:
    return HealthLine(name=name, ok=ok, detail="found", remedy="" if ok else "do this")


def test_the_checks_that_failed_are_apart_in_their_order() -> None:
    lines = [line("a", True), line("b", False), line("c", True), line("d", False)]
    view = checks_view(lines)
    assert [each.name for each in view.failed] == ["b", "d"]
    assert [each.name for each in view.passed] == ["a", "c"]


def test_every_kind_of_message_has_words() -> None:
    kinds = {each.__dataclass_fields__["kind"].default for each in (*get_args(Request), *get_args(Change))}
    assert set(KINDS) == kinds
    assert all(words[0].isupper() and "-" not in words for words in KINDS.values())


def test_ten_thousand_dead_letters_are_counted_and_shown_50_to_a_page() -> None:
    letters = [letter(number) for number in range(10_000)]
    view = letters_view(letters, 2)
    assert [each.number for each in view.letters.rows] == list(range(50, 100))
    assert view.letters.total == 10_000
    assert view.waiting == {"sync-requests": 0, "class-changes": 10_000, "urgent-changes": 0}
    assert letters_view(letters, 999).letters.number == 200


@pytest.mark.parametrize(
    ("replayed", "text"),
    [
        (None, ""),
        (1, "1 message was put back on the queues."),
        (1_200, "1,200 messages were put back on the queues."),
        (0, "No message was replayed: none was left."),
    ],
)
def test_the_page_says_how_many_messages_a_form_has_replayed(replayed: int | None, text: str) -> None:
    assert replayed_notice(replayed) == text


@pytest.mark.parametrize(
    ("paused", "resumed", "text"),
    [
        (None, None, ""),
        (2, None, "2 schools were paused."),
        (0, None, "No school was paused: all were paused already."),
        (None, 1, "1 school was resumed."),
        (None, 0, "No school was resumed: none was paused for this reason."),
    ],
)
def test_the_page_says_how_many_schools_a_form_has_paused_or_resumed(
    paused: int | None, resumed: int | None, text: str
) -> None:
    assert pauses_notice(paused, resumed) == text
