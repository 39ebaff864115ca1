"""Which class teams that teachers made by hand may be those of groups that have no class yet.

A proposal says why, by counts. Nothing follows from it until an admin agrees.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from sync_core.domain.classes.desired import DesiredClass, Rule
from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.classes.teams import DesiredTeam
from sync_core.domain.classes.tenant_groups import TenantClass
from sync_core.domain.ids import AccountId, ClassId, ClassKey
from sync_core.domain.runs import HeldClass, Hold, HoldKind, HoldStatus
from sync_core.errors import SyncError, Transient
from sync_core.planning.limits.holds import adopting_class, parts_of
from sync_core.planning.membership import RuledSchool
from sync_core.planning.naming.class_keys import is_made_by_hand
from sync_core.planning.run_notes import name_some
from sync_core.planning.year.continued import Proposal, only_choices

MOST_READ = 50
"""The people of so many classes are read in one plan: two requests each, within some ten seconds."""
_FEWEST = 3
"""Fewer pupils than this may have come together by chance."""
_Pair = tuple[ClassKey, ClassId]
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class MadeByHand:
    """A class in Microsoft 365 that may be that of a new one: the keys of those with its name, or with one in it."""

    id: ClassId
    keys: tuple[ClassKey, ...]


@dataclass(frozen=True, slots=True)
class SeenPeople:
    """The people of such a class: `members` are without the owners."""

    members: frozenset[AccountId]
    owners: frozenset[AccountId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was learnt of classes that somebody made by hand.

    `keys` are the new classes for which it was looked. `people` are those of the candidates that were read. `unread`
    are the candidates that could not be read, and `failure` is why. Without `listed`, it is not known which classes
    there are.
    """

    keys: frozenset[ClassKey] = frozenset()
    candidates: tuple[MadeByHand, ...] = ()
    people: Mapping[ClassId, SeenPeople] = field(default_factory=dict)
    unread: frozenset[ClassId] = frozenset()
    failure: SyncError | None = None
    listed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoptions:
    """What is proposed, in order of key, and notes.

    `waiting` are the keys of classes that are not made, as nobody has decided yet; `approved` are the classes to adopt.
    """

    proposals: tuple[Proposal, ...] = ()
    waiting: frozenset[ClassKey] = frozenset()
    approved: Mapping[ClassKey, ClassId] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def applied(self, ruled: RuledSchool) -> RuledSchool:
        """What the rules want, with these proposals."""
        if not (self.proposals or self.waiting or self.approved or self.notes):
            return ruled
        classes = (
            replace(each, adopts=self.approved[each.key]) if each.key in self.approved else each
            for each in ruled.classes
        )
        return replace(
            ruled,
            classes=tuple(classes),
            adoptions=self.proposals,
            waiting=ruled.waiting | self.waiting,
            notes=(*ruled.notes, *self.notes),
        )


def new_with_team(ruled: RuledSchool, records: Records, requested: Collection[ClassKey]) -> tuple[DesiredClass, ...]:
    """The classes for which a team may exist already: they are not begun, and want one.

    Not those that somebody requested, nor those that may continue another class, about which an admin decides first.
    """
    return tuple(
        desired
        for desired in ruled.classes
        if desired.team is not DesiredTeam.NONE
        and desired.key not in requested
        and desired.key not in ruled.waiting
        and _not_begun(records.get(desired.key))
    )


def _not_begun(record: ClassRecord | None) -> bool:
    """Whether there is no row, or that of a class that could not adopt what was approved."""
    if record is None:
        return True
    return bool(record.desired.adopts and record.error and not record.actual and not record.intent and not record.gone)


def find_candidates(
    new: Sequence[DesiredClass], existing: Iterable[TenantClass], records: Records
) -> tuple[MadeByHand, ...]:
    """The `existing` classes whose names have all words of the name of a group, one after the other.

    Those with the fewest other words are first. Classes of other products, of this app and of the rows of the school
    are none.
    """
    own = {id_ for record in records.values() for id_ in record.class_ids}
    own |= {adopts for record in records.values() if (adopts := record.adopts)}
    by_word: dict[str, list[tuple[ClassKey, list[str]]]] = defaultdict(list)
    for desired in new:
        if words := _words(desired.group_name):
            by_word[words[0]].append((desired.key, words))
    found: list[tuple[int, MadeByHand]] = []
    for one in existing:
        if one.id in own or not is_made_by_hand(one):
            continue
        said = _words(one.display_name)
        named = (each for word in set(said) for each in by_word.get(word, ()))
        if lengths := {key: len(words) for key, words in named if _has(said, words)}:
            found.append((len(said) - max(lengths.values()), MadeByHand(one.id, tuple(sorted(lengths)))))
    return tuple(each for _, each in sorted(found, key=lambda item: (item[0], item[1].id)))


def teachers_of(desired: DesiredClass) -> frozenset[AccountId]:
    """The owners of the class who teach its group."""
    reasons = desired.reasons
    return frozenset(owner for owner in desired.owners if owner in reasons and reasons[owner].rule is Rule.TEACHER)


def may_be_owned(candidate: MadeByHand, owners: frozenset[AccountId], new: Sequence[DesiredClass]) -> bool:
    """Whether one of the `owners` of the candidate teaches a group whose name it has."""
    return any(each.key in candidate.keys and owners & teachers_of(each) for each in new)


def propose_adoptions(
    new: Sequence[DesiredClass], looked: Looked, standing: Iterable[Hold], decided: Mapping[str, HoldStatus]
) -> Adoptions:
    """The proposals for the `new` classes, with the decisions by the digest of a part.

    A class by hand is proposed if a teacher of the group owns it, and most of its members are pupils of the group, and
    most of these are in it, if they are at least three, and if it is the only choice for both. What was proposed before
    goes on waiting if it cannot be compared now, or if another one is just as good by now.
    """
    by_key = {desired.key: desired for desired in new}
    pairs = [
        (key, each.id)
        for each in looked.candidates
        for key in each.keys
        if (people := looked.people.get(each.id)) and _same(by_key[key], people)
    ]
    before = _waiting_before(standing, decided, by_key)
    asked = {(each.part.key, each.part.adopts) for each in before if each.status is not HoldStatus.REJECTED}
    parts = {key: _part(by_key[key], id_, looked.people[id_]) for key, id_ in _choices(pairs, asked)}
    proposals = {key: Proposal(part, decided.get(part.digest, HoldStatus.OPEN)) for key, part in parts.items()}
    unseen: list[ClassKey] = []
    not_read = {each.id for each in looked.candidates} - looked.people.keys()
    for each in _waiting_before(standing, decided, by_key.keys() - proposals.keys()):
        part = each.part
        if part.key not in looked.keys or not looked.listed or part.adopts in not_read:
            rejected = each.status is HoldStatus.REJECTED
            proposals[part.key] = each if rejected else Proposal(part, HoldStatus.OPEN)
            unseen += [] if rejected else [part.key]
    listed = tuple(each for _, each in sorted(proposals.items()))
    return Adoptions(
        proposals=listed,
        waiting=frozenset(each.part.key for each in listed if each.status is HoldStatus.OPEN),
        approved={each.part.key: each.part.adopts for each in listed if each.status is HoldStatus.APPROVED},
        notes=(
            *_note_on_undecided({key for key, _ in pairs} - parts.keys()),
            *_note_on_unseen(unseen),
            *_notes_on_unread(looked),
        ),
    )


def adoptions_of_part(
    new: Sequence[DesiredClass], standing: Iterable[Hold], decided: Mapping[str, HoldStatus]
) -> Adoptions:
    """For a plan of some classes, which reads nobody: what waits goes on waiting, until a plan of all classes."""
    proposals = tuple(_waiting_before(standing, decided, [desired.key for desired in new]))
    waiting = frozenset(each.part.key for each in proposals if each.status is not HoldStatus.REJECTED)
    return Adoptions(proposals=proposals, waiting=waiting)


def _waiting_before(
    standing: Iterable[Hold], decided: Mapping[str, HoldStatus], keys: Collection[ClassKey]
) -> Iterable[Proposal]:
    """The proposals of earlier plans for these classes, with the decisions on them."""
    for hold, part, status in parts_of(standing, decided):
        if hold.kind is HoldKind.ADOPTION and part.key in keys:
            yield Proposal(part, status)


def _choices(pairs: Sequence[_Pair], asked: Set[_Pair]) -> list[_Pair]:
    """The pairs that were `asked` about, and of the others those that are the only choice for both."""
    waiting = only_choices([pair for pair in pairs if pair in asked], lambda pair: pair)
    classes, teams = {key for key, _ in waiting}, {id_ for _, id_ in waiting}
    others = [pair for pair in pairs if pair[0] not in classes and pair[1] not in teams]
    return [*waiting, *only_choices(others, lambda pair: pair)]


def _same(desired: DesiredClass, people: SeenPeople) -> bool:
    pupils, members = desired.members - desired.owners, people.members
    shared = len(pupils & members)
    most = shared >= _FEWEST and 2 * shared > max(len(pupils), len(members))
    return most and bool(teachers_of(desired) & people.owners)


def _part(desired: DesiredClass, id_: ClassId, people: SeenPeople) -> HeldClass:
    pupils = desired.members - desired.owners
    leaving, joining = people.members - desired.members, desired.members - people.members - people.owners
    what = (
        f"waits: class {id_}, which somebody made in Microsoft 365, may be its class: {len(pupils & people.members)} "
        f"of the {len(people.members)} members of that class are pupils of the group, which has {len(pupils)}, and "
        f"{len(teachers_of(desired) & people.owners)} of its {len(people.owners)} owners teach the group; "
        f"{len(leaving)} people would leave it, and {len(joining)} would come into it"
    )
    return adopting_class(
        desired.key, id_, desired.group_name, what, students=len(people.members), leaving=leaving, joining=joining
    )


def _note_on_undecided(keys: Collection[ClassKey]) -> tuple[str, ...]:
    if not keys:
        return ()
    return (
        f"new classes for which somebody may have made a class team already, but which are not the only choice: "
        f"{len(keys)} ({name_some(sorted(keys))}) — none is taken for another, and each gets a class of its own; what "
        "the group still needs of the other team can be copied from there",
    )


def _note_on_unseen(keys: Sequence[ClassKey]) -> tuple[str, ...]:
    if not keys:
        return ()
    return (
        f"classes for which a team was proposed before, and which cannot be compared with it now: {len(keys)} "
        f"({name_some(sorted(keys))}) — they wait; approve them once the people of the teams can be read, and the "
        "school's calendar withholds nothing of these classes",
    )


def _notes_on_unread(looked: Looked) -> tuple[str, ...]:
    notes: list[str] = []
    if looked.failure:
        again = "request a preview of the school to look again"
        remedy = again if isinstance(looked.failure, Transient) else looked.failure.remedy
        what = f"the people of {len(looked.unread)} classes" if looked.listed else "the tenant's classes"
        notes.append(
            f"{what} could not be read ({looked.failure.message}), so it is not known whether somebody made class "
            f"teams for new classes already — {remedy}"
        )
    if more := len(looked.candidates) - len(looked.people) - len(looked.unread):
        notes.append(
            f"{more} classes with the names of groups were not looked at, because one plan reads the people of "
            f"{MOST_READ}, so it is not known whether they are those of new classes — choose fewer types in team_types "
            "in the school's settings at first"
        )
    return tuple(notes)


def _words(name: str) -> list[str]:
    return _WORD.findall(name.casefold())


def _has(said: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the `words` are in what is said, one after the other."""
    return any(said[at : at + len(words)] == words for at in range(len(said) - len(words) + 1))
