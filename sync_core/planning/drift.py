"""What somebody changed in Microsoft 365, as far as the groups delta contradicts the class rows."""

from __future__ import annotations

from collections.abc import Iterable, Set

from sync_core.domain.classes import ClassRecord, DesiredClass, Drift, GroupChange, GroupChanges
from sync_core.messaging.messages import Change, ChangeMembers
from sync_core.planning.diff import Origin


def find_drift(records: Iterable[ClassRecord], changes: GroupChanges) -> tuple[Drift, ...]:
    """The rows that the groups delta contradicts, each once.

    A group is ours by id or, while its id is not on the row yet, by the nickname it is being created with. Echoes of
    our own writes agree with `actual` and are no drift. Only what the delta says for certain marks a class gone; one
    that a full delta lacks may be gone, or too young to be listed: it is marked stale, and apply finds out.
    """
    said = {change.id: change for change in changes.groups}
    by_nickname = {change.nickname.lower(): change for change in changes.groups if change.nickname and not change.gone}
    drifts: list[Drift] = []
    for record in records:
        if record.actual is None:
            created = by_nickname.get(record.intent.lower()) if record.intent else None
            if created and not record.stale and _foreign_touch(record.desired, created):
                drifts.append(Drift(record.key, stale=True))
            continue
        change = said.get(record.actual.class_id)
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


def drift_changes(drifts: Iterable[Drift], left_alone: Set[str], origin: Origin) -> tuple[Change, ...]:
    """The changes that put stale classes right at once, without waiting for their school's plan.

    Those that ended or are pinned only stay marked: should they follow the MIS again, they are read first.
    """
    return tuple(
        ChangeMembers(origin.tenant, origin.school, drift.key, origin.run, origin.cause)
        for drift in drifts
        if drift.stale and drift.key not in left_alone
    )


def _foreign_touch(desired: DesiredClass, change: GroupChange) -> bool:
    return bool(change.members_added - desired.members or change.members_removed or change.owners_removed)


def _contradicts(record: ClassRecord, change: GroupChange, full: bool) -> bool:
    """Only what agrees with `actual` and `desired` is an echo: an apply may be on its way from one to the other.

    No removal of an owner is an echo; and if he was one by hand, his membership, tolerated so far, is a stray.
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
