"""Which of this year's groups continue last year's classes where the MIS gave every group a new id.

A proposal says why. Nothing follows from it until an admin agrees.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType

from sync_core.domain.classes.desired import Rule
from sync_core.domain.classes.record import ClassRecord, ClassState, Records
from sync_core.domain.ids import ClassKey, MisId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.runs import HeldClass, HoldStatus
from sync_core.domain.school.settings import Rollover, SchoolSettings
from sync_core.planning.limits.holds import continuing_class
from sync_core.planning.naming.class_keys import class_key, class_keys
from sync_core.planning.naming.names import clean_group_name

_WITHOUT_CLASS = (ClassState.GONE, ClassState.DELETING, ClassState.DELETED)
_FEWEST = 3
"""Fewer pupils than this may have come together by chance."""
NO_DECISIONS: Mapping[str, HoldStatus] = MappingProxyType({})
_Pair = tuple[ClassRecord, MisGroup]


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """A group of this year that may continue the class `key` of last year, in place of a class of its own (`new_key`).

    `same_name` is whether both have one name in the MIS. `shared` counts the pupils that are in both, of those that the
    class has (`before`) and the group has (`now`).
    """

    key: ClassKey
    new_key: ClassKey
    same_name: bool
    shared: int
    before: int
    now: int

    @property
    def text(self) -> str:
        """What the new class is, as the part of a hold says it."""
        name = "the same name" if self.same_name else "another name"
        return (
            f"waits: it may continue class {self.key}, whose group had {name} in the MIS: {self.shared} of its "
            f"{self.before} pupils are in the new group, which has {self.now}"
        )


@dataclass(frozen=True, slots=True)
class Continuations:
    """What is proposed, in the order of keys.

    `undecided` are the keys of new classes whose groups might continue another class, but not as the only choice.
    """

    proposed: tuple[Continuation, ...] = ()
    undecided: frozenset[ClassKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A continuation as the part of a hold, with the decision on it. The part has the key of the group's new class."""

    part: HeldClass
    status: HoldStatus

    @property
    def keys(self) -> frozenset[ClassKey]:
        """The new class and that of last year."""
        return frozenset((self.part.key, self.part.continues))


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedGroups:
    """The groups by the key of the class that they have, continue or would get.

    Only an approved proposal gives a group last year's class under another MIS id. `waiting` are the keys of new
    classes that are not made: nobody decided on them, or only an approval would give these groups a class, because
    their types are not chosen. `undecided` are keys as in Continuations.
    """

    groups: Mapping[ClassKey, MisGroup]
    proposals: tuple[Proposal, ...] = ()
    waiting: frozenset[ClassKey] = frozenset()
    undecided: frozenset[ClassKey] = frozenset()

    @property
    def proposed(self) -> frozenset[ClassKey]:
        """Last year's classes that wait for a decision."""
        return frozenset(each.part.continues for each in self.proposals if each.status is HoldStatus.OPEN)


def follow_groups(
    groups: Sequence[MisGroup],
    records: Records,
    settings: SchoolSettings,
    requested: Set[ClassKey],
    pinned: Set[ClassKey],
    decided: Mapping[str, HoldStatus],
) -> FollowedGroups:
    """Return the groups by the key of their class.

    A new class that is `requested` is not held, and a `pinned` one does not follow another group. `decided` are the
    decisions on proposals by digest.
    """
    keys = class_keys(groups, records, settings.rollover)
    if settings.rollover is Rollover.NEW:
        return FollowedGroups(groups=keys)
    new = {key: group for key, group in keys.items() if key not in records and key not in requested}
    left = [record for key, record in sorted(records.items()) if key not in keys and key not in pinned]
    found = propose_continuations(left, list(new.values()))
    parts = [_part(each, new[each.new_key]) for each in found.proposed]
    proposals = [Proposal(part, decided.get(part.digest, HoldStatus.OPEN)) for part in parts]
    approved = {each.part.key: each.part.continues for each in proposals if each.status is HoldStatus.APPROVED}
    return FollowedGroups(
        groups={approved.get(key, key): group for key, group in keys.items()},
        proposals=tuple(proposals),
        waiting=frozenset(
            each.part.key
            for each in proposals
            if each.status is HoldStatus.OPEN
            or (each.status is HoldStatus.REJECTED and new[each.part.key].type not in settings.types)
        ),
        undecided=found.undecided,
    )


def propose_continuations(classes: Sequence[ClassRecord], groups: Sequence[MisGroup]) -> Continuations:
    """The proposals for the `classes` whose groups the MIS no longer has, and the `groups` that have no class.

    Both are of one school. A class and a group of its type in the following academic year are paired by their name if
    no other class and no other group has it; the others by their pupils, if most of the class are in the group and most
    of the group were in the class. Names decide first, because a school that reuses classes keeps those of the same
    name. What is not the only choice is not proposed.
    """
    kept = [record for record in classes if record.state not in _WITHOUT_CLASS]
    named = _by_name(kept, groups)
    pairs = _only_choices(named)
    classes_named, groups_named = {record.key for record, _ in pairs}, {class_key(group) for _, group in pairs}
    others = [record for record in kept if record.key not in classes_named]
    alike = _by_pupils(others, [group for group in groups if class_key(group) not in groups_named])
    pairs += _only_choices(alike)
    proposed = tuple(sorted((_continuation(*pair) for pair in pairs), key=lambda each: each.key))
    possible = {class_key(group) for _, group in (*named, *alike)}
    return Continuations(proposed, frozenset(possible - {each.new_key for each in proposed}))


def _by_name(classes: Iterable[ClassRecord], groups: Iterable[MisGroup]) -> list[_Pair]:
    called: dict[tuple[GroupType, int, str], list[MisGroup]] = defaultdict(list)
    for group in groups:
        if name := _folded(group.name):
            called[group.type, group.academic_year, name].append(group)
    wanted = ((record, (*_next_year(record), _folded(record.desired.group_name))) for record in classes)
    return [(record, group) for record, name in wanted for group in called.get(name, ())]


def _by_pupils(classes: Iterable[ClassRecord], groups: Iterable[MisGroup]) -> list[_Pair]:
    with_pupil: dict[tuple[GroupType, int, MisId], list[MisGroup]] = defaultdict(list)
    for group in groups:
        for pupil in set(group.students):
            with_pupil[group.type, group.academic_year, pupil].append(group)
    pairs: list[_Pair] = []
    for record in classes:
        pupils = _pupils(record)
        theirs = [group for pupil in pupils for group in with_pupil.get((*_next_year(record), pupil), ())]
        shared, by_id = Counter(group.id for group in theirs), {group.id: group for group in theirs}
        pairs += [(record, by_id[id_]) for id_, count in shared.items() if _alike(count, len(pupils), by_id[id_])]
    return pairs


def _alike(shared: int, before: int, group: MisGroup) -> bool:
    return shared >= _FEWEST and 2 * shared > max(before, len(group.students))


def _only_choices(pairs: Sequence[_Pair]) -> list[_Pair]:
    """The pairs whose class and whose group are in no other pair."""
    classes, groups = Counter(record.key for record, _ in pairs), Counter(class_key(group) for _, group in pairs)
    return [(record, group) for record, group in pairs if classes[record.key] == groups[class_key(group)] == 1]


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


def _continuation(record: ClassRecord, group: MisGroup) -> Continuation:
    pupils = _pupils(record)
    return Continuation(
        key=record.key,
        new_key=class_key(group),
        same_name=_folded(record.desired.group_name) == _folded(group.name),
        shared=len(pupils & set(group.students)),
        before=len(pupils),
        now=len(group.students),
    )


def _pupils(record: ClassRecord) -> set[MisId]:
    return {MisId(reason.record) for reason in record.desired.reasons.values() if reason.rule is Rule.STUDENT}


def _next_year(record: ClassRecord) -> tuple[GroupType, int]:
    return record.desired.group_type, record.desired.academic_year + 1


def _folded(name: str) -> str:
    return " ".join(clean_group_name(name).casefold().split())
