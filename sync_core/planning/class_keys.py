"""Which class follows a group: its own, or in a new academic year, where the school reuses classes, last year's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import quote

from sync_core.domain.classes import ClassRecord, ClassState
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.school import Rollover

_LONGEST_KEY = 80


def class_key(group: MisGroup) -> str:
    """The class's key within its school: academic year, type and MIS id, so that a new year makes a new class.

    It is a table row key and part of a Service Bus session id (at most 128 characters), hence only URL-safe characters
    and a digest in place of the end of a long id.
    """
    plain = f"{group.academic_year}.{group.type}.{quote(group.id, safe='')}".replace("%", "!")
    if len(plain) <= _LONGEST_KEY:
        return plain
    return f"{plain[: _LONGEST_KEY - 17]}!{sha256(plain.encode()).hexdigest()[:16]}"


_OUT_OF_MICROSOFT_365 = {ClassState.GONE, ClassState.DELETING, ClassState.DELETED}


def class_keys(
    groups: Iterable[MisGroup], records: Mapping[str, ClassRecord], rollover: Rollover
) -> dict[str, MisGroup]:
    """The groups by the key of their class; the order of `groups` does not matter.

    A group keeps the class that follows it already. Otherwise it gets its own, unless the school reuses classes and an
    earlier year has one of the same type whose group is not in the MIS any more: with the same MIS id, else with the
    same name; of several the latest.
    """
    listed = sorted(groups, key=class_key)
    followed = {_identity(record): key for key, record in records.items()}
    keys = {followed.get((group.type, group.academic_year, group.id)) or class_key(group): group for group in listed}
    if rollover is Rollover.NEW:
        return keys
    free = [
        record
        for key, record in sorted(records.items(), key=lambda item: (-item[1].desired.academic_year, item[0]))
        if key not in keys and record.state not in _OUT_OF_MICROSOFT_365
    ]
    fresh = [group for key, group in keys.items() if key not in records]
    taken: dict[str, MisGroup] = {}
    for trait in (_by_id, _by_name):
        for group in fresh:
            if group in taken.values():
                continue
            match = next((record for record in free if record.key not in taken and trait(record, group)), None)
            if match is not None:
                taken[match.key] = group
    reused = {class_key(group) for group in taken.values()}
    return {key: group for key, group in keys.items() if key not in reused} | taken


def _identity(record: ClassRecord) -> tuple[GroupType, int, str]:
    return (record.desired.group_type, record.desired.academic_year, record.desired.group_id)


def _earlier(record: ClassRecord, group: MisGroup) -> bool:
    return record.desired.group_type is group.type and record.desired.academic_year < group.academic_year


def _by_id(record: ClassRecord, group: MisGroup) -> bool:
    return _earlier(record, group) and record.desired.group_id == group.id


def _by_name(record: ClassRecord, group: MisGroup) -> bool:
    return _earlier(record, group) and record.desired.group_name == group.name
