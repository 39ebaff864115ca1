"""What of a feed is left out, and what is therefore in doubt: by school, so that no school's faults stop another's."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from unicodedata import normalize

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import Doubt, GroupType, LeftOut, SourceCount
from sync_core.mis.budget import ENTRY, MAX_LEFT_OUT, Budget
from sync_core.mis.rejection import rejection
from sync_core.mis.rows import LeaveOut, Row

_LISTED = 200
"""The most rows of one file and school that are listed one by one."""
_REFERENCE = 8
"""Bytes of one place in a tuple."""
_EVERY = SchoolId("")
"""In place of a school where it cannot be told: the row may be any school's."""
_SIGNS = re.compile(r"[\W_]+")
CORRECT = "correct the record in the MIS, or have the MIS leave it out of the export"
_KINDS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("letters", str.isalpha),
    ("digits", str.isdecimal),
    ("blanks", str.isspace),
    ("signs", lambda character: not (character.isalpha() or character.isdecimal() or character.isspace())),
)


@dataclass(slots=True)
class _InDoubt:
    groups: set[MisId] = field(default_factory=set)
    people: set[MisId] = field(default_factory=set)
    memberships: set[tuple[MisId, MisId]] = field(default_factory=set)
    types: set[GroupType] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a snapshot tells about its feed, in the fields of the same names."""

    left_out: tuple[LeftOut, ...]
    counts: tuple[SourceCount, ...]
    doubt: Doubt
    notes: tuple[str, ...]


class Quarantine:
    """Collects the rows that are left out while a feed is read. It keeps no value of a cell, but for ids in doubt.

    `budget` is that of the whole reading. `names` are those that the source has for columns, where they are others than
    the columns of rows.
    """

    def __init__(self, budget: Budget | None = None, names: Mapping[str, str] | None = None) -> None:
        self.budget = budget or Budget()
        self._names = names or {}
        self._all_left_out = 0
        self._schools: set[SchoolId] = set()
        self._left_out: dict[tuple[SchoolId, str], list[LeftOut]] = defaultdict(list)
        self._counts: Counter[tuple[SchoolId, str]] = Counter()
        self._rows: Counter[tuple[SchoolId, str]] = Counter()
        self._in_doubt: dict[SchoolId, _InDoubt] = defaultdict(_InDoubt)
        self._notes: dict[SchoolId, Counter[str]] = defaultdict(Counter)
        self._unread: set[str] = set()

    def leave_out(self, row: Row, column: str, reason: str, school: str = _EVERY, remedy: str = CORRECT) -> None:
        """Record a row that is left out. Raises SnapshotRejected if the feed has hardly any other."""
        key = SchoolId(school), row.source
        self._counts[key] += 1
        self._schools.add(key[0])
        if len(self._left_out[key]) < _LISTED:
            self.budget.keep_row([row.source, school])
            value = shape(row[column]) if column in row.columns and not row.fault else ""
            name = self._names.get(column, column)
            self._left_out[key].append(LeftOut(row.source, row.place, name, value, reason, remedy, key[0]))
        self._all_left_out += 1
        if self._all_left_out > MAX_LEFT_OUT:
            raise rejection(f"more than {MAX_LEFT_OUT:,} rows of the feed cannot be read, the last in {row.location}")

    def leaving_out(self, school_of: Callable[[Row], str], doubt: Callable[[Row, str], None] | None = None) -> LeaveOut:
        """Leaves out rows of one table. `doubt` gets each of them, with its school."""

        def leave_out(row: Row, column: str, reason: str) -> None:
            school = school_of(row)
            self.leave_out(row, column, reason, school)
            if doubt:
                doubt(row, school)

        return leave_out

    def count(self, source: str, school: str, rows: int) -> None:
        """Count rows of a file that were read."""
        self._rows[SchoolId(school), source] += rows

    def note(self, text: str, school: str = _EVERY) -> None:
        """Note something for admins. `{n}` in the text becomes the number of times that it was noted."""
        self._notes[SchoolId(school)][text] += 1

    def doubt_group(self, group: str, school: str = _EVERY) -> None:
        """The group's record was not understood; an empty id if it names no group."""
        self._doubt(self._in_doubt[SchoolId(school)].groups, group)

    def doubt_person(self, person: str, school: str = _EVERY) -> None:
        """The person's record was not understood; an empty id if it names no person."""
        self._doubt(self._in_doubt[SchoolId(school)].people, person)

    def doubt_type(self, type_: GroupType, school: str) -> None:
        """The feed shows no group of this type, and may have left all of them out."""
        self._in_doubt[SchoolId(school)].types.add(type_)

    def _doubt(self, in_doubt: set[MisId], id_: str) -> None:
        if id_ not in in_doubt:
            self.budget.keep_row([id_])
            in_doubt.add(MisId(id_))
        self._unread.add(id_)

    def doubt_groups_by(self, column: str) -> Callable[[Row, str], None]:
        """For `leaving_out`: doubts the group with the id in `column`. An unread row may be any group's."""
        return partial(_doubt_record, self.doubt_group, column)

    def doubt_people_by(self, column: str) -> Callable[[Row, str], None]:
        """The same for the person whose id is in `column`."""
        return partial(_doubt_record, self.doubt_person, column)

    def doubt_membership(self, group: str, person: str, school: str = _EVERY) -> None:
        """A record of a membership was not understood; an empty id for whichever it does not name."""
        memberships, membership = self._in_doubt[SchoolId(school)].memberships, (MisId(group), MisId(person))
        if membership not in memberships:
            self.budget.keep_row(membership)
            memberships.add(membership)

    def doubt_enrolment(
        self, row: Row, group: tuple[str, KnownIds], person: tuple[str, KnownIds], school: str, prefix: str = ""
    ) -> None:
        """A row that says who is in which group was not understood. `prefix` is put before ids of people.

        It may mean the ids that it names, and those that a spreadsheet may have changed. In a row that could not be
        read, only ids that are known say something.
        """
        for group_id in _meant(row, *group):
            for person_id in _meant(row, *person):
                self.doubt_membership(group_id, f"{prefix}{person_id}" if person_id else "", school)

    def doubt_role(self, row: Row, person: str, known: KnownIds, school: str = _EVERY) -> None:
        """A row that gives a person a role was not understood. One that names nobody may be about anybody."""
        for id_ in _meant(row, person, known):
            if id_:
                self.doubt_person(id_, school)
            else:
                self.doubt_membership("", "", school)

    def is_unread(self, id_: str) -> bool:
        """Whether the group or person has a record that was not understood: rows that name it are not at fault."""
        return bool(id_) and id_ in self._unread

    def first_left_out(self, most: int) -> list[LeftOut]:
        """The first rows that were left out, of all schools."""
        return list(islice((row for rows in self._left_out.values() for row in rows), most))

    def left_out_of(self, source: str) -> int:
        return sum(count for (_, of), count in self._counts.items() if of == source)

    def has_left_out(self, school: SchoolId) -> bool:
        return school in self._schools

    @property
    def is_empty(self) -> bool:
        """Whether nothing was left out, and nothing is in doubt."""
        return not self._counts and not self._in_doubt

    def findings(self, schools: Collection[str]) -> Callable[[SchoolId], Findings]:
        """What concerns each of the feed's `schools`, once all is read: its own, and what may be any school's.

        A row that names a school that the feed does not have is listed for each school, and counts for none. What it
        has in place of the school may be anything, and is not repeated.
        """
        named = {of for of, _ in self._counts} | self._in_doubt.keys() | self._notes.keys()
        foreign = named.difference(schools)
        for key, listed in self._left_out.items():
            if key[0] in foreign:
                self._left_out[key] = [replace(row, school=_EVERY) for row in listed]
        of_all = sorted(foreign | {_EVERY})
        keys: dict[SchoolId, list[tuple[SchoolId, str]]] = defaultdict(list)
        for key in self._counts:
            keys[key[0]].append(key)
        totals: Counter[str] = Counter()
        for counter in (self._rows, self._counts):
            for (_, source), rows in counter.items():
                totals[source] += rows
        doubt = _merged(Doubt(), [self._in_doubt[of] for of in of_all if of in self._in_doubt])
        return partial(self._findings_of, of_all, keys, totals, doubt)

    def _findings_of(
        self,
        of_all: Collection[SchoolId],
        keys_of: Mapping[SchoolId, list[tuple[SchoolId, str]]],
        totals: Mapping[str, int],
        doubt: Doubt,
        school: SchoolId,
    ) -> Findings:
        keys = sorted(key for of in (*of_all, school) for key in keys_of.get(of, ()))
        counts = [
            SourceCount(
                source=source,
                left_out=self._counts[of, source],
                rows=self._rows[of, source] + self._counts[of, source] if of == school else totals[source],
                counts=of in (school, _EVERY),
            )
            for of, source in keys
        ]
        notes = (self._notes[of] for of in (*of_all, school) if of in self._notes)
        found = Findings(
            left_out=tuple(row for key in keys for row in self._left_out[key]),
            counts=tuple(counts),
            doubt=_merged(doubt, [self._in_doubt[school]]) if school in self._in_doubt else doubt,
            notes=tuple(text.replace("{n}", str(number)) for of in notes for text, number in of.items()),
        )
        shared = len(found.doubt.groups) + len(found.doubt.people) + len(found.doubt.memberships)
        self.budget.keep(_REFERENCE * len(found.left_out) + ENTRY * (len(counts) + shared * (found.doubt is not doubt)))
        return found


def _merged(doubt: Doubt, others: Collection[_InDoubt]) -> Doubt:
    return Doubt(
        doubt.groups.union(*(each.groups for each in others)),
        doubt.people.union(*(each.people for each in others)),
        doubt.memberships.union(*(each.memberships for each in others)),
        doubt.types.union(*(each.types for each in others)),
    )


def shape(value: str) -> str:
    """What a value looks like, without the value: `empty`, `1 letter`, `8 letters and digits`."""
    if not value:
        return "empty"
    kinds = [name for name, test in _KINDS if any(map(test, value))]
    named = f"{', '.join(kinds[:-1])} and {kinds[-1]}" if len(kinds) > 1 else kinds[0]
    return f"{len(value)} {named if len(value) > 1 else named.removesuffix('s')}"


class KnownIds:
    """The ids of one table, to say of an unknown id whether a spreadsheet may have changed it."""

    def __init__(self, ids: Collection[str], file: str) -> None:
        self._ids = ids
        self._file = file
        self._loose: dict[str, str] | None = None
        self._repeated: dict[str, list[str]] = defaultdict(list)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._ids

    def alike(self, id_: str) -> list[str]:
        """The ids that differ only in capitals, leading zeros, signs or `.0` at their end."""
        if self._loose is None:
            self._loose = {}
            for each in self._ids:
                if self._loose.setdefault(loosely := _loosely(each), each) is not each:
                    self._repeated[loosely].append(each)
        loosely = _loosely(id_)
        return [self._loose[loosely], *self._repeated.get(loosely, [])] if id_ and loosely in self._loose else []

    def why_unknown(self, id_: str) -> str:
        if not id_:
            return "is empty"
        hint = ", which has it with other capitals or leading zeros, other signs, or without .0 at its end"
        return f"is not in {self._file}{hint if self.alike(id_) else ''}"


def _doubt_record(doubt: Callable[[str, str], None], column: str, row: Row, school: str) -> None:
    doubt(row[column], school)
    if row.is_guess:
        doubt("", school)


def _meant(row: Row, id_: str, known: KnownIds) -> list[str]:
    """The ids that a row may mean that was not understood; an empty one if nothing tells."""
    if not id_ or (row.is_guess and id_ not in known):
        return [""]
    return list(dict.fromkeys((id_, *known.alike(id_))))


def _loosely(id_: str) -> str:
    """The letters and digits of an id: `{P-01}`, `"p01"`, `1,001` and `1001.0` are ids that a program rewrote."""
    return _SIGNS.sub("", normalize("NFKC", id_.casefold().removesuffix(".0"))).lstrip("0") or id_
