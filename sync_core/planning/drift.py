"""Drift: changes by hand in Microsoft 365, found where the groups delta contradicts the class rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from zlib import crc32

from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.tenant_groups import Drift, GroupChange, GroupChanges
from sync_core.domain.ids import ClassKey
from sync_core.messaging.messages import Change, ChangeMembers
from sync_core.planning.diff import Origin

SAMPLES = 7
"""In as many nights every class is read once, where the delta does not tell members."""


def delta_tells_members(records: Iterable[ClassRecord], changes: GroupChanges) -> bool | None:
    """Whether the delta shows members of our classes; None where that cannot be seen.

    It should show some of each class that has any: if it is full, and if it has the owners whom the sync granted, who
    become members too.
    """
    by_id = {change.id: change for change in changes.groups if not change.gone}
    silent = False
    for record in records:
        actual, change = record.actual, by_id.get(record.actual.class_id) if record.actual else None
        if actual and change and (change.members_added or change.members_removed):
            return True
        silent |= bool(actual and change and actual.members and (changes.full or change.owners_added & actual.owners))
    return False if silent else None


def sample(records: Iterable[ClassRecord], day: int) -> Sequence[ClassRecord]:
    """The classes to read on `day`, a count of days: each has its place in a round of SAMPLES days."""
    return [record for record in records if crc32(record.key.encode()) % SAMPLES == day % SAMPLES]


def with_stale(drifts: Iterable[Drift], untold: Iterable[ClassRecord]) -> tuple[Drift, ...]:
    """The drifts, and one for each class of `untold` that none of them is about: a read shows how it is."""
    found = {drift.key: drift for drift in drifts}
    there = (record.key for record in untold if record.actual and not record.gone)
    return tuple({**{key: Drift(key, stale=True) for key in there}, **found}.values())


def find_drift(records: Iterable[ClassRecord], changes: GroupChanges, *, tells_members: bool) -> tuple[Drift, ...]:
    """Return one Drift for each row that the groups delta contradicts.

    Where the delta does not tell members, a class without any in it is not empty.

    A group belongs to a row by its id or, until the row has the id, by the nickname of the create under way. Echoes of
    our own writes agree with `actual` and are not drift. Only a deletion in the delta marks a class gone, and stale
    until it was looked up. A class missing from a full delta may be gone or too new to be listed: it is marked stale,
    and apply finds out.
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
                drifts.append(Drift(record.key, stale=True, gone=True))
        elif record.gone:
            drifts.append(Drift(record.key, stale=True, gone=False))
        elif _contradicts(record, change, owners_listed=changes.full, members_listed=changes.full and tells_members):
            drifts.append(Drift(record.key, stale=True))
    return tuple(drifts)


def to_look_up(records: Iterable[ClassRecord], drifts: Iterable[Drift]) -> tuple[ClassKey, ...]:
    """The classes that are marked gone and were not looked up since, once the `drifts` are written.

    A refresh that lost its lock may mark a class after a newer one has seen it restored, and die then.
    """
    marks = {drift.key: drift.gone for drift in drifts if drift.gone is not None}
    return tuple(
        record.key for record in records if record.actual and marks.get(record.key, record.gone and record.stale)
    )


def drift_changes(drifts: Iterable[Drift], left_alone: Set[ClassKey], origin: Origin) -> tuple[Change, ...]:
    """The changes that correct stale classes at once, without waiting for the school's plan.

    Classes in `left_alone` (ended or pinned) only stay marked: if they follow the MIS again, apply reads them first.
    """
    return tuple(
        ChangeMembers(school=origin.school, key=drift.key, run=origin.run, cause=origin.cause)
        for drift in drifts
        if drift.stale and not drift.gone and drift.key not in left_alone
    )


def _contradicts(record: ClassRecord, change: GroupChange, *, owners_listed: bool, members_listed: bool) -> bool:
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
        or (members_listed and members - change.members_added)
        or (owners_listed and owners - change.owners_added)
    )
