"""Which groups continue earlier classes where the MIS gives them other ids: last year's, or those of this year.

A proposal says why. Nothing follows from it until an admin agrees.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

from sync_core.domain.classes.choices import NO_CHOICES, Choices, Follow
from sync_core.domain.classes.record import WITHOUT_CLASS, ClassRecord, Records
from sync_core.domain.ids import ClassKey, MisId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.runs import HeldClass, HoldStatus
from sync_core.domain.school.settings import Rollover, SchoolSettings
from sync_core.planning.limits.holds import Decisions, continuing_class
from sync_core.planning.naming.class_keys import class_key, class_keys
from sync_core.planning.year.calendar import WITHOUT_DATES, SchoolDay
from sync_core.planning.year.evidence import (
    Continuation,
    NameEvidence,
    continuation_of,
    folded_name,
    following_name,
    have_two_subjects,
    name_evidence,
    pupils_of,
)

_FEWEST = 3
"""Fewer pupils than this may have come together by chance."""
_Pair = tuple[ClassRecord, MisGroup]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Continuations:
    """What is proposed, in the order of keys.

    `undecided` are the keys of new classes whose groups might continue another class, but not as the only choice.
    """

    proposed: tuple[Continuation, ...] = ()
    undecided: frozenset[ClassKey] = frozenset()

    @property
    def possible(self) -> frozenset[ClassKey]:
        """The keys of all new classes whose groups might continue a class."""
        return self.undecided | {each.new_key for each in self.proposed}

    def left_of(
        self, classes: Iterable[ClassRecord], groups: Iterable[MisGroup]
    ) -> tuple[list[ClassRecord], list[MisGroup]]:
        """The classes and the groups that these leave for others."""
        taken, possible = {each.key for each in self.proposed}, self.possible
        return (
            [record for record in classes if record.key not in taken],
            [group for group in groups if class_key(group) not in possible],
        )

    def with_others(self, others: Continuations) -> Continuations:
        """These and the `others`, of which no class and no group is in both."""
        proposed = sorted((*self.proposed, *others.proposed), key=lambda each: each.key)
        return Continuations(tuple(proposed), self.undecided | others.undecided)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A continuation as the part of a hold, with the decision on it. The part has the key of the group's new class."""

    part: HeldClass
    status: HoldStatus

    @property
    def keys(self) -> frozenset[ClassKey]:
        """The new class and the earlier one."""
        return frozenset((self.part.key, self.part.continues))


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedGroups:
    """The groups by the key of the class that they have, continue or would get.

    Only an approved proposal gives a group an earlier class under another MIS id. `waiting` are the keys of new
    classes that are not made: nobody decided on them, or the earlier class still has its own group, or only an approval
    would give these groups a class, because their types are not chosen. `undecided` are keys as in Continuations.
    """

    groups: Mapping[ClassKey, MisGroup]
    proposals: tuple[Proposal, ...] = ()
    waiting: frozenset[ClassKey] = frozenset()
    undecided: frozenset[ClassKey] = frozenset()

    @property
    def proposed(self) -> frozenset[ClassKey]:
        """The earlier classes that wait for a decision."""
        return frozenset(each.part.continues for each in self.proposals if each.status is HoldStatus.OPEN)


def follow_groups(
    groups: Sequence[MisGroup],
    records: Records,
    settings: SchoolSettings,
    requested: Set[ClassKey],
    pinned: Set[ClassKey],
    decisions: Decisions,
    choices: Choices = NO_CHOICES,
    day: SchoolDay = WITHOUT_DATES,
) -> FollowedGroups:
    """Return the groups by the key of their class.

    A new class that is `requested` is not held, and a `pinned` one does not follow another group, nor does one that an
    admin ended. What an admin was asked about, or approved, stays proposed, whatever else has become possible: else the
    group would get a class without a decision. A class whose own group is still in the MIS keeps it to the last day of
    its year, and then takes the approved group of the next one in its place.
    """
    over = choices.following(Follow.ENDED)
    keys = class_keys(groups, records, settings.rollover, over)
    new = {key: group for key, group in keys.items() if key not in records and key not in requested}
    free = [record for key, record in sorted(records.items()) if key not in pinned | over]
    left, groups_without = [record for record in free if record.key not in keys], list(new.values())
    going_on = _with_next_year(free, keys, groups_without)
    candidates = [*left, *going_on]
    asked = _asked(candidates, new, settings.rollover, choices, decisions)
    within = asked.with_others(_within_year(left, groups_without, records, decisions, asked))
    found = _find(candidates, groups_without, settings.rollover, choices, within)
    parts = [_part(each, new[each.new_key]) for each in found.proposed]
    proposals = [Proposal(part, decisions.by_digest.get(part.digest, HoldStatus.OPEN)) for part in parts]
    runs_on = {record.key for record in going_on if _runs_on(record, day)}
    approved = {
        each.part.key: each.part.continues
        for each in proposals
        if each.status is HoldStatus.APPROVED and each.part.continues not in runs_on
    }
    taken = frozenset(approved.values())
    return FollowedGroups(
        groups={approved.get(key, key): group for key, group in keys.items() if key not in taken},
        proposals=tuple(proposals),
        waiting=frozenset(
            each.part.key
            for each in proposals
            if each.status is HoldStatus.OPEN
            or (each.status is HoldStatus.APPROVED and each.part.key not in approved)
            or (each.status is HoldStatus.REJECTED and new[each.part.key].type not in settings.types)
        ),
        undecided=found.undecided,
    )


def _with_next_year(
    classes: Iterable[ClassRecord], keys: Mapping[ClassKey, MisGroup], new: Iterable[MisGroup]
) -> list[ClassRecord]:
    """The classes that have their own groups, while the MIS has new groups of the year that follows theirs."""
    before = {group.academic_year - 1 for group in new}
    return [
        record
        for record in classes
        if (year := record.desired.academic_year) in before
        and record.key in keys
        and keys[record.key].academic_year == year
    ]


def _runs_on(record: ClassRecord, day: SchoolDay) -> bool:
    """Whether the class follows its own group: pupils of the next year may not come in, and its last day is ahead."""
    year = record.desired.academic_year
    return not day.pupils_are_in(year + 1) and day.calendar.last_day is not None and not day.is_over(year)


def goes_on(choices: Choices, record: ClassRecord) -> bool:
    """Whether an admin chose that the class may go on into the academic year that follows its own."""
    choice, following = choices.classes.get(record.key), record.desired.academic_year + 1
    return choice is not None and choice.follow is Follow.TWO_YEARS and choice.goes_into == following


def _asked(
    classes: Iterable[ClassRecord],
    new: Mapping[ClassKey, MisGroup],
    rollover: Rollover,
    choices: Choices,
    decisions: Decisions,
) -> Continuations:
    """What an admin was asked about, or approved, and is still possible: each pair is judged on its own."""
    by_key = {record.key: record for record in classes}
    found: list[Continuation] = []
    for key, new_key in sorted(decisions.asked):
        if key in by_key and new_key in new:
            pair = [by_key[key]], [new[new_key]]
            found += _find(*pair, rollover, choices, propose_continuations(*pair, 0)).proposed
    return Continuations(tuple(only_choices(found, lambda each: (each.key, each.new_key))))


def _find(
    left: Sequence[ClassRecord], new: Sequence[MisGroup], rollover: Rollover, choices: Choices, within: Continuations
) -> Continuations:
    """The proposals `within` the academic year, and of what is left then, those from the year before."""
    classes, groups = within.left_of(left, new)
    if rollover is Rollover.REUSE:
        return within.with_others(propose_continuations(classes, groups, 1))
    going = [record for record in classes if rollover is Rollover.ASK or goes_on(choices, record)]
    return within.with_others(propose_going_on(going, groups))


def _within_year(
    left: Sequence[ClassRecord],
    new: Sequence[MisGroup],
    records: Records,
    decisions: Decisions,
    asked: Continuations,
) -> Continuations:
    """The proposals for classes and groups of one academic year, but for those that were `asked`.

    Names count always. Pupils alone count only where most classes of the year have lost their groups, because the MIS
    changed its ids: groups with the same pupils follow each other during a year too, as in a carousel of subjects. What
    was rejected stays rejected.
    """
    found = propose_continuations(*asked.left_of(left, new), 0)
    years = {group.academic_year for group in new}
    of_years = [record for record in records.values() if record.desired.academic_year in years]
    if 2 * sum(record.desired.academic_year in years for record in left) > len(of_years):
        return found
    groups = {class_key(group): group for group in new}
    proposed = [
        each
        for each in found.proposed
        if each.name is NameEvidence.SAME or _part(each, groups[each.new_key]).digest in decisions.by_digest
    ]
    named = {group for key, group in groups.items() if key in found.undecided and _has_name(group, left)}
    return Continuations(tuple(proposed), frozenset(map(class_key, named)))


def _has_name(group: MisGroup, classes: Iterable[ClassRecord]) -> bool:
    year_and_type = (group.type, group.academic_year)
    return any(
        _then(record, 0) == year_and_type and name_evidence(record, group, 0) is NameEvidence.SAME for record in classes
    )


def propose_continuations(classes: Sequence[ClassRecord], groups: Sequence[MisGroup], years: int) -> Continuations:
    """The proposals for the `classes` that may get another group, and the `groups` that have no class.

    Both are of one school. A class and a group of its type, `years` later, are paired by their name if no other class
    and no other group has it; the others by their pupils, if most of the class are in the group and most of the group
    were in the class. Names decide first, because a school that reuses classes keeps those of the same name, and so
    does an MIS that gives its groups other ids. What is not the only choice is not proposed.
    """
    return _propose(
        classes,
        groups,
        years,
        same=lambda record, group: name_evidence(record, group, 0) is NameEvidence.SAME,
        apart=lambda record, group: bool(years) and have_two_subjects(record, group),
    )


def propose_going_on(classes: Sequence[ClassRecord], groups: Sequence[MisGroup]) -> Continuations:
    """The same for classes that go on with their people into the following academic year.

    A class and a group that have pupils in common are paired by their MIS id, or by their name: the same one, or the
    one that follows, as 11A/Ma1 follows 10A/Ma1. The others are paired by their pupils. Another subject is another
    class. A year group of the same name and the same pupils is not proposed: the MIS has not moved them up yet.
    """

    def same(record: ClassRecord, group: MisGroup) -> bool:
        named = name_evidence(record, group, 1) is not NameEvidence.OTHER or record.desired.group_id == group.id
        return named and not apart(record, group) and len(pupils_of(record) & set(group.students)) >= _FEWEST

    def apart(record: ClassRecord, group: MisGroup) -> bool:
        not_moved = group.type is GroupType.YEAR and name_evidence(record, group, 1) is NameEvidence.SAME
        return not_moved or have_two_subjects(record, group)

    return _propose(classes, groups, 1, same, apart)


def _propose(
    classes: Sequence[ClassRecord],
    groups: Sequence[MisGroup],
    years: int,
    same: Callable[[ClassRecord, MisGroup], bool],
    apart: Callable[[ClassRecord, MisGroup], bool],
) -> Continuations:
    """The pairs that are the `same`, and of the others those with the same pupils that are not `apart`."""
    kept = [record for record in classes if record.state not in WITHOUT_CLASS]
    if not kept:
        return Continuations()
    named = [pair for pair in _with_names(kept, groups, years) if same(*pair)]
    pairs = only_choices(named, _keys_of)
    classes_named, groups_named = {record.key for record, _ in pairs}, {class_key(group) for _, group in pairs}
    others = [record for record in kept if record.key not in classes_named]
    unnamed = [group for group in groups if class_key(group) not in groups_named]
    alike = [pair for pair in _by_pupils(others, unnamed, years) if not apart(*pair)]
    pairs += only_choices(alike, _keys_of)
    proposed = tuple(sorted((continuation_of(*pair) for pair in pairs), key=lambda each: each.key))
    possible = {class_key(group) for _, group in (*named, *alike)}
    return Continuations(proposed, frozenset(possible - {each.new_key for each in proposed}))


def _with_names(classes: Iterable[ClassRecord], groups: Iterable[MisGroup], years: int) -> list[_Pair]:
    """The pairs of one type, `years` apart, that have one id or one name, or of which one name follows the other."""
    known: dict[tuple[GroupType, int, str], list[MisGroup]] = defaultdict(list)
    for group in groups:
        for mark in {f"id {group.id}", *([f"name {name}"] if (name := folded_name(group.name)) else ())}:
            known[group.type, group.academic_year, mark].append(group)
    pairs: list[_Pair] = []
    for record in classes:
        name = folded_name(record.desired.group_name)
        marks = {f"id {record.desired.group_id}", f"name {name}", f"name {following_name(name)}"}
        found = {group.id: group for mark in marks for group in known.get((*_then(record, years), mark), ())}
        pairs += [(record, group) for _, group in sorted(found.items())]
    return pairs


def _by_pupils(classes: Iterable[ClassRecord], groups: Iterable[MisGroup], years: int) -> list[_Pair]:
    with_pupil: dict[tuple[GroupType, int, MisId], list[MisGroup]] = defaultdict(list)
    for group in groups:
        for pupil in set(group.students):
            with_pupil[group.type, group.academic_year, pupil].append(group)
    pairs: list[_Pair] = []
    for record in classes:
        pupils = pupils_of(record)
        theirs = [group for pupil in pupils for group in with_pupil.get((*_then(record, years), pupil), ())]
        shared, by_id = Counter(group.id for group in theirs), {group.id: group for group in theirs}
        pairs += [(record, by_id[id_]) for id_, count in shared.items() if _alike(count, len(pupils), by_id[id_])]
    return pairs


def _alike(shared: int, before: int, group: MisGroup) -> bool:
    return shared >= _FEWEST and 2 * shared > max(before, len(group.students))


def only_choices(pairs: Iterable[_T], keys_of: Callable[[_T], tuple[str, str]]) -> list[_T]:
    """The pairs of which neither side is in another pair."""
    keys = [(pair, *keys_of(pair)) for pair in pairs]
    ones, others = Counter(one for _, one, _ in keys), Counter(other for _, _, other in keys)
    return [pair for pair, one, other in keys if ones[one] == others[other] == 1]


def _keys_of(pair: _Pair) -> tuple[ClassKey, ClassKey]:
    record, group = pair
    return record.key, class_key(group)


def _part(proposed: Continuation, group: MisGroup) -> HeldClass:
    """The proposal as the part of a hold, which is another one if other people are in the group."""
    return continuing_class(
        proposed.new_key,
        proposed.key,
        group.name,
        proposed.text,
        students=proposed.before,
        lost=proposed.before - proposed.shared,
        people={*group.students, *group.teachers},
    )


def _then(record: ClassRecord, years: int) -> tuple[GroupType, int]:
    return record.desired.group_type, record.desired.academic_year + years
