"""The classes and teams that a school has on each day of its year, by rules that share nothing with the service.

They are those of docs/rules.md for a school that revokes owners who left, asks an admin which classes go on, releases
teams, and has all dates of its calendar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from local.school.data import SchoolData, SchoolGroup, SchoolPerson


@dataclass(frozen=True, slots=True, kw_only=True)
class YearDates:
    """The dates of the school's calendar. People leave classes on no day of the pause, whose last day counts."""

    last_day: date
    pause_from: date
    pause_until: date
    teachers_in: date
    pupils_in: date

    def is_paused(self, day: date) -> bool:
        return self.pause_from <= day <= self.pause_until


@dataclass(slots=True)
class ExpectedRoom:
    """One class and its team. People are UPNs in lower case; every owner is a member too.

    `year` is the academic year whose people are in it. `name` is its display name once the tenant has shown it, and
    does not change until the year end adds its `suffix`. `covers` are those whom only an admin made owners.
    """

    year: int
    owners: set[str] = field(default_factory=set)
    pupils: set[str] = field(default_factory=set)
    covers: set[str] = field(default_factory=set)
    open: bool = True
    name: str = ""
    suffix: str = ""
    ended: bool = False

    @property
    def members(self) -> set[str]:
        return self.owners | self.pupils


@dataclass(frozen=True, slots=True)
class _Group:
    """A group of the feed as a class would have it: `teacher` is empty where the MIS names none, or none owns it."""

    key: str
    year: int
    teaching: bool
    teacher: str
    pupils: frozenset[str]


class ExpectedYear:
    """Follows the year night by night. `rooms` has the class of each key that the service gives one.

    `with_teams` are the types of groups whose classes have teams, as the middle of a key.
    """

    def __init__(self, dates: YearDates, admins: Sequence[str], domain: str, with_teams: Sequence[str]) -> None:
        self._dates = dates
        self._admins = {admin.lower() for admin in admins}
        self._domain = domain
        self._with_teams = tuple(with_teams)
        self._until: dict[tuple[str, str], date] = {}
        self._earlier: dict[str, str] = {}
        self.rooms: dict[str, ExpectedRoom] = {}

    # --- what an admin does

    def give(self, key: str, upn: str, until: date) -> None:
        """An admin makes somebody an owner of a class, until that day at night."""
        self._until[key, upn.lower()] = until

    def goes_on(self, new_key: str, earlier_key: str) -> None:
        """An admin confirms that the group of `new_key` is the class `earlier_key`."""
        self._earlier[new_key] = earlier_key

    def end_year(self, keys: Sequence[str], suffix: str) -> None:
        """An admin ends the year of these classes: their teams are archived and their names get the suffix."""
        for key in keys:
            room = self.rooms[key]
            room.ended, room.suffix = True, f" {suffix}"

    # --- the nights

    def night(self, day: date, data: SchoolData) -> None:
        """A night that reads this feed. A night that cannot read its feed changes nothing, so leave it out."""
        for group in self._groups(data):
            key = self._earlier.get(group.key, group.key)
            room = self.rooms.get(key)
            if room and room.ended:
                continue
            if group.year > self._year_that_ends and day < self._dates.pupils_in:
                self._before_the_pupils(day, key, room, group)
            elif group.year > self._year_that_ends or day <= self._dates.last_day:
                self._as_in_the_mis(day, key, room or self._make(key, group.year), group)

    @property
    def _year_that_ends(self) -> int:
        return self._dates.last_day.year - 1

    def _before_the_pupils(self, day: date, key: str, room: ExpectedRoom | None, group: _Group) -> None:
        """A class of the coming year has its owners at most. One that goes on also keeps its people."""
        if day < self._dates.teachers_in:
            return
        if room is None:
            room = self._make(key, group.year)
            room.open = False
        wanted = self._owners(day, key, group)
        if room.year < group.year:
            room.owners |= wanted
        else:
            self._set_owners(day, room, wanted, group)

    def _as_in_the_mis(self, day: date, key: str, room: ExpectedRoom, group: _Group) -> None:
        room.year, room.open = group.year, True
        self._set_owners(day, room, self._owners(day, key, group), group)
        staying = room.pupils if self._dates.is_paused(day) else set()
        room.pupils = staying | group.pupils

    def _set_owners(self, day: date, room: ExpectedRoom, wanted: set[str], group: _Group) -> None:
        """An owner who left stays where the MIS names nobody in their place, and during a pause. A cover never does."""
        covers_over = room.covers - wanted
        stays = self._dates.is_paused(day) or (group.teaching and not group.teacher)
        room.owners = wanted | (room.owners - covers_over if stays else set())
        room.covers = wanted - self._admins - {group.teacher}

    def _owners(self, day: date, key: str, group: _Group) -> set[str]:
        covers = {upn for (of, upn), until in self._until.items() if of == key and day <= until}
        return self._admins | covers | ({group.teacher} - {""})

    def _make(self, key: str, year: int) -> ExpectedRoom:
        return self.rooms.setdefault(key, ExpectedRoom(year))

    # --- the feed

    def _groups(self, data: SchoolData) -> Iterator[_Group]:
        upns = {person.id: self._upn(person) for person in (*data.staff, *data.pupils)}
        for group in data.groups:
            type_ = "registration" if group.homeroom else "teaching"
            teacher = "" if group.homeroom or not group.staff else upns[_main_teacher(group)]
            pupils = frozenset(upns[pupil] for pupil in group.pupils)
            yield _Group(f"{data.starts}.{type_}.{group.id}", data.starts, not group.homeroom, teacher, pupils)
        for year in dict.fromkeys(pupil.year for pupil in data.pupils if pupil.year):
            pupils = frozenset(upns[pupil.id] for pupil in data.pupils if pupil.year == year)
            yield _Group(f"{data.starts}.year.grade~3A{year}", data.starts, False, "", pupils)

    def _upn(self, person: SchoolPerson) -> str:
        name = (person.username or person.email).lower()
        return name if "@" in name else f"{name}@{self._domain}"

    # --- the tenant

    def differences(self, classes: Sequence[Mapping[str, Any]], teams: Sequence[Mapping[str, Any]]) -> list[str]:
        """A sentence for each difference of the tenant: the key of the class, what, and counts, but no names."""
        there = {str(one["externalId"]).rpartition("|")[2]: one for one in classes if not one["deleted"]}
        teams_of = {one["id"]: one for one in teams if one["exists"]}
        found = [f"{key}: is not in the tenant" for key in sorted(self.rooms.keys() - there.keys())]
        found += [f"{key}: should not be in the tenant" for key in sorted(there.keys() - self.rooms.keys())]
        if len(there) < len(classes):
            found.append(f"{len(classes) - len(there)} classes are deleted, or have a key that another one has")
        for key in sorted(there.keys() & self.rooms.keys()):
            found += self._of_room(key, there[key], teams_of.pop(there[key]["id"], None))
        return found + [f"{len(teams_of)} teams are of no class"] * bool(teams_of)

    def _of_room(self, key: str, class_: Mapping[str, Any], team: Mapping[str, Any] | None) -> Iterator[str]:
        room = self.rooms[key]
        yield from _compare(key, "owners", class_["owners"], room.owners)
        yield from _compare(key, "members", class_["members"], room.members)
        room.name = room.name or class_["displayName"]
        if class_["displayName"] != room.name + room.suffix:
            yield f"{key}: has another display name than expected"
        if key.split(".")[1] not in self._with_teams:
            if team:
                yield f"{key}: should have no team"
        elif team is None:
            yield f"{key}: has no team"
        else:
            yield from _compare(key, "owners of the team", team["owners"], room.owners)
            inside = room.pupils - room.owners if room.open else set()
            yield from _compare(key, "members of the team", team["members"], inside)
            if (team["locked"], team["archived"]) != (not room.open, room.ended):
                yield f"{key}: its team is locked: {team['locked']}, archived: {team['archived']}"


def _main_teacher(group: SchoolGroup) -> str:
    """The one whom the MIS marks, or else the first by id."""
    main = [staffing.teacher for staffing in group.staff if staffing.primary]
    return main[0] if main else min(staffing.teacher for staffing in group.staff)


def _compare(key: str, what: str, actual: Sequence[str], expected: set[str]) -> Iterator[str]:
    people = {upn.lower() for upn in actual}
    if people != expected:
        missing, more = len(expected - people), len(people - expected)
        yield f"{key}: {what}: {missing} of {len(expected)} are missing, {more} should not be there"
