"""What to write and what to send so that the classes become what the rules want; and what in Microsoft 365 drifted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from sync_core.events import (
    LISTED_PEOPLE,
    Cause,
    Change,
    ChangeMembers,
    CreateClass,
    DeleteClass,
    GrantOwners,
    RevokeOwners,
)
from sync_core.model import ClassRecord, DesiredClass, Drift, GroupChange, GroupChanges


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks for a change: what every message of one run carries."""

    tenant: str
    school: str
    run: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Plan:
    """`writes` go to the rows before `changes` go to the queue. The rest are class keys, for the record of the run."""

    writes: tuple[DesiredClass, ...]
    changes: tuple[Change, ...]
    created: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    gone: tuple[str, ...]
    ended: tuple[str, ...]


def make_plan(
    wanted: Iterable[DesiredClass], ended: Iterable[DesiredClass], known: Mapping[str, ClassRecord], origin: Origin
) -> Plan:
    """Subtract what is known from what is wanted.

    A change is sent when desired and actual differ (the MIS changed, or something earlier was lost, failed or is under
    way: repeating is harmless) and when the row is stale. Those that `ended` are marked and nothing is sent. Classes
    that are in neither are not touched; one that is gone is left alone until an admin wants it again.
    """
    over = tuple(ended)
    writes: list[DesiredClass] = list(over)
    changes: list[Change] = []
    created: list[str] = []
    changed: list[str] = []
    gone: list[str] = []
    unchanged = 0
    for desired in wanted:
        record = known.get(desired.key)
        if desired.deleted and record is not None:
            if not record.gone:
                changes.append(DeleteClass(origin.tenant, origin.school, desired.key, origin.run, origin.cause))
            continue
        if record is not None and record.gone and desired.life <= record.life:
            gone.append(desired.key)
            continue
        if record is None or record.desired != desired:
            writes.append(desired)
        wanted_changes = _changes(desired, record, origin)
        changes.extend(wanted_changes)
        if record is None or record.actual is None or record.gone:
            created.append(desired.key)
        elif wanted_changes:
            changed.append(desired.key)
        else:
            unchanged += 1
    return Plan(
        tuple(writes),
        tuple(changes),
        tuple(created),
        tuple(changed),
        unchanged,
        tuple(gone),
        tuple(desired.key for desired in over),
    )


def _changes(desired: DesiredClass, record: ClassRecord | None, origin: Origin) -> list[Change]:
    actual = record.actual if record and not record.gone else None
    owners = actual.owners if actual else frozenset()
    members = (actual.members if actual else None) or frozenset()
    where = (origin.tenant, origin.school, desired.key, origin.run, origin.cause)
    changes: list[Change] = []
    if actual is None:
        changes.append(CreateClass(*where))
    if missing := desired.owners - owners:
        changes.append(GrantOwners(*where, owners=_listed(missing)))
    departed = actual.granted - desired.owners if actual and desired.revoke else frozenset()
    if departed:
        changes.append(RevokeOwners(*where, owners=_listed(departed)))
    if departed or members != desired.members or (record is not None and record.stale):
        changes.append(
            ChangeMembers(*where, added=_listed(desired.members - members), removed=_listed(members - desired.members))
        )
    return changes


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


def drift_changes(drifts: Iterable[Drift], ended: Set[str], origin: Origin) -> tuple[Change, ...]:
    """The changes that put stale classes right at once, without waiting for their school's plan.

    Those that `ended` only stay marked: should their group come back to the MIS, they are read first.
    """
    return tuple(
        ChangeMembers(origin.tenant, origin.school, drift.key, origin.run, origin.cause)
        for drift in drifts
        if drift.stale and drift.key not in ended
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


def _listed(people: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(people)[:LISTED_PEOPLE])
