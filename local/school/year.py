"""A year at the school, day by day, as its MIS has it: what people do to it from one September to the next autumn."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from local.school.coming_year import ComingYear, coming_year
from local.school.data import SchoolData, SchoolGroup, SchoolPerson, Staffing
from local.school.generate import generate

FIRST, LAST = date(2026, 9, 1), date(2027, 10, 8)
NEW_TIMETABLE = date(2026, 10, 5)
EMPTY_FEED, TORN_FEED = date(2026, 11, 17), date(2026, 12, 2)
TEACHER_LEAVES, COVER_UNTIL, TEACHER_COMES = date(2027, 1, 11), date(2027, 2, 12), date(2027, 2, 22)
COMING_GROUPS, LAST_DAY, LEAVERS_TAKEN_OUT = date(2027, 6, 7), date(2027, 7, 21), date(2027, 7, 26)
PAUSE_FROM, ROLLOVER, PAUSE_UNTIL = date(2027, 8, 1), date(2027, 8, 23), date(2027, 8, 31)
TEACHERS_IN, FIRST_DAY, PUPILS_IN = date(2027, 8, 30), date(2027, 9, 2), date(2027, 9, 3)
TEACHER_REPLACED = date(2027, 8, 31)
_DATES = {
    COVER_UNTIL + timedelta(days=1): "the cover is over",
    LAST_DAY: "the last day of the year",
    PAUSE_FROM: "a pause begins",
    TEACHERS_IN: "the teachers come in",
    PAUSE_UNTIL + timedelta(days=1): "the pause is over",
    FIRST_DAY: "the first day of the year",
    PUPILS_IN: "the pupils come in",
}
_HOLIDAYS = (
    (date(2026, 10, 24), date(2026, 11, 1)),
    (date(2026, 12, 19), date(2027, 1, 3)),
    (date(2027, 2, 13), date(2027, 2, 21)),
    (date(2027, 3, 27), date(2027, 4, 11)),
    (date(2027, 5, 29), date(2027, 6, 6)),
    (LAST_DAY, FIRST_DAY),
)
_MONDAY = 0
_LEAVERS = "13"


class Damage(StrEnum):
    """EMPTY: the files have no rows. TORN: the export broke off in the middle of the enrolments."""

    EMPTY = "empty"
    TORN = "torn"


@dataclass(frozen=True, slots=True, kw_only=True)
class MisDay:
    """What the MIS exports on one day. `events` say what is special about the day, and `ordinary` what is not.

    Without either, it exports what it had before. `coming` has the groups of the next academic year, None if the MIS
    does not have them or has nothing else.
    """

    day: date
    data: SchoolData
    coming: SchoolData | None = None
    damage: Damage | None = None
    events: tuple[str, ...] = ()
    ordinary: str = ""


@dataclass(frozen=True, slots=True)
class Casting:
    """Who and what the events are about, by MIS id. `cover` teaches no class of `leaver`, whose sets are `sets`."""

    leaver: str
    cover: str
    successor: str
    sets: tuple[str, ...]
    emptied: str
    replaced_in: str


class YearAtSchool:
    """The whole year of one generated school. The same seed makes the same year."""

    def __init__(self, pupils: int = 1_000, seed: int = 2026) -> None:
        self.begins = generate(seed, pupils)
        self.coming: ComingYear = coming_year(self.begins, seed)
        self.cast = _cast(self.begins, self.coming)
        self._rng = random.Random(seed)
        self._data = self.begins
        self._next: SchoolData | None = None
        self._years: dict[str, str] = {}
        self._numbers = 0
        self._a_week = max(1, pupils // 250)

    def days(self) -> Iterator[MisDay]:
        """Every day from FIRST to LAST, each once and in order."""
        events: Mapping[date, Callable[[], str]] = {
            NEW_TIMETABLE: self._change_timetable,
            TEACHER_LEAVES: self._teacher_leaves,
            TEACHER_COMES: self._teacher_comes,
            COMING_GROUPS: self._show_coming_groups,
            LEAVERS_TAKEN_OUT: self._take_leavers_out,
            ROLLOVER: self._roll_over,
            TEACHER_REPLACED: self._replace_teacher,
        }
        damages = {EMPTY_FEED: Damage.EMPTY, TORN_FEED: Damage.TORN}
        for number in range((LAST - FIRST).days + 1):
            day = FIRST + timedelta(days=number)
            happened = [events[day]()] if day in events else []
            is_ordinary = day.weekday() == _MONDAY and day > FIRST and not _is_holiday(day)
            ordinary = self._an_ordinary_week() if is_ordinary else ""
            damage = damages.get(day)
            happened += [f"{damage} feed"] if damage else []
            happened += [_DATES[day]] if day in _DATES else []
            yield MisDay(
                day=day,
                data=self._data,
                coming=self._next,
                damage=damage,
                events=tuple(happened),
                ordinary=ordinary,
            )

    # --- what happens

    def _an_ordinary_week(self) -> str:
        """Pupils join and leave the school, and some change their set."""
        pupils = [pupil for pupil in self._data.pupils if pupil.year]
        for leaver in self._rng.sample(pupils, self._a_week):
            self._data = _without_pupils(self._data, {leaver.id})
            # The same person is in next year's groups, if the MIS has them.
            self._next = self._next and _without_pupils(self._next, {leaver.id})
        for _ in range(self._a_week):
            self._numbers += 1
            number = self._numbers
            year = self._rng.choice(pupils).year
            joiner = SchoolPerson(f"N{number:04}", "New", "Pupil", f"NPupil{number}", "", year)
            self._data = replace(self._data, pupils=(*self._data.pupils, joiner))
            of_year = [group for group in self._data.groups if self._year_of(group) == year]
            for group in self._rng.sample(of_year, min(4, len(of_year))):
                self._put(replace(group, pupils=(*group.pupils, joiner.id)))
        moved = sum(self._move() for _ in range(self._a_week * 3))
        return f"{self._a_week} pupils joined, {self._a_week} left, {moved} changed sets"

    def _change_timetable(self) -> str:
        """Many pupils change sets. One set loses so many at once that a limit holds it."""
        emptied = self._group(self.cast.emptied)
        year = self._year_of(emptied)
        others = [each for each in self._sets() if self._year_of(each) == year and each.id != emptied.id]
        leaving = emptied.pupils[: len(emptied.pupils) * 3 // 5]
        self._put(replace(emptied, pupils=emptied.pupils[len(leaving) :]))
        for place, pupil in enumerate(leaving):
            target = self._group(others[place % len(others)].id)
            if pupil not in target.pupils:
                self._put(replace(target, pupils=(*target.pupils, pupil)))
        moved = sum(self._move() for _ in range(self._a_week * 15))
        return f"a new timetable: {len(leaving)} pupils left one set, {moved} others changed sets"

    def _teacher_leaves(self) -> str:
        """The MIS names nobody in their place."""
        leaver = self.cast.leaver
        for group in self._data.groups:
            if any(staffing.teacher == leaver for staffing in group.staff):
                self._put(replace(group, staff=tuple(each for each in group.staff if each.teacher != leaver)))
        self._data = replace(self._data, staff=tuple(each for each in self._data.staff if each.id != leaver))
        return f"a teacher of {len(self.cast.sets)} sets left"

    def _teacher_comes(self) -> str:
        successor = SchoolPerson(self.cast.successor, "New", "Teacher", "NTeacher1", "")
        self._data = replace(self._data, staff=(*self._data.staff, successor))
        for id_ in self.cast.sets:
            self._put(replace(self._group(id_), staff=(Staffing(successor.id, True),)))
        return "their successor came"

    def _show_coming_groups(self) -> str:
        self._next = self.coming.groups_of(self._data)
        return f"the MIS shows {len(self._next.groups)} groups of the next year"

    def _take_leavers_out(self) -> str:
        """The term is over: the MIS takes the oldest pupils out of all groups."""
        leavers = {pupil.id for pupil in self._data.pupils if pupil.year == _LEAVERS}
        self._data = _without_pupils(self._data, leavers)
        return f"{len(leavers)} leavers were taken out of their groups"

    def _roll_over(self) -> str:
        """From now on the MIS has next year's groups alone, all of which have other ids than this year's."""
        assert self._next is not None
        self._data, self._next = self.coming.rolled_over(self._data, self._next), None
        return f"the MIS rolled over: {len(self._data.groups)} groups with new ids"

    def _replace_teacher(self) -> str:
        group = self._group(self.cast.replaced_in)
        teaching = {staffing.teacher for staffing in group.staff}
        other = next(each.id for each in self._data.staff if each.id not in teaching)
        self._put(replace(group, staff=(Staffing(other, True),)))
        return "a new class got another teacher before its first day"

    # --- the groups

    def _group(self, id_: str) -> SchoolGroup:
        return next(group for group in self._data.groups if group.id == id_)

    def _put(self, changed: SchoolGroup) -> None:
        groups = tuple(changed if group.id == changed.id else group for group in self._data.groups)
        self._data = replace(self._data, groups=groups)

    def _sets(self) -> list[SchoolGroup]:
        return [group for group in self._data.groups if not group.homeroom]

    def _year_of(self, group: SchoolGroup) -> str:
        """The year of the group's pupils, which all are of one until the MIS rolls over."""
        if group.id not in self._years:
            years = {pupil.id: pupil.year for pupil in self._data.pupils}
            self._years[group.id] = next((years[pupil] for pupil in group.pupils), "")
        return self._years[group.id]

    def _move(self) -> bool:
        """One pupil changes from one set to another of their year, if they can."""
        sets = self._sets()
        source = self._rng.choice([group for group in sets if len(group.pupils) > 5])
        year, pupil = self._year_of(source), self._rng.choice(source.pupils)
        targets = [group for group in sets if pupil not in group.pupils and self._year_of(group) == year]
        if not targets:
            return False
        target = self._rng.choice(targets)
        self._put(replace(source, pupils=tuple(each for each in source.pupils if each != pupil)))
        self._put(replace(target, pupils=(*target.pupils, pupil)))
        return True


def _cast(data: SchoolData, coming: ComingYear) -> Casting:
    sets = [group for group in data.groups if not group.homeroom]
    alone = [group for group in sets if len(group.staff) == 1]
    leaver = alone[-1].staff[0].teacher
    theirs = tuple(group.id for group in alone if group.staff[0].teacher == leaver)
    shared = {each.teacher for group in sets if len(group.staff) > 1 for each in group.staff}
    cover = next(each.id for each in data.staff if each.id != leaver and each.id in shared)
    largest = max((group for group in sets if group.id not in theirs), key=lambda group: len(group.pupils))
    begins = next(group.id for group in coming.groups if not group.homeroom and group.id not in coming.continues)
    return Casting(leaver, cover, "T9001", theirs, largest.id, begins)


def _without_pupils(data: SchoolData, leaving: set[str]) -> SchoolData:
    return replace(
        data,
        pupils=tuple(pupil for pupil in data.pupils if pupil.id not in leaving),
        groups=tuple(
            replace(group, pupils=tuple(pupil for pupil in group.pupils if pupil not in leaving))
            for group in data.groups
        ),
    )


def _is_holiday(day: date) -> bool:
    return any(first <= day <= last for first, last in _HOLIDAYS)
