"""Drift: changes by hand in Microsoft 365, found where the groups delta contradicts the class rows."""

from __future__ import annotations

from collections.abc import Iterable, Set

from sync_core.domain.classes import ClassRecord, Drift, GroupChange, GroupChanges
from sync_core.domain.ids import ClassKey
from sync_core.messaging.messages import Change, ChangeMembers
from sync_core.planning.diff import Origin


def find_drift(records: Iterable[ClassRecord], changes: GroupChanges) -> tuple[Drift, ...]:
    """Return one Drift for each row that the groups delta contradicts.

    A group belongs to a row by its id or, until the row has the id, by the nickname of the create under way. Echoes of
    our own writes agree with `actual` and are not drift. Only a deletion in the delta marks a class gone. A class
    missing from a full delta may be gone or too new to be listed: it is marked stale, and apply finds out.
    """
    by_id = {change.id: change for change in changes.groups}
    by_nickname = {change.nickname.lower(): change for change in changes.groups if change.nickname and not change.gone}
    drifts: list[Drift] = []
    for record in records:
        if record.actual is None:
            created = by_nickname.get(record.intent.lower()) if record.intent else None
            if created and not record.stale:
                strangers = created.members_added - record.desired.members
                if strangers or created.members_removed or created.owners_removed:
                    drifts.append(Drift(record.key, stale=True))
            continue
        change = by_id.get(record.actual.class_id)
        if change is None:
            if changes.full and not record.gone:
                drifts.append(Drift(record.key, stale=True))
        elif change.gone:
            if not record.gone:
                drifts.append(Drift(record.key, gone=True))
        elif record.gone:
            drifts.append(Drift(record.key, stale=True, gone=False))
        elif _contradicts(record, change, changes.full):
            drifts.append(Drift(record.key, stale=True))
    return tuple(drifts)


def drift_changes(drifts: Iterable[Drift], left_alone: Set[ClassKey], origin: Origin) -> tuple[Change, ...]:
    """The changes that correct stale classes at once, without waiting for the school's plan.

    Classes in `left_alone` (ended or pinned) only stay marked: if they follow the MIS again, apply reads them first.
    """
    return tuple(
        ChangeMembers(tenant=origin.tenant, school=origin.school, key=drift.key, run=origin.run, cause=origin.cause)
        for drift in drifts
        if drift.stale and drift.key not in left_alone
    )


def _contradicts(record: ClassRecord, change: GroupChange, full: bool) -> bool:
    """Whether the change is not an echo, which agrees with `actual` and `desired`, as apply may be between the two.

    No removal of an owner is an echo. If the owner was added by hand, their membership, tolerated so far, is a stray.
    """
    assert record.actual is not None
    members = record.actual.members or frozenset()
    owners = record.actual.owners
    return bool(
        change.members_added - (members & record.desired.members)
        or change.members_removed & (members | record.desired.members)
        or change.owners_removed
        or (full and (members - change.members_added or owners - change.owners_added))
    )
