"""The groups of a school as the MIS has them at this moment, each with the class that follows it, or none."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core.domain.classes import ClassRecord
from sync_core.domain.roster import MisGroup
from sync_core.domain.school import SchoolSettings
from sync_core.mis.port import MisSource
from sync_core.planning.class_keys import class_key, class_keys
from sync_core.planning.membership import extracted_groups
from sync_core.state.port import StateStore


@dataclass(frozen=True, slots=True)
class GroupState:
    """`not_extracted` groups cannot become classes, because of the school's MIS."""

    key: str
    group: MisGroup
    record: ClassRecord | None
    not_extracted: bool


async def read_groups(settings: SchoolSettings, mis: MisSource, state: StateStore) -> tuple[GroupState, ...]:
    """In order of type and name. Raises SnapshotRejected."""
    snapshot = await mis.snapshot(settings)
    records = {record.key: record for record in await state.class_records(settings.school)}
    followed = class_keys(extracted_groups(snapshot, settings), records, settings.rollover)
    listed = [GroupState(key, group, records.get(key), False) for key, group in followed.items()]
    extracted = {group.id for group in followed.values()}
    listed += [
        GroupState(class_key(group), group, None, True) for group in snapshot.groups if group.id not in extracted
    ]
    return tuple(sorted(listed, key=lambda found: (found.group.type, found.group.name, found.key)))
