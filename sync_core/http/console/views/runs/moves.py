"""Who joins and leaves each class, in the words of a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sync_core.domain.classes.desired import Reason, Rule
from sync_core.domain.ids import AccountId, AccountIds, ClassKey
from sync_core.http.console.names import MOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A person who joins a class or leaves it, as a member or as an owner, and why."""

    person: AccountId
    joins: bool
    verb: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedClass:
    """A class with those who come and go. `new`: it is created. `detail` is what else a page says of it."""

    key: ClassKey
    title: str
    name: str
    new: bool = False
    tags: tuple[str, ...] = ()
    detail: str = ""
    moves: tuple[Move, ...] = ()

    @property
    def joins(self) -> int:
        return sum(move.joins for move in self.moves)

    @property
    def leaves(self) -> int:
        return len(self.moves) - self.joins


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMove:
    """A move of a person by their name, or by their Entra id if Microsoft 365 did not give the name."""

    name: str
    move: Move


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedClass:
    """A class with the moves that a page lists; `more` are not listed."""

    moved: MovedClass
    moves: tuple[NamedMove, ...]
    more: int


def moves_of(
    added: AccountIds, removed: AccountIds, granted: AccountIds, revoked: AccountIds, why: Mapping[AccountId, str]
) -> tuple[Move, ...]:
    """One move for each person and direction: those who leave first, in order of id."""
    leaving = [_move(person, False, _leaves(person, removed, revoked), why) for person in sorted(removed | revoked)]
    joining = [_move(person, True, _joins(person, added, granted), why) for person in sorted(added | granted)]
    return (*leaving, *joining)


def _move(person: AccountId, joins: bool, verb: str, why: Mapping[AccountId, str]) -> Move:
    return Move(person=person, joins=joins, verb=verb, why=why.get(person, ""))


def _leaves(person: AccountId, removed: AccountIds, revoked: AccountIds) -> str:
    if person not in revoked:
        return "leaves"
    return "leaves, was owner" if person in removed else "no longer owner"


def _joins(person: AccountId, added: AccountIds, granted: AccountIds) -> str:
    if person not in granted:
        return "joins"
    return "joins as owner" if person in added else "becomes owner"


_RULES = {
    Rule.STUDENT: "in the group in the MIS",
    Rule.TEACHER: "teaches the group in the MIS",
    Rule.ADMIN_OWNER: "an admin owner in the settings",
    Rule.CREATOR: "requested the class",
    Rule.IN_DOUBT: "their account is in doubt, so they stay",
    Rule.EXTRA_OWNER: "an extra owner",
    Rule.PINNED: "was in the class when an admin pinned it",
    Rule.UNDONE: "was in the class before a run that was undone",
}


def rule_text(reason: Reason) -> str:
    """Why the rules want somebody in a class, without an id."""
    return _RULES[reason.rule]


def people_to_name(classes: Iterable[MovedClass], most: int = MOST) -> tuple[AccountId, ...]:
    """The people whom a page lists: those who leave, then those who join, then the people of new classes."""
    listed = tuple(classes)
    leaving = [move.person for each in listed for move in each.moves if not move.joins]
    joining = [move.person for each in listed if not each.new for move in each.moves if move.joins]
    made = [move.person for each in listed if each.new for move in each.moves if move.joins]
    return tuple(dict.fromkeys([*leaving, *joining, *made]))[:most]


def list_moves(classes: Iterable[MovedClass], names: Mapping[AccountId, str]) -> Sequence[ListedClass]:
    """The classes with the moves of those who have a name in `names`, by name; those who leave come first."""
    return [_listed(each, names) for each in classes]


def _listed(moved: MovedClass, names: Mapping[AccountId, str]) -> ListedClass:
    named = [NamedMove(name=names[move.person], move=move) for move in moved.moves if move.person in names]
    named.sort(key=lambda each: (each.move.joins, each.name.casefold()))
    return ListedClass(moved=moved, moves=tuple(named), more=len(moved.moves) - len(named))
