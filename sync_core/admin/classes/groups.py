"""The groups of a school as the MIS has them now, each with its class, or none."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import date, datetime

from sync_core.domain.classes.choices import Follow
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import NotFound
from sync_core.planning.membership import extracted_groups, identifier_of
from sync_core.planning.naming.class_keys import class_key, class_keys
from sync_core.planning.naming.names import assign_names
from sync_core.planning.year.calendar import school_day
from sync_core.services import Services


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group with its class, or None. `not_extracted`: the school's MIS does not allow it to become a class.

    `made_from` is the day of the school's calendar before which it gets no class, None if it may get one now.
    """

    key: ClassKey
    group: MisGroup
    record: ClassRecord | None
    not_extracted: bool
    made_from: date | None


@dataclass(frozen=True, slots=True)
class NewClassPreview:
    """A group, and the name that its class gets if it is created now.

    If a group of Microsoft 365 has the mail nickname, the class gets the next number: `5L-2.class…` after `5L.class…`.
    """

    group: GroupState
    name: ClassName


async def read_groups(settings: SchoolSettings, services: Services) -> tuple[GroupState, ...]:
    """All groups of the school, sorted by type and name. Raises SnapshotRejected."""
    snapshot = await services.mis.snapshot(settings)
    records, over = await _records(settings.school, services), await _over(settings, services)
    return _states(snapshot, records, settings, over, services.clock.now())


async def preview_classes(
    settings: SchoolSettings, keys: Iterable[ClassKey], services: Services
) -> tuple[NewClassPreview, ...]:
    """The groups with these keys as they would become classes. Writes nothing. Raises NotFound, SnapshotRejected."""
    snapshot = await services.mis.snapshot(settings)
    records = await _records(settings.school, services)
    states = _states(snapshot, records, settings, await _over(settings, services), services.clock.now())
    found = {key: existing_group(settings.school, key, states) for key in keys}
    known = {key: record.desired.name for key, record in records.items()}
    groups = {key: state.group for key, state in found.items()}
    names = assign_names(groups, identifier_of(snapshot.school, settings), known)
    return tuple(NewClassPreview(state, names[key]) for key, state in found.items())


def existing_group(school: SchoolId, key: ClassKey, groups: Iterable[GroupState]) -> GroupState:
    """The group whose class has that key. Raises NotFound."""
    found = next((group for group in groups if group.key == key), None)
    if found is None:
        raise NotFound(f"school {school} has no group {key} in the MIS", "list the school's groups to see their keys")
    return found


async def _over(settings: SchoolSettings, services: Services) -> Set[ClassKey]:
    """The classes that an admin ended, which no group continues."""
    return (await services.classes.choices(settings.school)).following(Follow.ENDED)


def _states(
    snapshot: Snapshot, records: Records, settings: SchoolSettings, over: Set[ClassKey], now: datetime
) -> tuple[GroupState, ...]:
    day = school_day(settings, now)
    followed = class_keys(extracted_groups(snapshot, settings), records, settings.rollover, over)
    states = [
        GroupState(key, group, records.get(key), False, day.made_from(group.academic_year))
        for key, group in followed.items()
    ]
    extracted = {group.id for group in followed.values()}
    states += [
        GroupState(class_key(group), group, None, True, None) for group in snapshot.groups if group.id not in extracted
    ]
    return tuple(sorted(states, key=lambda state: (state.group.type, state.group.name, state.key)))


async def _records(school: SchoolId, services: Services) -> Records:
    return {record.key: record for record in await services.classes.class_records(school)}
