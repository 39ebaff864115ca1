"""The limits of a plan: what exceeds one is held, class by class, until an admin approves it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import Records
from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId
from sync_core.domain.runs import HeldClass, Hold, HoldKind, HoldStatus
from sync_core.domain.school.limits import Limits
from sync_core.planning.limits.causes import LOSS_KINDS, LossCauses
from sync_core.planning.limits.holds import TEXTS, Part, held_class, holds_of, parts_of
from sync_core.planning.limits.past import Past
from sync_core.planning.matching.guard import NOT_MATCHED, SchoolMatching, matching_failure
from sync_core.planning.membership import RuledSchool

_NOBODY = frozenset[AccountId]()
_OF_PIN = frozenset({HoldKind.PINNED})
_OF_MIS = frozenset({*LOSS_KINDS, HoldKind.TURNOVER}) - _OF_PIN
_OF_SCHOOL = (HoldKind.SCHOOL_LOSS, HoldKind.SLOW_LEAK)


class WholeSchoolNeeded(Exception):
    """The rows of some classes exceed a limit of the whole school, which all rows might not."""


@dataclass(frozen=True, slots=True)
class WithinLimits:
    """The classes to plan, those to mark as ended, and the holds.

    `removals` counts the memberships that go, except approved losses. `matching_failed`: some or all of what the MIS
    wants is not planned.
    """

    classes: tuple[DesiredClass, ...]
    ended: tuple[DesiredClass, ...]
    holds: tuple[Hold, ...]
    removals: int
    matching_failed: bool = False

    @property
    def open_holds(self) -> tuple[Hold, ...]:
        return tuple(hold for hold in self.holds if not hold.approved)

    @property
    def held(self) -> frozenset[ClassKey]:
        """The classes that an open hold keeps."""
        return frozenset(key for hold in self.open_holds for key in hold.keys)


@dataclass(slots=True)
class _Decisions:
    """The decisions on held classes by digest, and the accounts that are held and not approved, by kind and class.

    These stay held whatever the limits say now: a decision on some classes would otherwise let the others go.
    """

    statuses: Mapping[str, HoldStatus]
    accounts: Mapping[tuple[HoldKind, ClassKey], frozenset[AccountId]]

    @classmethod
    def of(cls, past: Past) -> _Decisions:
        open_ = ((hold.kind, part) for hold, part, status in parts_of(past.holds) if status is not HoldStatus.APPROVED)
        return cls(past.decisions.by_digest, {(kind, part.key): frozenset(part.leaving) for kind, part in open_})

    def status(self, part: HeldClass) -> HoldStatus:
        return self.statuses.get(part.digest, HoldStatus.OPEN)

    def held_before(self, kinds: Collection[HoldKind], key: ClassKey) -> frozenset[AccountId]:
        """The accounts that holds of these kinds keep in the class."""
        return frozenset[AccountId]().union(*(self.accounts.get((kind, key), frozenset()) for kind in kinds))

    @property
    def keys(self) -> frozenset[ClassKey]:
        return frozenset(key for _, key in self.accounts)


class Restraint:
    """The limits for one plan. `ruled` is what the rules want, None for a plan that does not follow the MIS."""

    def __init__(
        self, records: Records, limits: Limits, past: Past, run: RunId, at: datetime, ruled: RuledSchool | None = None
    ) -> None:
        self._records = records
        self._limits = limits
        self._past = past
        self._run, self._at = run, at
        self._ruled = ruled
        self._matching: SchoolMatching = ruled.matching if ruled else NOT_MATCHED
        self._waiting = ruled.waiting if ruled else frozenset[ClassKey]()
        self._part = ruled is not None and ruled.part
        self._causes = LossCauses(ruled)
        self._decisions = _Decisions.of(past)
        self._parts: list[Part] = []
        # The accounts, by class, whose loss an admin approved: no other limit counts them.
        self._approved: defaultdict[ClassKey, frozenset[AccountId]] = defaultdict(frozenset)

    def apply(self, wanted: Iterable[DesiredClass], ended: Iterable[DesiredClass] = (), *, whole: bool) -> WithinLimits:
        """Hold what exceeds a limit, unless an admin approved exactly that. `whole`: the plan covers every class.

        A plan of some classes also respects the existing holds: no webhook and no resync removes what a night was not
        allowed to remove. A class that is reused in a new academic year is expected to get other people, and is held
        only if it got none. If too many people find no account, every class stays as it is. A class is not made while
        its group may continue another one, or take one that somebody made by hand.

        Raises WholeSchoolNeeded if `ruled` is from a part of the rows, and that exceeds a limit of the whole school:
        with more memberships and people, the limit allows at least as much.
        """
        unmatched = self._of_matching()
        classes = [
            desired if desired.pinned or desired.key not in unmatched else self._records[desired.key].desired
            for desired in wanted
            if desired.pinned or desired.key not in unmatched or desired.key in self._records
        ]
        classes = self._of_lost_matching(classes, unmatched)
        classes = [self._of_class(desired) for desired in classes]
        if not whole:
            held = self._decisions.keys
            classes = [self._kept(each, self._lost(each)) if each.key in held else each for each in classes]
        classes = [desired for desired in classes if desired.key not in self._waiting]
        classes = self._of_creations(self._of_school(classes))
        self._hold_proposals(unmatched, classes)
        return WithinLimits(
            tuple(classes),
            () if unmatched else tuple(ended),
            holds_of(self._parts),
            sum(map(self._counted, classes)),
            bool(unmatched),
        )

    def _of_matching(self) -> frozenset[ClassKey]:
        """The classes that stay as they are, because too many people find no account."""
        why = matching_failure(self._matching, self._past.rates, self._limits)
        if not why:
            return frozenset()
        if self._part:
            raise WholeSchoolNeeded
        rates = self._matching.rates
        value = max(1 - rate.matched for rate in (rates.students, rates.staff) if rate)
        hold = self._hold(HoldKind.ACCOUNT_MATCHING, why, self._limits.unmatched, value)
        parts = [
            held_class(hold.kind, key, self._names(key), f"has {len(people)} people who find no account", people=people)
            for key, people in sorted(self._matching.classes.items())
        ]
        return frozenset(part.key for part in parts if not self._is_approved(hold, part))

    def _of_lost_matching(self, classes: list[DesiredClass], unmatched: Collection[ClassKey]) -> list[DesiredClass]:
        """Keep the people who are in a class because of a match that is lost, until an admin agrees that they leave."""
        lost = {key: accounts for key, accounts in sorted(self._matching.lost.items()) if key not in unmatched}
        if not lost:
            return classes
        count = len({person for accounts in lost.values() for person in accounts.values()})
        hold = self._hold(HoldKind.LOST_MATCHING, "a match is never lost without an approval", 0, count)
        kept = set()
        for key, accounts in lost.items():
            students, people = len(_students(self._records[key].desired)), frozenset(accounts.values())
            persons = "1 person who finds" if len(accounts) == 1 else f"{len(accounts)} people who find"
            what = f"would lose {persons} no account now"
            part = held_class(
                hold.kind, key, self._names(key), what, students=students, leaving=accounts, people=people
            )
            if self._is_approved(hold, part):
                self._approved[key] |= accounts.keys()
            else:
                kept.add(key)
        return [self._with_lost(desired, lost[desired.key]) if desired.key in kept else desired for desired in classes]

    def _with_lost(self, desired: DesiredClass, lost: Mapping[AccountId, MisId]) -> DesiredClass:
        before = self._records[desired.key].desired
        reasons = {account: before.reasons[account] for account in lost} | dict(desired.reasons)
        owners = desired.owners | (before.owners & lost.keys())
        return replace(desired, members=desired.members | lost.keys(), owners=owners, reasons=reasons)

    def _of_class(self, desired: DesiredClass) -> DesiredClass:
        record = self._records.get(desired.key)
        lost = self._lost(desired)
        if record is None or desired.deleted or not lost:
            return desired
        before = _students(record.desired)
        added = _students(desired) - before
        if added and self._rolls_over(desired):
            return desired
        if len(lost) > self._limits.turnover * len(before) and added:
            return desired if self._may_turn_over(desired, lost, before, added) else record.desired
        return self._of_losses(desired, lost, before)

    def _may_turn_over(
        self,
        desired: DesiredClass,
        lost: frozenset[AccountId],
        before: frozenset[AccountId],
        added: frozenset[AccountId],
    ) -> bool:
        limit = self._limits.turnover
        loss = f"would lose {len(lost)} of {len(before)} students and get {len(added)} others"
        hold = self._hold(HoldKind.TURNOVER, f"over {limit:.0%} of a class", limit, len(lost) / len(before))
        part = self._loss(hold, desired, lost, f"{loss}: a turnover of over {limit:.0%}", added)
        if not self._is_approved(hold, part):
            return False
        self._approved[desired.key] |= lost
        return True

    def _of_losses(
        self, desired: DesiredClass, lost: frozenset[AccountId], before: frozenset[AccountId]
    ) -> DesiredClass:
        """Hold the losses of a class by their causes, if they are too many together or were held before."""
        share, limit = len(lost) / len(before), self._limits.class_loss
        if not _students(desired):
            why, held = ", which is everybody", lost
        elif share > limit and len(lost) >= self._limits.class_loss_people:
            why, held = f": {share:.0%}, over {limit:.0%}", lost
        else:
            why = ": fewer than the limits allow, but held since an earlier plan"
            # What an undo was not allowed to remove says nothing of what the MIS removes once the pin is released.
            kinds = _OF_PIN if desired.pinned else _OF_MIS
            held = lost & self._decisions.held_before(kinds, desired.key)
        for kind, accounts in self._causes.by_cause(desired, self._records[desired.key].desired, held):
            hold = self._hold(kind, f"over {limit:.0%} of a class", limit, share)
            others = "" if accounts == held else f", and {len(held)} for all causes"
            what = f"would lose {len(accounts)} of {len(before)} students{others}{why}"
            if self._is_approved(hold, self._loss(hold, desired, accounts, what)):
                self._approved[desired.key] |= accounts
                held -= accounts
        return self._kept(desired, held)

    def _of_school(self, classes: list[DesiredClass]) -> list[DesiredClass]:
        """Hold what the school would lose in all, or what such a hold of an earlier plan keeps."""
        removals = sum(map(self._counted, classes))
        exceeded = self._school_limit(removals)
        if not removals:
            return classes
        holds = {exceeded.kind: exceeded} if exceeded else self._school_holds_before()
        planned = []
        for desired in classes:
            losing = bool(self._counted(desired))
            for kind, hold in holds.items() if losing else ():
                lost = self._lost(desired)
                held = lost if exceeded else lost & self._decisions.held_before([kind], desired.key)
                if not held:
                    continue
                students = len(_students(self._records[desired.key].desired))
                part = self._loss(hold, desired, held, f"would lose {len(held)} of {students} students")
                if self._is_approved(hold, part):
                    self._approved[desired.key] |= held
                else:
                    desired = self._kept(desired, held)
            planned.append(desired)
        return planned

    def _school_limit(self, removals: int) -> Hold | None:
        """The hold of the limit that the school exceeds. It counts what an admin approves of the same hold."""
        if removals < self._limits.school_loss_people:
            return None
        memberships = sum(len(_students(record.desired)) for record in self._records.values())
        earlier = self._past.removed
        for kind, removed, total, share, period in (
            (HoldKind.SCHOOL_LOSS, removals, memberships, self._limits.school_loss, "in one plan"),
            (HoldKind.SLOW_LEAK, removals + earlier, memberships + earlier, self._limits.week_loss, "in seven days"),
        ):
            if share < 1 and removed > share * total:
                if self._part:
                    raise WholeSchoolNeeded
                why = f"the school would lose {removed} of {total} memberships {period}: over {share:.0%}"
                return self._hold(kind, why, share, removed / total)
        return None

    def _school_holds_before(self) -> dict[HoldKind, Hold]:
        why = "the school would lose memberships that an earlier plan held, and no admin has approved that"
        limits = dict(zip(_OF_SCHOOL, (self._limits.school_loss, self._limits.week_loss), strict=True))
        return {kind: self._hold(kind, why, limits[kind], 0) for kind in _OF_SCHOOL}

    def _of_creations(self, classes: list[DesiredClass]) -> list[DesiredClass]:
        new = [desired for desired in classes if desired.key not in self._records and not desired.adopts]
        if not new:
            return classes
        groups, times = self._past.groups, self._limits.new_classes
        why, exceeded = "which an earlier plan held", False
        if groups and len(new) > times * groups:
            why, exceeded = f"over {times:g} times the {groups} groups of the last run", True
        hold = self._hold(HoldKind.NEW_CLASSES, why, times * (groups or 0), len(new))
        held = set()
        for desired in new:
            if not exceeded and (hold.kind, desired.key) not in self._decisions.accounts:
                continue
            what = f"would be made with {len(desired.members)} people"
            part = held_class(hold.kind, desired.key, self._names(desired.key, desired), what, joining=desired.members)
            if not self._is_approved(hold, part):
                held.add(desired.key)
        return [desired for desired in classes if desired.key not in held]

    def _hold_proposals(self, unmatched: Collection[ClassKey], classes: Sequence[DesiredClass]) -> None:
        """Hold the groups that may get another class than a new one, until one of `classes` has them as decided."""
        if not (ruled := self._ruled) or not (ruled.proposals or ruled.adoptions):
            return
        for kind, what, proposals in (
            (HoldKind.CONTINUATION, "an earlier class", ruled.proposals),
            (HoldKind.ADOPTION, "a team that somebody made", ruled.adoptions),
        ):
            why = f"only an admin knows whether a group is that of {what}"
            hold = self._hold(kind, why, 0, len(proposals))
            for each in ruled.without_class(proposals, classes):
                if each.part.key not in unmatched:
                    self._parts.append((hold, each.part, each.status))

    def _kept(self, desired: DesiredClass, held: frozenset[AccountId]) -> DesiredClass:
        """The class with these people, if there are any, in it as before; its additions go ahead."""
        if not held:
            return desired
        before = self._records[desired.key].desired.reasons
        reasons = {person: before[person] for person in held if person in before} | dict(desired.reasons)
        return replace(desired, members=desired.members | held, revoke=False, reasons=reasons)

    def _counted(self, desired: DesiredClass) -> int:
        lost = self._lost(desired)
        return len(lost) if lost and not self._rolls_over(desired) else 0

    def _rolls_over(self, desired: DesiredClass) -> bool:
        record = self._records.get(desired.key)
        return record is not None and desired.academic_year > record.desired.academic_year

    def _lost(self, desired: DesiredClass) -> frozenset[AccountId]:
        """The students who leave the class, except those whose loss is approved."""
        record = self._records.get(desired.key)
        if record is None or record.desired is desired:
            return _NOBODY
        left = record.desired.members - desired.members
        return left - record.desired.owners - self._approved.get(desired.key, _NOBODY) if left else _NOBODY

    # --- holds

    def _hold(self, kind: HoldKind, why: str, limit: float, value: float) -> Hold:
        """A hold without classes yet."""
        texts = TEXTS[kind]
        return Hold(
            digest="",
            kind=kind,
            what="",
            remedy=texts.remedy,
            approval=texts.approval,
            why=why,
            limit=limit,
            value=value,
            classes=(),
            run=self._run,
            at=self._at,
        )

    def _loss(
        self,
        hold: Hold,
        desired: DesiredClass,
        leaving: frozenset[AccountId],
        what: str,
        joining: Collection[AccountId] = (),
    ) -> HeldClass:
        before = self._records[desired.key].desired
        people = frozenset(person for account in leaving if (person := _person(before, account)))
        return held_class(
            hold.kind,
            desired.key,
            self._names(desired.key, desired),
            what,
            students=len(_students(before)),
            leaving=leaving,
            joining=joining,
            people=people,
        )

    def _is_approved(self, hold: Hold, part: HeldClass) -> bool:
        """Record that the class is held; True if an admin approved exactly that."""
        status = self._decisions.status(part)
        self._parts.append((hold, part, status))
        return status is HoldStatus.APPROVED

    def _names(self, key: ClassKey, desired: DesiredClass | None = None) -> tuple[str, str]:
        """The name of the group in the MIS, and that of the class, as far as they are known."""
        record = self._records.get(key)
        group = self._ruled.groups.get(key) if self._ruled else None
        known = record.desired if record else desired
        name = record.actual.name if record and record.actual else known.name if known else None
        group_name = group.name if group else known.group_name if known else ""
        return group_name, name.display_name if name else ""


def _person(desired: DesiredClass, account: AccountId) -> MisId:
    """The MIS person because of whom the account is in the class; empty if there is none."""
    reason = desired.reasons.get(account)
    return reason.person if reason else MisId("")


def _students(desired: DesiredClass) -> frozenset[AccountId]:
    """The members without owners: a class that keeps only its teacher counts as emptied."""
    return desired.members - desired.owners
