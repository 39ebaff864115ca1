"""What the page about the app's health shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sync_core.admin.dead_letters import ListedDeadLetter
from sync_core.admin.health.findings import Finding, HealthLine
from sync_core.admin.health.operations import Operations
from sync_core.admin.health.pauses import synced
from sync_core.domain.ids import SchoolId
from sync_core.domain.school import SchoolSettings
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Schools that are paused for one reason, which is empty if nobody gave one."""

    reason: str
    schools: tuple[SchoolId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsView:
    """`waiting` is the number of dead letters of each queue. `letters_fault`: why they, or schools, are not known."""

    letters: Paged[ListedDeadLetter]
    waiting: Mapping[str, int]
    letters_fault: Finding | None
    synced: int
    pauses: tuple[Pause, ...]
    schools_fault: Finding | None


def operations_view(found: Operations, page: int) -> OperationsView:
    letters = () if isinstance(found.letters, Finding) else found.letters
    schools = () if isinstance(found.schools, Finding) else found.schools
    newest_first = sorted(letters, key=lambda letter: (letter.at, letter.queue, letter.number), reverse=True)
    return OperationsView(
        letters=page_of(newest_first, page, "/health"),
        waiting={queue: sum(letter.queue == queue for letter in letters) for queue in QUEUES},
        letters_fault=found.letters if isinstance(found.letters, Finding) else None,
        synced=len(synced(schools)),
        pauses=_pauses(schools),
        schools_fault=found.schools if isinstance(found.schools, Finding) else None,
    )


def _pauses(schools: Sequence[SchoolSettings]) -> tuple[Pause, ...]:
    """Most schools first."""
    by_reason: dict[str, list[SchoolId]] = {}
    for school in schools:
        if not school.enabled:
            by_reason.setdefault(school.pause_reason, []).append(school.school)
    pauses = (Pause(reason=reason, schools=tuple(sorted(ids))) for reason, ids in by_reason.items())
    return tuple(sorted(pauses, key=lambda pause: (-len(pause.schools), pause.reason)))


def notice(replayed: int | None, paused: int | None, resumed: int | None) -> str:
    """What the form that led here has done, or nothing."""
    if replayed is not None:
        messages = formats.count(replayed, "message was", "messages were")
        return f"{messages} put back on the queues." if replayed else "No message was replayed: none was left."
    if paused is not None:
        schools = formats.count(paused, "school was", "schools were")
        return f"{schools} paused." if paused else "No school was paused: all were paused already."
    if resumed is not None:
        schools = formats.count(resumed, "school was", "schools were")
        return f"{schools} resumed." if resumed else "No school was resumed: none was paused for this reason."
    return ""
