"""The groups of the next academic year: what goes on with its people, and what begins. The MIS gives all other ids."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from local.school.data import SchoolData, SchoolGroup, SchoolPerson, Staffing
from local.school.generate import YEARS

_TWO_YEARS = ("10", "12")
"""Sets of these years go on with their people into the year above."""
_INTAKE, _SIXTH_FORM = "7", "12"
_STAY_ON = 3
"""One in so many pupils of Year 11 stays on into Year 12."""
_CHANGES_TUTOR = 3
"""One in so many forms gets another tutor in the next year."""


@dataclass(frozen=True, slots=True)
class ComingYear:
    """`continues` has the ids of this year's groups by those of the groups that are the same classes.

    Of this year's pupils, a group has those of its `drawn` years who are there when the MIS first shows it.
    """

    groups: tuple[SchoolGroup, ...]
    continues: Mapping[str, str]
    intake: tuple[SchoolPerson, ...]

    def groups_of(self, data: SchoolData) -> SchoolData:
        """The school of the next year, seen from this one: who is new is in no year group yet."""
        newcomers = tuple(replace(person, year="") for person in self.intake)
        pupils = (*data.pupils, *newcomers)
        return _staying(replace(data, starts=data.starts + 1, pupils=pupils), self._drawn(data))

    def rolled_over(self, data: SchoolData, coming: SchoolData) -> SchoolData:
        """The school after the turn: everybody is a year older, and whoever is in no group of theirs has left."""
        years = {pupil.id: pupil.year for pupil in data.pupils} | {pupil.id: "" for pupil in self.intake}
        starting = {pupil.id: pupil.year for pupil in self.intake}
        grouped = {pupil for group in coming.groups for pupil in group.pupils}
        everybody = {pupil.id: pupil for pupil in (*data.pupils, *self.intake)}
        pupils = tuple(
            replace(pupil, year=starting.get(id_) or _above(years[id_]))
            for id_, pupil in everybody.items()
            if id_ in grouped
        )
        return _staying(replace(coming, staff=data.staff, pupils=pupils), coming.groups)

    def _drawn(self, data: SchoolData) -> tuple[SchoolGroup, ...]:
        """Classes that go on have the people whom they have now."""
        now = {group.id: group for group in data.groups}
        return tuple(
            replace(
                group,
                pupils=now[self.continues[group.id]].pupils,
                staff=group.staff if group.homeroom else now[self.continues[group.id]].staff,
            )
            if group.id in self.continues
            else group
            for group in self.groups
        )


def coming_year(data: SchoolData, seed: int) -> ComingYear:
    """The next year of a school as it is planned in autumn."""
    rng = random.Random(seed + 1)
    years = {pupil.id: pupil.year for pupil in data.pupils}
    cohorts = {year: [pupil.id for pupil in data.pupils if _above(pupil.year) == year] for year in YEARS}
    leaving = [pupil.id for pupil in data.pupils if pupil.year == "11"]
    cohorts[_SIXTH_FORM] = leaving[::_STAY_ON]
    first, sixth = _newcomers(data, _INTAKE, len(cohorts["8"])), _newcomers(data, _SIXTH_FORM, len(cohorts["13"]) // 2)
    cohorts[_INTAKE] += [pupil.id for pupil in first]
    cohorts[_SIXTH_FORM] += [pupil.id for pupil in sixth]
    groups: list[SchoolGroup] = []
    continues: dict[str, str] = {}
    by_year: dict[str, list[SchoolGroup]] = {year: [] for year in YEARS}
    for group in data.groups:
        by_year[years[group.pupils[0]]].append(group)
    for year, of_year in by_year.items():
        forms = [group for group in of_year if group.homeroom]
        for place, group in enumerate(of_year):
            if group.homeroom and year not in ("11", "13"):
                changes = place % _CHANGES_TUTOR == _CHANGES_TUTOR - 1
                goes_on = _next_form(group, year, data.staff if changes else ())
                groups.append(goes_on)
                if not changes:
                    continues[goes_on.id] = group.id
            if not group.homeroom and year in _TWO_YEARS:
                goes_on = replace(group, id=f"M{group.id}", title=_title_above(group.title, year))
                groups.append(goes_on)
                continues[goes_on.id] = group.id
            if group.homeroom and year in (_INTAKE, _SIXTH_FORM):
                pupils = tuple(cohorts[year][forms.index(group) :: len(forms)])
                groups.append(replace(group, id=f"B{group.id}", pupils=pupils))
            if not group.homeroom and year not in ("11", "13"):
                drawn = rng.sample(cohorts[year], min(len(group.pupils), len(cohorts[year])))
                groups.append(replace(group, id=f"B{group.id}", pupils=tuple(sorted(drawn))))
    return ComingYear(tuple(groups), continues, (*first, *sixth))


def _next_form(group: SchoolGroup, year: str, other_tutors: Sequence[SchoolPerson]) -> SchoolGroup:
    staff = group.staff
    if other_tutors:
        tutor = next(each.id for each in other_tutors if each.id != group.staff[0].teacher)
        staff = (Staffing(tutor, True),)
    return replace(group, id=f"M{group.id}", title=_title_above(group.title, year), staff=staff)


def _newcomers(data: SchoolData, year: str, count: int) -> tuple[SchoolPerson, ...]:
    return tuple(
        SchoolPerson(f"I{year}-{number:04}", "New", "Pupil", f"Intake{year}{number}", "", year)
        for number in range(1, count + 1)
    )


def _staying(data: SchoolData, groups: Sequence[SchoolGroup]) -> SchoolData:
    """The school with these groups, of which only people are members whom it still has."""
    pupils, staff = {pupil.id for pupil in data.pupils}, {each.id for each in data.staff}
    return replace(
        data,
        groups=tuple(
            replace(
                group,
                pupils=tuple(pupil for pupil in group.pupils if pupil in pupils),
                staff=tuple(each for each in group.staff if each.teacher in staff),
            )
            for group in groups
        ),
    )


def _above(year: str) -> str:
    place = YEARS.index(year) + 1 if year else len(YEARS)
    return YEARS[place] if place < len(YEARS) else ""


def _title_above(title: str, year: str) -> str:
    above = _above(year)
    return f"{above}{title.removeprefix(year)}" if title.startswith(year) else title
