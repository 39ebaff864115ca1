"""Runs in the words of a page: what started them, how they ended, and what they changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sync_core.admin.overview.runs import RunDetails
from sync_core.admin.overview.schools import Light, Sign
from sync_core.admin.undo import AppliedChange
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId, ClassKey
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.http.console.views.runs.moves import MovedClass, moves_of, rule_text

CAUSES = {
    Cause.NIGHTLY: "Night",
    Cause.WEBHOOK: "Webhook event",
    Cause.FILE_DROP: "File drop",
    Cause.ADMIN: "Request",
}
OUTCOMES = {
    RunOutcome.REQUESTED: Sign(light=Light.WAITS, text="under way"),
    RunOutcome.PLANNED: Sign(light=Light.GOOD, text="planned"),
    RunOutcome.REJECTED: Sign(light=Light.BAD, text="feed rejected"),
    RunOutcome.PAUSED: Sign(light=Light.WAITS, text="paused"),
    RunOutcome.BLOCKED: Sign(light=Light.BAD, text="permission missing"),
    RunOutcome.REFUSED: Sign(light=Light.BAD, text="refused"),
}
_ACTIONS = {
    "apply": "Apply a plan",
    "undo": "Undo a run",
    "approve": "Approve a hold",
    "reject": "Reject a hold",
    "release": "Release pins",
    "end-year": "End the year of classes",
    "take-back-year-end": "Take a year end back",
    "delete": "Delete class",
    "restore": "Restore class",
}


def started_by(run: RunRecord) -> str:
    """What started a run: `Night`, or the request of an admin, such as `Apply a plan`.

    A class that is created, and classes that are resynced, are a sync of them alone, which its plan tells.
    """
    if run.cause is not Cause.ADMIN:
        return CAUSES[run.cause]
    kind = run.action.partition(" ")[0]
    sync = "Sync" if run.whole or run.outcome is not RunOutcome.PLANNED else "Sync of some classes"
    return _ACTIONS.get(kind, run.action or sync)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run in a table: what started it, who asked for it, and how it ended."""

    run: RunRecord
    what: str
    who: str
    sign: Sign


def run_row(run: RunRecord, names: Mapping[AccountId, str], about: str = "") -> RunRow:
    """`names` are those of the people who requested runs. `about` is the class that it was requested for."""
    what = started_by(run) + (f": {about}" if about else "")
    sign = OUTCOMES[run.outcome]
    if run.outcome is RunOutcome.REQUESTED and run.scheduled_for:
        sign = Sign(light=Light.WAITS, text=f"approved for {run.scheduled_for:%d %b %Y %H:%M} UTC")
    return RunRow(run=run, what=what, who=names.get(run.requested_by, ""), sign=sign)


def changed_classes(details: RunDetails) -> tuple[MovedClass, ...]:
    """What the run changed in each class of the page, as it was applied."""
    return tuple(_moved(key, details.records.get(key), _of(key, details.changes)) for key in details.keys.items)


def _of(key: ClassKey, changes: Iterable[AppliedChange]) -> list[AppliedDelta]:
    return [each.change for each in changes if each.key == key]


def _moved(key: ClassKey, record: ClassRecord | None, deltas: list[AppliedDelta]) -> MovedClass:
    texts = (
        ("adopted", "Taken for the group"),
        ("deleted", "Deleted"),
        ("restored", "Restored"),
        ("renamed", "Renamed"),
        ("team_made", "Team requested"),
        ("team_opened", "Team activated"),
        ("team_archived", "Team archived"),
        ("team_unarchived", "Team restored from the archive"),
    )
    name = (record.actual or record.desired).name.display_name if record else ""
    reasons = {person: reason for delta in deltas for person, reason in delta.reasons.items()}
    why = {person: rule_text(reason) for person, reason in reasons.items()}
    moves = moves_of(
        _people(deltas, "members_added"),
        _people(deltas, "members_removed"),
        _people(deltas, "owners_granted"),
        _people(deltas, "owners_revoked"),
        why,
    )
    return MovedClass(
        key=key,
        title=(record.desired.group_name if record else "") or name or key,
        name=name,
        new=any(delta.created for delta in deltas),
        tags=tuple(text for attribute, text in texts if any(getattr(delta, attribute) for delta in deltas)),
        moves=moves,
    )


def _people(deltas: Iterable[AppliedDelta], attribute: str) -> frozenset[AccountId]:
    return frozenset().union(*(getattr(delta, attribute) for delta in deltas))
