"""The order in which classes of the coming year are filled: those of the youngest pupils first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from statistics import median_low

from sync_core.domain.ids import ClassKey, MisId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.planning.diff import ClassDiff, Plan
from sync_core.planning.year.calendar import SchoolDay

_NUMBER = re.compile(r"\d+")
_BELOW_YEAR_1 = {"n": -2, "nursery": -2, "r": -1, "reception": -1, "foundation": -1}
_Place = tuple[bool, int, str]


def youngest_first(plan: Plan, groups: Mapping[ClassKey, MisGroup], day: SchoolDay) -> Plan:
    """The plan with its changes of classes of the coming year in order of their pupils' age, after all others."""
    if day.coming is None:
        return plan
    coming = {key: group for key, group in groups.items() if group.academic_year >= day.coming}
    places = filling_order(coming)
    others = [diff for diff in plan.diffs if diff.key not in places]
    filled: list[ClassDiff] = sorted(
        (diff for diff in plan.diffs if diff.key in places), key=lambda diff: (places[diff.key], diff.key)
    )
    return replace(plan, diffs=(*others, *filled))


def filling_order(groups: Mapping[ClassKey, MisGroup]) -> Mapping[ClassKey, _Place]:
    """What to sort classes by: the year group of most of their pupils where the MIS shows it, then their name.

    Classes whose pupils are in no year group with a known name come last.
    """
    years: dict[MisId, int] = {}
    for group in groups.values():
        number = year_number(group.name) if group.type is GroupType.YEAR else None
        if number is not None:
            years |= dict.fromkeys(group.students, number)
    return {
        key: _place(group, [years[pupil] for pupil in group.students if pupil in years])
        for key, group in groups.items()
    }


def year_number(name: str) -> int | None:
    """The year of a year group by its name: `7`, `Year 07`, `Y7`, `Reception`, `N`; None if the name has none."""
    if number := _NUMBER.search(name):
        return int(number[0]) if len(number[0]) <= 2 else None
    words = re.split(r"\W+", name.casefold())
    return next((_BELOW_YEAR_1[word] for word in words if word in _BELOW_YEAR_1), None)


def _place(group: MisGroup, years: Iterable[int]) -> _Place:
    known = list(years)
    own = year_number(group.name) if group.type is GroupType.YEAR else None
    year = own if own is not None else median_low(known) if known else None
    return (year is None, year or 0, group.name.casefold())
