"""Proposes which of this year's groups continue last year's classes where the MIS gave every group a new id.

A proposal says why. Nothing follows from it until an admin agrees.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sync_core.domain.classes import ClassRecord, ClassState, Rule
from sync_core.domain.ids import ClassKey, MisId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.planning.names import clean_group_name

_WITHOUT_CLASS = (ClassState.GONE, ClassState.DELETING, ClassState.DELETED)
_FEWEST = 3
"""Fewer pupils than this may have come together by chance."""
_Pair = tuple[ClassRecord, MisGroup]


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """A group of this year that may continue the class `key` of last year.

    `same_name` is whether both have one name in the MIS. `shared` counts the pupils that are in both, of those that the
    class has (`before`) and the group has (`now`).
    """

    key: ClassKey
    group: MisId
    same_name: bool
    shared: int
    before: int
    now: int


def propose_continuations(classes: Sequence[ClassRecord], groups: Sequence[MisGroup]) -> tuple[Continuation, ...]:
    """The proposals for the `classes` whose groups the MIS no longer has, and the `groups` that have no class.

    Both are of one school. A class and a group of its type in the following academic year are paired by their name if
    no other class and no other group has it; the others by their pupils, if most of the class are in the group and most
    of the group were in the class. Names decide first, because a school that reuses classes keeps those of the same
    name. What is not the only choice is not proposed. The result is in the order of keys.
    """
    kept = [record for record in classes if record.state not in _WITHOUT_CLASS]
    pairs = _by_name(kept, groups)
    classes_named, groups_named = {record.key for record, _ in pairs}, {group.id for _, group in pairs}
    others = [record for record in kept if record.key not in classes_named]
    pairs += _by_pupils(others, [group for group in groups if group.id not in groups_named])
    return tuple(sorted((_continuation(*pair) for pair in pairs), key=lambda each: each.key))


def _by_name(classes: Iterable[ClassRecord], groups: Iterable[MisGroup]) -> list[_Pair]:
    wanted = [(_name(_next_year(one), one.desired.group_name), one) for one in classes]
    offered = [(_name((group.type, group.academic_year), group.name), group) for group in groups]
    classes_called, groups_called = (Counter(name for name, _ in named) for named in (wanted, offered))
    only = {name: group for name, group in offered if classes_called[name] == groups_called[name] == 1}
    return [(record, only[name]) for name, record in wanted if name in only]


def _by_pupils(classes: Iterable[ClassRecord], groups: Iterable[MisGroup]) -> list[_Pair]:
    with_pupil: dict[MisId, list[MisGroup]] = defaultdict(list)
    for group in groups:
        for pupil in group.students:
            with_pupil[pupil].append(group)
    pairs: list[_Pair] = []
    for record in classes:
        pupils, alike = _pupils(record), Counter[MisId]()
        of_next_year = {
            group.id: group
            for pupil in pupils
            for group in with_pupil.get(pupil, ())
            if (group.type, group.academic_year) == _next_year(record)
        }
        alike.update(group.id for pupil in pupils for group in with_pupil.get(pupil, ()) if group.id in of_next_year)
        for id_, shared in alike.items():
            if shared >= _FEWEST and 2 * shared > max(len(pupils), len(of_next_year[id_].students)):
                pairs.append((record, of_next_year[id_]))
    return _without_rivals(pairs)


def _without_rivals(pairs: Sequence[_Pair]) -> list[_Pair]:
    """A pupil may be in several groups, so that two of them have most of one class."""
    classes, groups = Counter(record.key for record, _ in pairs), Counter(group.id for _, group in pairs)
    return [(record, group) for record, group in pairs if classes[record.key] == groups[group.id] == 1]


def _continuation(record: ClassRecord, group: MisGroup) -> Continuation:
    pupils = _pupils(record)
    return Continuation(
        key=record.key,
        group=group.id,
        same_name=_folded(record.desired.group_name) == _folded(group.name),
        shared=len(pupils & set(group.students)),
        before=len(pupils),
        now=len(group.students),
    )


def _pupils(record: ClassRecord) -> set[MisId]:
    return {MisId(reason.record) for reason in record.desired.reasons.values() if reason.rule is Rule.STUDENT}


def _next_year(record: ClassRecord) -> tuple[GroupType, int]:
    return record.desired.group_type, record.desired.academic_year + 1


def _name(of: tuple[GroupType, int], name: str) -> tuple[GroupType, int, str]:
    return (*of, _folded(name))


def _folded(name: str) -> str:
    return " ".join(clean_group_name(name).casefold().split())
