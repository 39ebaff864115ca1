"""A plan as a page shows it: what would come and go, class by class, the largest losses first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sync_core.domain.ids import AccountId, ClassKey
from sync_core.domain.runs import RunOutcome
from sync_core.http.console.formats import count
from sync_core.http.console.views.runs.moves import MovedClass, moves_of, rule_text
from sync_core.planning.explain.causes import Why
from sync_core.planning.preview.preview import ClassChange, Preview

_NAMED_CLASSES = 2


class Show(StrEnum):
    """Which classes of a plan to list."""

    ALL = "all"
    LEAVING = "leaving"
    NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """A plan in numbers and classes. `joining` and `leaving` count people, and the others classes.

    `held` classes are no part of the plan. `made`: a plan could be made; otherwise its notes say why not.
    """

    plan: Preview
    joining: int
    leaving: int
    created: int
    teams_made: int
    teams_opened: int
    held: int
    unchanged: int
    classes: tuple[MovedClass, ...]

    @property
    def made(self) -> bool:
        return self.plan.run.outcome is RunOutcome.PLANNED

    @property
    def totals(self) -> str:
        """`4 people join, 2 people leave, 1 class is created`: the people always, and classes if there are any."""
        people = (
            count(self.joining, "person joins", "people join"),
            count(self.leaving, "person leaves", "people leave"),
        )
        others = (
            (self.created, "class is created", "classes are created"),
            (len(self.classes) - self.created, "class is changed", "classes are changed"),
            (self.teams_made, "team is made", "teams are made"),
            (self.teams_opened, "team is activated", "teams are activated"),
        )
        return ", ".join((*people, *(count(*each) for each in others if each[0])))

    def shown(self, show: Show, only: ClassKey | None = None) -> tuple[MovedClass, ...]:
        """The classes of a choice, or one of them."""
        chosen = {Show.ALL: self.classes, Show.LEAVING: self._leaving, Show.NEW: self._new}[show]
        return tuple(each for each in chosen if only in (None, each.key))

    @property
    def _leaving(self) -> tuple[MovedClass, ...]:
        return tuple(each for each in self.classes if each.leaves)

    @property
    def _new(self) -> tuple[MovedClass, ...]:
        return tuple(each for each in self.classes if each.new)


def view_plan(plan: Preview) -> PlanView:
    joins, leaves = _classes_by_person(plan, joins=True), _classes_by_person(plan, joins=False)
    classes = [_moved(change, joins, leaves) for change in plan.classes]
    return PlanView(
        plan=plan,
        joining=len(plan.joining),
        leaving=len(plan.leaving),
        created=len(plan.run.created),
        teams_made=len(plan.run.teams_made),
        teams_opened=len(plan.run.teams_opened),
        held=len(plan.run.held),
        unchanged=plan.run.unchanged,
        classes=tuple(sorted(classes, key=lambda each: (-each.leaves, each.title.casefold(), each.key))),
    )


_Classes = Mapping[AccountId, Sequence[str]]
_CAUSES = {
    Why.NOT_LISTED: "not in the group in the MIS",
    Why.NOT_LISTED_SINCE: "no longer in the group in the MIS",
    Why.NO_PERSON: "nobody in the MIS has this account",
    Why.PINNED_OUT: "not in the class as it is pinned",
    Why.NOT_MAIN_TEACHER: "not the main teacher, and only that one owns the class",
    Why.NO_TEACHER_OWNS: "no teacher owns a class of this type",
}


def _classes_by_person(plan: Preview, *, joins: bool) -> _Classes:
    found: dict[AccountId, list[str]] = defaultdict(list)
    for change in plan.classes:
        for person in change.members_added if joins else change.members_removed:
            found[person].append(_title(change))
    return found


def _moved(change: ClassChange, joins: _Classes, leaves: _Classes) -> MovedClass:
    coming, going = change.members_added | change.owners_granted, change.members_removed | change.owners_revoked
    why = {person: _why(change, person, "also leaves", leaves) for person in coming}
    why |= {person: _why(change, person, "joins", joins) for person in going}
    texts = (
        (change.delete, "Deleted, as an admin requested"),
        (change.by_hand, "Changed by hand"),
        (change.recalled, "Reverses a change"),
        (change.year_end, "Year end"),
    )
    moves = moves_of(change.members_added, change.members_removed, change.owners_granted, change.owners_revoked, why)
    return MovedClass(
        key=change.key,
        title=_title(change),
        name=change.name,
        new=change.create,
        tags=tuple(text for applies, text in texts if applies),
        detail=_detail(change),
        moves=moves,
    )


def _title(change: ClassChange) -> str:
    return change.group_name or change.name


def _why(change: ClassChange, person: AccountId, verb: str, elsewhere: _Classes) -> str:
    reason = change.reasons.get(person)
    cause = rule_text(reason) if reason else _CAUSES.get(change.causes[person], change.why[person])
    others = [title for title in elsewhere.get(person, ()) if title != _title(change)]
    if not others:
        return cause
    more = f" and {count(len(others) - _NAMED_CLASSES, 'more')}" if len(others) > _NAMED_CLASSES else ""
    return f"{cause}; {verb} {', '.join(others[:_NAMED_CLASSES])}{more}"


def _detail(change: ClassChange) -> str:
    if change.delete:
        return ""
    wanted = f"{count(change.wanted.members or 0, 'member')}, {count(change.wanted.owners, 'owner')}"
    if change.now is None:
        return f"will have {wanted}"
    members = "members hidden" if change.now.members is None else count(change.now.members, "member")
    return f"{members} {change.moment}, {count(change.wanted.members or 0)} after"
