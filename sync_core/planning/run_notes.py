"""What the notes of a run say about its classes and people, and which classes wait for somebody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date

from sync_core.domain.classes.desired import ClassRequest, DesiredClass, Pin
from sync_core.domain.classes.record import Records
from sync_core.domain.ids import AccountId, ClassKey, plain_id
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import LONGEST_SHOWN, one_line
from sync_core.planning.naming.names import is_numbered

_LISTED = 10
"""The most ids that one note names."""

_NOTES = {
    "ownerless": (
        "classes that are to have no owner: {count} ({ids}) — name an admin in admin_owners in the school's settings, "
        "or give teaching groups a teacher with an account; no teacher owns the class of a year or registration group"
    ),
    "numbered": (
        "classes with a number in their address, because another group has the plain one: {count} ({ids}) — see in "
        "Microsoft 365 whether that group is a class of the same people; it is not if it belongs to another MIS group "
        "with a similar name"
    ),
    "pins_differ": (
        "pinned classes that differ from the MIS: {count} ({ids}) — release a pin when its class should follow the MIS "
        "again"
    ),
    "teams_waiting": (
        "teams that are not made, because their class has no owner: {count} ({ids}) — name an admin in admin_owners in "
        "the school's settings, or give the group a teacher; the next night makes the team"
    ),
    "teams_failed": (
        "teams that could not be made or filled when that was last tried: {count} ({ids}) — the page of each class "
        "says why; this run tries again"
    ),
    "ended": (
        "classes whose group has left the MIS: {count} ({ids}) — they keep their people and are not synced; if a group "
        "should still exist, correct the MIS"
    ),
    "people_ambiguous": (
        "people in doubt, because several accounts match them or an account matches several of them: {count} (by MIS "
        "id: {ids}) — correct the accounts or the MIS; until then they stay in their classes and join no other"
    ),
}
"""The sentence of each field of a run that has one."""

_OWNERS = 100
"""The most owners of a Microsoft 365 group (Graph: "Microsoft 365 groups service limits")."""

_TEAMS = 1_000
"""The most teams that one person can be in ("Limits and specifications for Microsoft Teams")."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Fields of a run: class keys."""

    ownerless: tuple[ClassKey, ...]
    numbered: tuple[ClassKey, ...]
    pins_differ: tuple[ClassKey, ...]


def observe(
    wanted: Sequence[DesiredClass],
    overruled: Iterable[DesiredClass],
    pins: Mapping[ClassKey, Pin],
    records: Records,
) -> Observed:
    """Look at the `wanted` classes, of which those in `pins` are as the pins keep them, not as `overruled` has them."""
    existing = [desired for desired in wanted if not desired.deleted and not _gone(desired, records)]
    return Observed(
        ownerless=tuple(desired.key for desired in existing if not desired.owners and not _granted(desired, records)),
        numbered=tuple(desired.key for desired in existing if _numbered(desired, records)),
        pins_differ=tuple(
            ruled.key
            for ruled in overruled
            if not _gone(ruled, records)
            and (pins[ruled.key].members | pins[ruled.key].owners, pins[ruled.key].owners)
            != (ruled.members, ruled.owners)
        ),
    )


def notes_of(run: RunRecord) -> tuple[str, ...]:
    """A note on each kind of class or person in the run that an admin should look at."""
    listed = {name: getattr(run, name) for name in _NOTES}
    return tuple(_NOTES[name].format(count=len(ids), ids=name_some(ids)) for name, ids in listed.items() if ids)


def note_on_undecided(keys: Set[ClassKey]) -> tuple[str, ...]:
    """A note on the new classes of groups that might continue earlier classes, but not as the only choice."""
    if not keys:
        return ()
    return (
        f"new classes of groups that might continue earlier classes, but are not the only choice: {len(keys)} "
        f"({name_some(sorted(keys))}) — none is taken for another, and the earlier classes keep their people; what a "
        "group still needs of its earlier class can be copied from there",
    )


def note_on_retired(keys: Set[ClassKey]) -> tuple[str, ...]:
    """A note on the classes whose year an admin ended, although the MIS has their groups."""
    if not keys:
        return ()
    return (
        f"classes whose year an admin ended, and whose groups the MIS still has: {len(keys)} "
        f"({name_some(sorted(keys))}) — no sync changes them; take the year end of a class back if it should "
        "follow the MIS again",
    )


def expired_classes(records: Records, requests: Mapping[ClassKey, ClassRequest], today: date) -> tuple[ClassKey, ...]:
    """Classes kept beyond the requested date, or the end of their year. They are only reported, never deleted."""
    until = {key: request.required_until for key, request in requests.items()}
    ends = {key: record.desired.year_end for key, record in records.items() if record.desired.retired}
    until |= {key: ending.kept_until for key, ending in ends.items() if ending}
    return tuple(
        key for key, day in sorted(until.items()) if day and day < today and key in records and not records[key].gone
    )


def name_some(ids: Sequence[str]) -> str:
    """The first ten ids, and how many more there are."""
    more = len(ids) - _LISTED
    named = ", ".join(one_line(plain_id(id_), LONGEST_SHOWN) for id_ in ids[:_LISTED])
    return named + (f" and {more} more" if more > 0 else "")


def _gone(desired: DesiredClass, records: Records) -> bool:
    record = records.get(desired.key)
    return record is not None and record.gone and desired.generation <= record.generation


def _granted(desired: DesiredClass, records: Records) -> bool:
    """Whether the sync made somebody an owner of the class, who stays one."""
    record = records.get(desired.key)
    return record is not None and record.actual is not None and not desired.revoke and bool(record.actual.granted)


def _numbered(desired: DesiredClass, records: Records) -> bool:
    record = records.get(desired.key)
    name = record.actual.name if record and record.actual else desired.name
    return is_numbered(name.mail_nickname, desired.group_name, desired.group_type)


def notes_on_graph_limits(
    classes: Iterable[DesiredClass], records: Records, admins: Mapping[AccountId, int]
) -> Iterable[str]:
    """What Microsoft 365 will refuse, said before it does: owners of one class, and classes of one admin owner."""
    for desired in classes:
        if len(desired.owners) > _OWNERS:
            yield (
                f"class {desired.key} would have {len(desired.owners)} owners, and Microsoft 365 allows {_OWNERS}: it "
                "refuses the others — choose fewer admin owners or, in the school's settings, the main teacher alone"
            )
    kept = [record.desired for key, record in records.items() if record.actual and not record.gone]
    all_classes = {desired.key: desired for desired in (*kept, *classes)}.values()
    for admin, number in sorted(admins.items(), key=lambda item: item[1]):
        owned = sum(admin in desired.owners for desired in all_classes)
        if owned > _TEAMS:
            yield (
                f"admin owner number {number} of the settings would own {owned} classes, and a person can be in "
                f"{_TEAMS:,} teams — choose another admin owner for classes from now on"
            )


def notes_on_feed(
    snapshot: Snapshot, extracted: Sequence[MisGroup], settings: SchoolSettings, groups: Iterable[MisGroup]
) -> list[str]:
    """What is noticed in a snapshot, of which these groups can be classes, and `groups` are planned."""
    notes = _note_of_left_out(snapshot)
    notes += [
        f"{group.type} group {plain_id(group.id)} is empty, so its class has no students — "
        "put people into the group in the MIS, or end the group there"
        for group in groups
        if not group.students and not group.teachers
    ]
    if not settings.name_identifier and not snapshot.school.dfe_code:
        instead = "the school's name" if snapshot.school.name else "none"
        notes.append(
            f"the feed has no DfE code for the school, so its class names have {instead} — "
            "set name_identifier, or have the MIS export the code; names of classes never change later"
        )
    if left_out := len(snapshot.groups) - len(extracted):
        notes.append(
            f"{left_out} teaching groups were left out: teaching groups are not extracted from ScholarPack — "
            "correct mis in the school's settings if the school has another MIS"
        )
    return notes


def _note_of_left_out(snapshot: Snapshot) -> list[str]:
    if not (left_out := sum(count.left_out for count in snapshot.counts)):
        return []
    return [
        f"{left_out} rows of the feed were left out, and nobody left a class because of them — "
        f"GET /api/admin/schools/{snapshot.school.id}/left-out lists them; correct them in the MIS"
    ]
