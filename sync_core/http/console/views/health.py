"""What the page about the app's health shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sync_core.admin.dead_letters import ListedDeadLetter
from sync_core.admin.health.findings import HealthLine
from sync_core.http.console import formats
from sync_core.http.console.paging import Paged, page_of
from sync_core.messaging.messages import QUEUES


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksView:
    """The lines of a health check, those that need somebody first."""

    failed: tuple[HealthLine, ...]
    passed: tuple[HealthLine, ...]


def checks_view(lines: Iterable[HealthLine]) -> ChecksView:
    listed = tuple(lines)
    return ChecksView(
        failed=tuple(line for line in listed if not line.ok), passed=tuple(line for line in listed if line.ok)
    )


KINDS: Mapping[str, str] = {
    "refresh-tenant": "Compare a tenant",
    "sync-school": "Sync a school",
    "sync-webhook-events": "Sync after webhook events",
    "act-on-class": "Action on a class",
    "decide-hold": "Decide a hold",
    "apply-plan": "Apply a plan",
    "undo-run": "Undo a run",
    "end-year": "End the year of classes",
    "take-back-year-end": "Take a year end back",
    "create-class": "Create class",
    "grant-owners": "Add owners",
    "change-members": "Change members",
    "revoke-owners": "Remove owners",
    "delete-class": "Delete class",
    "restore-class": "Restore class",
    "change-team": "Change team",
    "change-for-year-end": "Year end of a class",
}
"""What a message is to do, by its kind. A message that cannot be read has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LettersView:
    """`waiting` is the number of dead letters of each queue."""

    letters: Paged[ListedDeadLetter]
    waiting: Mapping[str, int]


def letters_view(letters: Sequence[ListedDeadLetter], page: int) -> LettersView:
    return LettersView(
        letters=page_of(letters, page, "/health/dead-letters"),
        waiting={queue: sum(letter.queue == queue for letter in letters) for queue in QUEUES},
    )


def replayed_notice(replayed: int | None) -> str:
    """What the form that led here has done, or nothing."""
    if replayed is None:
        return ""
    messages = formats.count(replayed, "message was", "messages were")
    return f"{messages} put back on the queues." if replayed else "No message was replayed: none was left."


def pauses_notice(paused: int | None, resumed: int | None) -> str:
    """What the form that led here has done, or nothing."""
    if paused is not None:
        schools = formats.count(paused, "school was", "schools were")
        return f"{schools} paused." if paused else "No school was paused: all were paused already."
    if resumed is not None:
        schools = formats.count(resumed, "school was", "schools were")
        return f"{schools} resumed." if resumed else "No school was resumed: none was paused for this reason."
    return ""
