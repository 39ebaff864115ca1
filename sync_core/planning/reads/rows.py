"""Reads the rows of classes: all of a school, or those of the groups that a plan names."""

from __future__ import annotations

from collections.abc import Iterable

from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.membership import extracted_groups
from sync_core.planning.naming.class_keys import class_key
from sync_core.state.port import ClassReader

_MOST_GROUPS = 50
"""The rows of so many groups are read one by one. With more, a list of all rows takes less time."""


def needs_all_rows(request: SyncSchool) -> bool:
    """Whether the request alone tells that its plan reads the rows of all classes of the school.

    That is so if it names people, whose earlier groups only these rows tell, or too many groups.
    """
    return request.scope is None or bool(request.people) or len(request.scope) > _MOST_GROUPS


async def rows_of_groups(
    request: SyncSchool, snapshot: Snapshot, settings: SchoolSettings, reader: ClassReader
) -> Records | None:
    """The rows of the groups that the request names, if no other row can change what is planned for these groups.

    None if a group is not in the MIS or has no class of its own: a new class needs a name that no other has, and may
    continue another one. A class of an earlier year that a group goes on with is not looked for.
    """
    named = frozenset(request.scope or ())
    groups = [group for group in extracted_groups(snapshot, settings) if group.id in named]
    if {group.id for group in groups} != named:
        return None
    rows: list[ClassRecord] = []
    for group in groups:
        row = await reader.class_record(settings.school, class_key(group))
        if row is None or not _is_of(row, group):
            return None
        rows.append(row)
    records = records_of_tenant(settings, rows)
    return records if len(records) == len(groups) else None


def _is_of(row: ClassRecord, group: MisGroup) -> bool:
    of_row = (row.desired.group_type, row.desired.academic_year, row.desired.group_id)
    return of_row == (group.type, group.academic_year, group.id)


async def records_in(settings: SchoolSettings, reader: ClassReader) -> Records:
    return records_of_tenant(settings, await reader.class_records(settings.school))


def records_of_tenant(settings: SchoolSettings, records: Iterable[ClassRecord]) -> Records:
    """The rows of the school's classes in its tenant.

    After a school has moved to another tenant, its groups have no class there until they are planned: the people of
    their rows have no accounts there, and the classes in the other tenant stay as they are.
    """
    return {record.key: record for record in records if record.desired.tenant == settings.tenant}
