"""The class of each group: its own, or last year's where the school reuses classes in a new academic year."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import quote

from sync_core.domain.classes import ClassRecord, ClassState, Records
from sync_core.domain.ids import ClassKey
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.school import Rollover

_LONGEST_KEY = 80
_EXTERNAL_ID = re.compile(rf".+\|[0-9]+\.({'|'.join(GroupType)})\..+")


def class_key(group: MisGroup) -> ClassKey:
    """The key of a class within its school: academic year, type and MIS id, so that a new year creates a new class.

    It is a table row key and part of a Service Bus session id (at most 128 characters). So it has only URL-safe
    characters, and a digest replaces the end of a long id.
    """
    key = f"{group.academic_year}.{group.type}.{quote(group.id, safe='')}".replace("%", "!")
    if len(key) > _LONGEST_KEY:
        key = f"{key[: _LONGEST_KEY - 17]}!{sha256(key.encode()).hexdigest()[:16]}"
    return ClassKey(key)


def is_own_external_id(external_id: str) -> bool:
    """Whether a class has the externalId that this app gives to the classes of any school: `school|class key`."""
    return _EXTERNAL_ID.fullmatch(external_id) is not None


def class_keys(groups: Iterable[MisGroup], records: Records, rollover: Rollover) -> dict[ClassKey, MisGroup]:
    """Return the groups by the key of their class; the order of `groups` does not matter.

    A group keeps its existing class. Otherwise it gets a new class, unless the school reuses classes and an earlier
    year has a class of the same type whose group is no longer in the MIS. A group with the same MIS id is preferred to
    one with the same name, and a later year to an earlier one.
    """
    ordered = sorted(groups, key=class_key)
    existing = {
        (record.desired.group_type, record.desired.academic_year, record.desired.group_id): key
        for key, record in records.items()
    }
    keys = {existing.get((group.type, group.academic_year, group.id)) or class_key(group): group for group in ordered}
    if rollover is Rollover.NEW:
        return keys
    free = [
        record
        for key, record in sorted(records.items(), key=lambda item: (-item[1].desired.academic_year, item[0]))
        if key not in keys and record.state not in (ClassState.GONE, ClassState.DELETING, ClassState.DELETED)
    ]
    new = [group for key, group in keys.items() if key not in records]
    reused: dict[ClassKey, MisGroup] = {}
    for by_id in (True, False):
        for group in new:
            if group in reused.values():
                continue
            matches = (record.key for record in free if record.key not in reused and _continues(group, record, by_id))
            if (key := next(matches, None)) is not None:
                reused[key] = group
    replaced = {class_key(group) for group in reused.values()}
    return {key: group for key, group in keys.items() if key not in replaced} | reused


def _continues(group: MisGroup, record: ClassRecord, by_id: bool) -> bool:
    """Whether the group may be that of the earlier class, by its MIS id or by its name."""
    earlier = record.desired
    same = earlier.group_id == group.id if by_id else earlier.group_name == group.name
    return same and earlier.group_type is group.type and earlier.academic_year < group.academic_year
