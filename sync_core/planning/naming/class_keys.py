"""The class of each group: its own, or last year's where the school reuses classes; and the other names of a class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from urllib.parse import quote

from sync_core.domain.classes.record import WITHOUT_CLASS, ClassRecord, Records
from sync_core.domain.classes.tenant_groups import FROM_MIS, TenantClass
from sync_core.domain.ids import ClassKey, digest_of, plain_id
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.school.settings import Rollover
from sync_core.planning.naming.names import clean_group_name

_LONGEST_KEY = 80
_UNQUOTED = re.compile(r"[A-Za-z0-9._-]*")
_KEY = re.compile(rf"[0-9]{{1,4}}\.({'|'.join(GroupType)})\.[A-Za-z0-9._~-]+")


def class_key(group: MisGroup) -> ClassKey:
    """The key of a class within its school: academic year, type and MIS id, so that a new year creates a new class.

    It is a table row key, part of a Service Bus session id (at most 128 characters), and typed in a shell. So it has
    only letters, digits and `.`, `-`, `_`, `~`, and a digest replaces the end of a long id.
    """
    id_ = plain_id(group.id)
    if not _UNQUOTED.fullmatch(id_):
        id_ = quote(id_, safe="").replace("~", "%7E")
    key = f"{group.academic_year}.{group.type}.{id_}".replace("%", "~")
    if len(key) > _LONGEST_KEY:
        key = f"{key[: _LONGEST_KEY - 17]}~{digest_of(key)}"
    return ClassKey(key)


def is_key(text: str) -> bool:
    """Whether the text has the form of a key, whether there is such a class or not."""
    return _KEY.fullmatch(text) is not None


def names_of_group(group: MisGroup) -> tuple[str, ...]:
    """What people call the class of a group: its name in the MIS, also cleaned."""
    return (group.name, clean_group_name(group.name))


def names_of_class(record: ClassRecord) -> tuple[str, ...]:
    """What people call a class: as its group, by its display name, and by its mail nickname."""
    wanted = record.desired
    group = MisGroup(
        id=wanted.group_id,
        type=wanted.group_type,
        name=wanted.group_name,
        academic_year=wanted.academic_year,
    )
    names = (wanted.name, record.actual.name) if record.actual else (wanted.name,)
    return (*names_of_group(group), *(text for name in names for text in (name.display_name, name.mail_nickname)))


def keys_called(name: str, named: Mapping[ClassKey, Iterable[str]]) -> tuple[ClassKey, ...]:
    """The keys of all classes with this name, in order. Case and spaces do not matter."""
    wanted = _folded(name)
    return tuple(sorted(key for key, names in named.items() if wanted and wanted in map(_folded, names)))


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def is_own_external_id(external_id: str) -> bool:
    """Whether a class has the externalId that this app gives to the classes of any school: `school|class key`."""
    _, bar, key = external_id.rpartition("|")
    return bool(bar) and is_key(key)


def is_made_by_hand(one: TenantClass) -> bool:
    """Whether neither another product nor this app made the class from an MIS, as far as Graph tells."""
    return one.external_source != FROM_MIS and not is_own_external_id(one.external_id)


def class_keys(
    groups: Iterable[MisGroup], records: Records, rollover: Rollover, over: Set[ClassKey] = frozenset()
) -> dict[ClassKey, MisGroup]:
    """Return the groups by the key of their class; the order of `groups` does not matter.

    A group keeps its existing class. Otherwise it gets a new class, unless the school reuses classes and an earlier
    year has a class of the same type and MIS id whose group is no longer in the MIS. A later year is preferred to an
    earlier one. A name identifies no class: MISs use the same names again each year. The classes in `over`, which an
    admin ended, are not reused. A group of an earlier year whose class has gone on with another one gets no class.
    """
    gone_on = {
        (record.desired.group_type, record.desired.earlier_group): record.desired.academic_year
        for record in records.values()
        if record.desired.earlier_group
    }
    ordered = sorted(
        (group for group in groups if gone_on.get((group.type, group.id), 0) <= group.academic_year), key=class_key
    )
    existing = {
        (record.desired.group_type, record.desired.academic_year, record.desired.group_id): key
        for key, record in records.items()
    }
    keys = {existing.get((group.type, group.academic_year, group.id)) or class_key(group): group for group in ordered}
    if rollover is not Rollover.REUSE:
        return keys
    free = [
        record
        for key, record in sorted(records.items(), key=lambda item: (-item[1].desired.academic_year, item[0]))
        if key not in keys and key not in over and not record.desired.retired and record.state not in WITHOUT_CLASS
    ]
    followed: dict[ClassKey, MisGroup] = {}
    for key, group in keys.items():
        earlier = (record.key for record in free if record.key not in followed and _continues(group, record))
        followed[key if key in records else next(earlier, key)] = group
    return followed


def _continues(group: MisGroup, record: ClassRecord) -> bool:
    """Whether the group is that of the earlier class."""
    earlier = record.desired
    same = (earlier.group_type, earlier.group_id) == (group.type, group.id)
    return same and earlier.academic_year < group.academic_year


def own_classes(groups: Iterable[MisGroup]) -> dict[ClassKey, MisGroup]:
    """The groups by the key of a class of their own, which none has that goes on with a class of an earlier year."""
    return {class_key(group): group for group in groups}
