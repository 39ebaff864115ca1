"""What the next sync does to a person's roles in a class, and why it leaves one as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

from sync_core.domain.classes.record import ClassState
from sync_core.domain.ids import AccountId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import HoldStatus, RunOutcome
from sync_core.domain.school.settings import DepartedOwners
from sync_core.planning.explain.causes import Finding, Why
from sync_core.planning.explain.model import Evidence, Next
from sync_core.planning.limits.holds import part_text, parts_of
from sync_core.planning.year.arrangement import YearRule
from sync_core.planning.year.calendar import SchoolDay, in_words, school_day

Effect = tuple[Next, Finding | None]
"""The next sync's effect on a role, and the cause if it is not the rules."""

_OF_CALENDAR: Mapping[YearRule, tuple[Why, Callable[[SchoolDay], date | None]]] = {
    YearRule.NOT_MADE: (Why.CLASS_NOT_YET, lambda day: day.calendar.teachers_in_from),
    YearRule.WITHOUT_PUPILS: (Why.PUPILS_NOT_YET, lambda day: day.pupils_day),
    YearRule.GOES_ON: (Why.PUPILS_NOT_YET, lambda day: day.pupils_day),
    YearRule.OVER: (Why.YEAR_OVER, lambda day: day.calendar.last_day),
    YearRule.PAUSED: (Why.CALENDAR_PAUSE, lambda day: day.calendar.pause_until),
}
"""The cause of each rule of the calendar, and the day that its sentence names."""

_OF_PEOPLE = frozenset({"PersonRefused", "PersonNotFound"})
"""Refusals of some people of a class, who are those that the sync wants in it and did not get there."""


class Outlook:
    """The class after the next sync: `rules` before the limits hold anything, `_final` after that."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._record = evidence.record
        self._planned = evidence.planned
        self.rules = self._planned.wanted.get(self._record.key)
        written = {desired.key: desired for desired in self._planned.plan.writes}
        self._final = written.get(self._record.key, self._record.desired)
        self._owners = evidence.there.owners
        # Where Microsoft 365 does not show the members, the row has those that a sync left there.
        shown, actual = evidence.there.members, self._record.actual
        self._members = shown if shown is not None else (actual.members if actual else None) or frozenset()

    def membership(self, person: AccountId) -> Effect:
        if untouched := self._untouched():
            return Next.STAYS, untouched
        return self._with_decision(self._by_calendar(person) or self._membership(person))

    def ownership(self, person: AccountId) -> Effect:
        if (untouched := self._untouched()) and not self._ends_with_its_day(person, untouched):
            return Next.STAYS, untouched
        return self._with_decision(self._by_calendar(person) or self._ownership(person))

    def _by_calendar(self, person: AccountId) -> Effect | None:
        """Why the calendar keeps the person out of the class, or in it; None if it does neither."""
        withheld = self._planned.year.withheld.get(self._record.key)
        there = person in self._members or person in self._owners
        if withheld is None or person not in (withheld.staying if there else withheld.coming):
            return None
        why, day = _OF_CALENDAR[withheld.rule]
        found = day(school_day(self._evidence.settings, self._evidence.at))
        return Next.STAYS, Finding(why, {"day": in_words(found)}) if found else None

    def _membership(self, person: AccountId) -> Effect:
        there, wanted = person in self._members, person in self._final.members
        if there and not wanted and person in self._owners:
            ownership, why = self._ownership(person)
            if ownership is not Next.GOES:
                return ownership, why
        differs = self.rules is not None and (person in self.rules.members) is not there
        held = differs or (not there and self._kept_from_being_made())
        return self._effect(person, there, wanted, held)

    def _ownership(self, person: AccountId) -> Effect:
        there, wanted = person in self._owners, person in self._final.owners
        if there and not wanted:
            if self._record.actual is None or person not in self._record.actual.granted:
                return Next.STAYS, Finding(Why.OWNER_NOT_OURS)
            if person not in self._final.revoked_of(self._record.actual.granted):
                revoked = self.rules is not None and self.rules.revoke
                return (Next.HELD, self._holds(person)) if revoked else (Next.STAYS, self._kept())
            if person == self._last_owner():
                return Next.STAYS, Finding(Why.LAST_OWNER)
        held = self.rules is not None and not there and person in self.rules.owners
        return self._effect(person, there, wanted, held)

    def _effect(self, person: AccountId, there: bool, wanted: bool, held: bool) -> Effect:
        if wanted and not there and not self._evidence.has_account:
            return Next.STAYS, Finding(Why.ACCOUNT_MISSING)
        if there is not wanted:
            return Next.COMES if wanted else Next.GOES, self._refusal(person)
        return (Next.HELD, self._holds(person)) if held else (Next.STAYS, None)

    def _kept_from_being_made(self) -> bool:
        """Whether the class is not made because of a hold, whoever the rules want in it."""
        made = self._record.actual is not None or any(self._final.members)
        return not made and self._record.key in self._planned.run.held

    def _untouched(self) -> Finding | None:
        """Why no sync changes the class; None if a sync does."""
        final, actual, run = self._final, self._record.actual, self._planned.run
        found, state = self._evidence.there.found, replace(self._record, desired=final).state
        stopped = run.outcome in (RunOutcome.PAUSED, RunOutcome.BLOCKED)
        if (found or actual is None) and (waiting := self._waiting()):
            # Until the decision, a change by hand is put right as in any other class.
            corrected = state in (ClassState.LIVE, ClassState.CHANGED_BY_HAND) and not stopped
            return None if corrected else waiting
        match state:
            case ClassState.DELETING | ClassState.DELETED:
                return Finding(Why.DELETED)
            case ClassState.GONE:
                return Finding(Why.GONE)
            case ClassState.ENDED:
                return Finding(Why.YEAR_ENDED if final.retired else Why.ENDED)
            case ClassState.LIVE | ClassState.CHANGED_BY_HAND | ClassState.PINNED if not found:
                return Finding(Why.GONE)
            case ClassState.PINNED if actual and (actual.members, actual.owners) == (final.members, final.owners):
                return Finding(Why.PINNED)
        return Finding(Why.NOT_PLANNED, {"notes": "; ".join(run.notes)}) if stopped else None

    def _ends_with_its_day(self, person: AccountId, untouched: Finding) -> bool:
        """Whether a class that has ended loses this owner, whose grant is over."""
        granted = self._record.actual.granted if self._record.actual else frozenset[AccountId]()
        return untouched.why is Why.ENDED and person in self._final.revoked_of(granted)

    def _with_decision(self, effect: Effect) -> Effect:
        """The effect, with the decision that the class waits for where nothing else keeps a role as it is."""
        return (Next.STAYS, self._waiting()) if effect == (Next.STAYS, None) else effect

    def _waiting(self) -> Finding | None:
        """The hold of the group that may continue the class, if there is one."""
        open_ = ((hold, part) for hold, part, status in parts_of(self._planned.holds) if status is HoldStatus.OPEN)
        holds = "; ".join(part_text(*each) for each in open_ if each[1].continues == self._record.key)
        return Finding(Why.MAY_BE_CONTINUED, {"holds": holds}) if holds else None

    def _kept(self) -> Finding:
        """Why an owner whom the sync granted, and whom the rules no longer want, is not revoked."""
        if self._evidence.settings.departed_owners is DepartedOwners.KEEP:
            return Finding(Why.OWNERS_KEPT)
        group = self._planned.ruled.groups.get(self._record.key) if self._planned.ruled else None
        if group and group.type is GroupType.TEACHING and not group.teachers:
            return Finding(Why.NO_TEACHER_LISTED)
        return Finding(Why.OWNERS_UNCERTAIN)

    def _last_owner(self) -> AccountId | None:
        """The owner whom a revocation leaves because nobody else would be one; it goes in the order of ids."""
        granted = self._record.actual.granted if self._record.actual else frozenset()
        leaving = self._final.revoked_of(granted) & self._owners
        return None if self._final.owners | self._owners - leaving else max(leaving, default=None)

    def _refusal(self, person: AccountId) -> Finding | None:
        error, actual = self._record.error, self._record.actual
        if error is None:
            return None
        reached = (actual.members or frozenset()) | actual.owners if actual else frozenset()
        if error.code in _OF_PEOPLE and (person not in self._record.desired.members or person in reached):
            return None
        return Finding(Why.REFUSED, {"message": error.message, "remedy": error.remedy})

    def _holds(self, person: AccountId) -> Finding:
        """The holds that name the person in this class, or else all those that keep the class as it is."""
        held = [(hold, part) for hold, part, _ in parts_of(self._planned.open_holds) if part.key == self._record.key]
        named = [(hold, part) for hold, part in held if person in (*part.leaving, *part.joining)]
        return Finding(Why.HELD, {"holds": "; ".join(part_text(*each) for each in named or held)})
