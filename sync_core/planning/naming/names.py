"""Class names and mail nicknames: valid, stable and distinct for every group, whatever its MIS name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import ClassKey
from sync_core.domain.nicknames import (
    hyphenated,
    identifier_in_nickname,
    in_nickname,
    undotted,
    without_doubtful,
    without_forbidden,
)
from sync_core.domain.roster import GroupType, MisGroup

LONGEST_NICKNAME = 64
_LONGEST_DISPLAY = 200

_NUMBERED = re.compile(r"(?P<stem>.*?)(?:-(?P<number>[0-9]{1,4}))?(?P<tail>\.class\..*)", re.DOTALL)


def clean_group_name(name: str) -> str:
    """The group's name without the characters that a class's names may not hold: `2S/DT1` → `2SDT1`, `A&B` → `AB`."""
    return without_forbidden(without_doubtful(name)).strip()


def class_name(group: MisGroup, identifier: str, number: int = 1) -> ClassName:
    """The name of `group`'s class. A `number` from 2 gives the next names to try where one is taken.

    >>> group = MisGroup(id="1", type=GroupType.TEACHING, name="Mon Ch", academic_year=2020)
    >>> class_name(group, "1234567").display_name
    'Mon-Ch_Class [1234567][2020]'
    """
    base = hyphenated(clean_group_name(group.name)) or group.type.value
    suffix = "" if number == 1 else f"-{number}"
    tail = f".class.{identifier_in_nickname(identifier)}.{group.academic_year}"
    stem = (in_nickname(base) or group.type.value)[: LONGEST_NICKNAME - len(tail) - len(suffix)]
    return ClassName(
        display_name=f"{base[:_LONGEST_DISPLAY]}{suffix}_Class [{without_doubtful(identifier)}][{group.academic_year}]",
        mail_nickname=undotted(f"{stem.rstrip('.')}{suffix}{tail}"),
    )


def following_nickname(nickname: str) -> str:
    """The nickname to try where a foreign group has `nickname`: `5L.class.…` → `5L-2.class.…` → `5L-3…`."""
    match = _NUMBERED.fullmatch(nickname)
    if match is None:
        raise ValueError("not a nickname of ours")
    suffix = f"-{int(match['number'] or 1) + 1}"
    stem = match["stem"][: LONGEST_NICKNAME - len(match["tail"]) - len(suffix)]
    return f"{stem.rstrip('.')}{suffix}{match['tail']}"


def is_numbered(nickname: str, group_name: str, group_type: GroupType) -> bool:
    """Whether `nickname` has a number because another group has the plain one: `5L-2.class.…` for the group `5L`."""
    match = _NUMBERED.fullmatch(nickname)
    if match is None or match["number"] is None:
        return False
    plain = in_nickname(hyphenated(clean_group_name(group_name))) or group_type.value
    stem, longest = match["stem"], f"{match['stem']}-{match['number']}"
    return plain.startswith(stem) and not plain.startswith(longest)


def assign_names(
    groups: Mapping[ClassKey, MisGroup], identifier: str, known: Mapping[ClassKey, ClassName]
) -> dict[ClassKey, ClassName]:
    """Return a name for each group by class key; `known` names never change, whatever the identifier is.

    The order of `groups` does not matter. Of groups that clean to the same nickname, the one whose name needed no
    cleaning gets it, and the others are numbered by name and id.
    """
    taken = {name.mail_nickname.lower() for name in known.values()}
    names = {key: known[key] for key in groups if key in known}
    new = ((key, group) for key, group in groups.items() if key not in known)
    for key, group in sorted(new, key=lambda item: (_precedence(item[1]), item[0])):
        number = 1
        while (name := class_name(group, identifier, number)).mail_nickname.lower() in taken:
            number += 1
        taken.add(name.mail_nickname.lower())
        names[key] = name
    return names


def _precedence(group: MisGroup) -> tuple[bool, str, str, str, int]:
    return (clean_group_name(group.name) != group.name, group.name, group.type, group.id, group.academic_year)
