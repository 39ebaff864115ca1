"""The classes of a plan as the school's calendar allows them on one day: who waits, and who stays.

The calendar takes nobody out of a class and adds nobody to one. It only withholds what the rules want.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sync_core.domain.classes.desired import DesiredClass, Reason
from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.classes.teams import DesiredTeam
from sync_core.domain.ids import AccountId, ClassKey
from sync_core.domain.school.year import Pause
from sync_core.planning.year.calendar import SchoolDay

_NOBODY: frozenset[AccountId] = frozenset()


class YearRule(StrEnum):
    """Why the calendar keeps a class from what the rules want.

    NOT_MADE: a class of the coming year, before its teachers come in. WITHOUT_PUPILS: before its pupils come in.
    GOES_ON: last year's class that a group of the coming year keeps, before its pupils come in. OVER: the year of the
    class is over, and one that does not exist is not made. PAUSED: nobody leaves during a pause.
    """

    NOT_MADE = "not_made"
    WITHOUT_PUPILS = "without_pupils"
    GOES_ON = "goes_on"
    OVER = "over"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """What the calendar withholds of one class: people who would join it (`coming`), and who would leave (`staying`).

    `owners` are those whom the rules want as owners. `there` are pupils of a class of the coming year who are in it
    before their day, and stay.
    """

    rule: YearRule
    coming: frozenset[AccountId] = _NOBODY
    staying: frozenset[AccountId] = _NOBODY
    owners: frozenset[AccountId] = _NOBODY
    there: frozenset[AccountId] = _NOBODY


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The classes to plan, and what the calendar withholds of others and of these, by key."""

    classes: tuple[DesiredClass, ...] = ()
    withheld: Mapping[ClassKey, Withheld] = field(default_factory=dict)

    def keys(self, *rules: YearRule) -> tuple[ClassKey, ...]:
        """The classes of which something is withheld by one of these rules, in order."""
        return tuple(sorted(key for key, each in self.withheld.items() if each.rule in rules))

    def pupils_to_come(self, *rules: YearRule) -> frozenset[AccountId]:
        """Everybody who joins a class later and owns none of these, as far as these rules withhold them."""
        return _NOBODY.union(*(each.coming - each.owners for each in self.withheld.values() if each.rule in rules))


NOTHING_WITHHELD = Arrangement()


def arrange(wanted: Iterable[DesiredClass], records: Records, day: SchoolDay) -> Arrangement:
    """The `wanted` classes, as far as the calendar allows them on this day.

    A pinned class is an admin's, and follows neither a pause nor the end of its year, but no pupil comes into it before
    their day either. What is arranged may be arranged again.
    """
    classes: list[DesiredClass] = []
    withheld: dict[ClassKey, Withheld] = {}
    for desired in wanted:
        record = records.get(desired.key)
        rule = _rule(desired, record, day)
        arranged = desired if rule is None else _under(rule, desired, record, day)
        if arranged:
            classes.append(arranged)
        if rule and (found := _withheld(rule, desired, arranged, record)):
            withheld[desired.key] = found
    return Arrangement(tuple(classes), withheld)


def only_by_plan(record: ClassRecord, day: SchoolDay) -> bool:
    """Whether the calendar may withhold what the row wants, so that only a plan corrects the class on this day.

    The row may be of a plan from before the dates were set.
    """
    year = record.desired.academic_year
    return day.pause is not None or day.is_over(year) or not day.pupils_are_in(year)


def as_limits_see(records: Records, wanted: Iterable[DesiredClass], day: SchoolDay) -> Records:
    """The rows without the pupils whom a row wants in a class of the coming year and who are not in it.

    Such a row was planned before the calendar was set. A pupil who is withheld is no loss.
    """
    changed = {}
    for desired in wanted:
        record = records.get(desired.key)
        if record and _rule(desired, record, day) is YearRule.WITHOUT_PUPILS:
            before = record.desired
            without = _without_pupils(before, _inside(before, record))
            if without is not before:
                changed[desired.key] = replace(record, desired=without)
    return {**records, **changed} if changed else records


def _rule(desired: DesiredClass, record: ClassRecord | None, day: SchoolDay) -> YearRule | None:
    year = desired.academic_year
    followed = record is not None and not desired.pinned and desired.generation == record.desired.generation
    if desired.deleted:
        return None
    if not day.pupils_are_in(year):
        if record is None and not day.teachers_are_in(year):
            return YearRule.NOT_MADE
        goes_on = followed and record is not None and day.pupils_are_in(record.desired.academic_year)
        return YearRule.GOES_ON if goes_on else YearRule.WITHOUT_PUPILS
    if day.is_over(year) and (followed or record is None):
        return YearRule.OVER
    return YearRule.PAUSED if day.pause is Pause.ADDITIONS_ONLY and followed else None


def _under(rule: YearRule, desired: DesiredClass, record: ClassRecord | None, day: SchoolDay) -> DesiredClass | None:
    """The class as the rule allows it; None if it is not to be made."""
    if record is None:
        return _without_pupils(desired, _NOBODY) if rule is YearRule.WITHOUT_PUPILS else None
    inside = _inside(desired, record)
    match rule:
        case YearRule.GOES_ON:
            new_owners = desired.owners if day.teachers_are_in(desired.academic_year) else _NOBODY
            return _as_before(desired, record.desired, new_owners)
        case YearRule.OVER:
            return _as_it_is(desired, record, inside)
        case YearRule.WITHOUT_PUPILS:
            allowed = _without_pupils(desired, inside)
            paused = day.pause is Pause.ADDITIONS_ONLY and not desired.pinned
            return _with(allowed, inside, record.desired) if paused else allowed
        case _:
            return _with(desired, inside, record.desired)


def _inside(desired: DesiredClass, record: ClassRecord) -> frozenset[AccountId]:
    """The people who are in the class, or whom an admin puts back. Those whom a row only wants are not in it.

    A plan that wants them may be under way.
    """
    actual = record.actual
    if actual is None or record.gone or desired.generation > record.generation:
        return _NOBODY
    ending = record.desired.year_end
    returning = ending.pupils if ending and ending.taken_back and record.year_end_waits else _NOBODY
    return _joined(_joined(actual.members or _NOBODY, actual.owners), returning)


def _joined(some: frozenset[AccountId], others: frozenset[AccountId]) -> frozenset[AccountId]:
    """The same set where it has the others: on most days the calendar withholds nobody, and no set is copied."""
    return some if others <= some else some | others


def _within(reasons: Mapping[AccountId, Reason], people: frozenset[AccountId]) -> Mapping[AccountId, Reason]:
    """The reasons of these people, as the same mapping where they are all."""
    return reasons if reasons.keys() <= people else {one: why for one, why in reasons.items() if one in people}


def _having(desired: DesiredClass, **fields: Any) -> DesiredClass:
    """The class with these fields, which is the same class where it has them."""
    other = {name: value for name, value in fields.items() if getattr(desired, name) != value}
    return replace(desired, **other) if other else desired


def _without_pupils(desired: DesiredClass, inside: frozenset[AccountId]) -> DesiredClass:
    outside = desired.members - inside - desired.owners
    members = _joined(desired.members - outside if outside else desired.members, desired.owners)
    # Nobody is let into its team before the day either.
    team = DesiredTeam.LOCKED if desired.team is DesiredTeam.OPEN else desired.team
    return _having(desired, members=members, reasons=_within(desired.reasons, members), team=team)


def _with(desired: DesiredClass, inside: frozenset[AccountId], before: DesiredClass) -> DesiredClass:
    """The class with the people who are in it, in the roles that they have."""
    staying = inside - desired.reasons.keys()
    reasons = {person: before.reasons[person] for person in staying if person in before.reasons}
    return _having(
        desired,
        members=_joined(desired.members, inside),
        owners=_joined(desired.owners, before.owners & inside),
        revoke=False,
        reasons=reasons | dict(desired.reasons) if reasons else desired.reasons,
    )


def _as_before(desired: DesiredClass, before: DesiredClass, new_owners: frozenset[AccountId]) -> DesiredClass:
    """The class as its row wants it, with these owners in addition.

    It keeps its year, too: so the plan of the day on which its pupils come in sees a class that rolls over.
    """
    reasons = {person: desired.reasons[person] for person in new_owners if person in desired.reasons}
    return _having(
        before,
        members=_joined(before.members, new_owners),
        owners=_joined(before.owners, new_owners),
        reasons=reasons | dict(before.reasons) if reasons.keys() - before.reasons.keys() else before.reasons,
        revoke=False,
        ended=desired.ended,
        deleted=desired.deleted,
        pinned=desired.pinned,
        team=desired.team,
    )


def _as_it_is(desired: DesiredClass, record: ClassRecord, inside: frozenset[AccountId]) -> DesiredClass | None:
    """The class with the people who are in it, in the roles that they have, and no others; None if it was never made.

    The row may want a member as an owner, if the changes of its last plan were lost.
    """
    before = _having(_as_before(desired, record.desired, _NOBODY), team=record.desired.team)
    if record.gone:
        return before
    if record.actual is None:
        return None
    owners = before.owners & inside & record.actual.owners
    return _having(before, members=inside, owners=owners, reasons=_within(before.reasons, inside))


def _withheld(
    rule: YearRule, desired: DesiredClass, arranged: DesiredClass | None, record: ClassRecord | None
) -> Withheld | None:
    if arranged is desired and rule is not YearRule.WITHOUT_PUPILS:
        return None
    members, owners = (arranged.members, arranged.owners) if arranged else (_NOBODY, _NOBODY)
    there = members - owners if rule is YearRule.WITHOUT_PUPILS else _NOBODY
    found = Withheld(
        rule=rule,
        coming=(desired.members - members) | (desired.owners - owners),
        owners=desired.owners,
        staying=(members - desired.members) | (owners - desired.owners),
        there=there & _inside(desired, record) if record else _NOBODY,
    )
    nothing = not (found.coming or found.staying or found.there) and arranged is not None
    return None if nothing else found
