"""Is this snapshot, is this plan, to be trusted? What is not is rejected whole, or held until an admin approves it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256

from sync_core.domain.classes import ClassRecord, DesiredClass
from sync_core.domain.roster import FeedStatistics, Snapshot
from sync_core.domain.runs import Hold, HoldKind, HoldStatus
from sync_core.domain.school import Limits
from sync_core.errors import SnapshotRejected

_APPROVE = "approve this hold if the MIS is right; otherwise correct the MIS, and the next sync goes on"


# --- the snapshot


def statistics_of(snapshot: Snapshot) -> FeedStatistics:
    domains = Counter(
        address.rpartition("@")[2].lower()
        for person in snapshot.people.values()
        for address in (person.username or person.email,)
        if "@" in address
    )
    return FeedStatistics(
        dfe_code=snapshot.school.dfe_code,
        academic_year=max((group.academic_year for group in snapshot.groups), default=0),
        groups=len(snapshot.groups),
        students=len({person for group in snapshot.groups for person in group.students}),
        staff=len({person for group in snapshot.groups for person in group.teachers}),
        enrolments=sum(len(group.students) for group in snapshot.groups),
        domain=max(sorted(domains), key=domains.__getitem__, default=""),
        taken_at=snapshot.taken_at,
    )


def check_snapshot(now: FeedStatistics, last: FeedStatistics | None, limits: Limits) -> None:
    """Raises SnapshotRejected with every figure that is out of place against the `last` accepted snapshot.

    A new academic year may begin with few groups: then only the number of students is compared.
    """
    if last is None:
        return
    faults: list[str] = []
    if now.taken_at < last.taken_at:
        faults.append(f"it was exported on {now.taken_at:%d %b %Y %H:%M}, before the last accepted one")
    if now.dfe_code != last.dfe_code:
        faults.append(f"its DfE code is {now.dfe_code or 'empty'} and was {last.dfe_code or 'empty'}")
    if now.academic_year < last.academic_year:
        faults.append(
            f"it is of the academic year {now.academic_year}, and the last accepted one of {last.academic_year}"
        )
    if now.domain != last.domain and now.domain and last.domain:
        faults.append(f"most of its addresses end in {now.domain}, and ended in {last.domain}")
    compared = ("students",) if now.academic_year > last.academic_year else ("groups", "students", "enrolments")
    for name in compared:
        here, before = getattr(now, name), getattr(last, name)
        if here < limits.smallest_snapshot * before:
            share = f"under {limits.smallest_snapshot:.0%}"
            faults.append(f"it has {here} {name} where the last accepted one had {before}: {share}")
    if last.staff and not now.staff:
        faults.append(f"it has no teaching staff where the last accepted one had {last.staff}")
    if faults:
        raise SnapshotRejected(
            f"the feed is not to be trusted, compared with the last accepted one of {last.taken_at:%d %b %Y}: "
            + "; ".join(faults),
            "correct the export; if the MIS is right, set limits.smallest_snapshot lower, or forget the accepted "
            "snapshot; nothing was changed",
        )


# --- the plan


@dataclass(frozen=True, slots=True)
class Past:
    """What the limits look back on.

    `removed` counts the memberships that plans of the last seven days took away without an approval. `groups` counts
    the groups of the last run (None before the first). `holds` are those that stand, and `decided` are decisions on
    holds, by digest, that are made with this plan.
    """

    removed: int
    groups: int | None
    holds: tuple[Hold, ...]
    decided: Mapping[str, HoldStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WithinLimits:
    """What may be planned, and what was held of it.

    `removals` are the memberships that go, but for those of which an admin approved the loss.
    """

    classes: tuple[DesiredClass, ...]
    holds: tuple[Hold, ...]
    removals: int


def apply_limits(
    wanted: Iterable[DesiredClass],
    records: Mapping[str, ClassRecord],
    limits: Limits,
    past: Past,
    run: str,
    at: datetime,
    *,
    whole: bool,
) -> WithinLimits:
    """Hold back what is too much, unless an admin approved just that. `whole` says that every class is looked at.

    A plan of some classes alone also respects the holds that stand: no webhook and no resync takes away what a night
    was not allowed to. A class that the school's settings have go on into a new academic year is expected to get other
    people, and is held only if it got nobody.
    """
    restraint = _Restraint(records, limits, past, run, at)
    classes = [restraint.of_class(desired) for desired in wanted]
    if not whole:
        classes = [restraint.as_held_already(desired) for desired in classes]
    classes = restraint.of_school(classes)
    classes = restraint.of_creations(classes)
    return WithinLimits(tuple(classes), tuple(restraint.holds), restraint.removals(classes))


class _Restraint:
    """One plan being looked through; collects the holds."""

    def __init__(self, records: Mapping[str, ClassRecord], limits: Limits, past: Past, run: str, at: datetime) -> None:
        self._records = records
        self._limits = limits
        self._past = past
        self._run = run
        self._at = at
        self._said = {hold.digest: hold.status for hold in past.holds} | dict(past.decided)
        self._allowed: set[str] = set()
        self.holds: list[Hold] = []

    def of_class(self, desired: DesiredClass) -> DesiredClass:
        record = self._records.get(desired.key)
        lost = self._lost(desired)
        if record is None or desired.deleted or not lost:
            return desired
        before = _students(record.desired)
        come = _students(desired) - before
        if come and self._rolls_over(desired):
            return desired
        share = len(lost) / len(before)
        told = f"class {desired.key} ({desired.name.display_name}) would lose {len(lost)} of {len(before)} students"
        if share > self._limits.turnover and come:
            said = f"{told} and get {len(come)} others: over {self._limits.turnover:.0%} turn over"
            return self._hold(HoldKind.TURNOVER, said, [desired], lambda _: record.desired)[0]
        if lost == before and not come:
            return self._hold(HoldKind.CLASS_EMPTIED, f"{told}, which is everybody", [desired], self._kept)[0]
        if share > self._limits.class_loss and len(lost) >= self._limits.class_loss_people:
            said = f"{told}: over {self._limits.class_loss:.0%}"
            return self._hold(HoldKind.CLASS_LOSS, said, [desired], self._kept)[0]
        return desired

    def as_held_already(self, desired: DesiredClass) -> DesiredClass:
        standing = (hold for hold in self._past.holds if not hold.approved)
        covered = any(desired.key in hold.classes for hold in standing)
        return self._kept(desired) if covered and self._lost(desired) else desired

    def of_school(self, classes: list[DesiredClass]) -> list[DesiredClass]:
        removals = self.removals(classes)
        memberships = sum(len(_students(record.desired)) for record in self._records.values())
        if removals < self._limits.school_loss_people:
            return classes
        losing = [desired for desired in classes if self._counted(desired)]
        earlier = self._past.removed
        for kind, removed, of, share, over in (
            (HoldKind.SCHOOL_LOSS, removals, memberships, self._limits.school_loss, "in one plan"),
            (
                HoldKind.SLOW_LEAK,
                removals + earlier,
                memberships + earlier,
                self._limits.week_loss,
                "in seven days",
            ),
        ):
            if share < 1 and removed > share * of:
                said = (
                    f"the school would lose {removed} of {of} memberships {over}: over {share:.0%}; "
                    f"{removals} of them now, in {len(losing)} classes"
                )
                kept = self._hold(kind, said, losing, self._kept)
                by_key = {desired.key: desired for desired in kept}
                return [by_key.get(desired.key, desired) for desired in classes]
        return classes

    def of_creations(self, classes: list[DesiredClass]) -> list[DesiredClass]:
        new = [desired for desired in classes if desired.key not in self._records]
        groups = self._past.groups
        if not groups or len(new) <= self._limits.new_classes * groups:
            return classes
        said = (
            f"{len(new)} new classes, where the last run had {groups} groups: over {self._limits.new_classes:g} times"
        )
        digest = self._digest(HoldKind.NEW_CLASSES, new)
        if self._approved(digest, HoldKind.NEW_CLASSES, new, said):
            return classes
        return [desired for desired in classes if desired.key in self._records]

    def removals(self, classes: Iterable[DesiredClass]) -> int:
        return sum(map(self._counted, classes))

    def _counted(self, desired: DesiredClass) -> int:
        expected = desired.key in self._allowed or self._rolls_over(desired)
        return 0 if expected else len(self._lost(desired))

    def _rolls_over(self, desired: DesiredClass) -> bool:
        record = self._records.get(desired.key)
        return record is not None and desired.academic_year > record.desired.academic_year

    def _lost(self, desired: DesiredClass) -> frozenset[str]:
        record = self._records.get(desired.key)
        return _students(record.desired) - desired.members if record else frozenset()

    def _kept(self, desired: DesiredClass) -> DesiredClass:
        """With its removals held back: its additions go on."""
        lost = self._lost(desired)
        before = self._records[desired.key].desired.reasons if lost else {}
        reasons = {person: before[person] for person in lost if person in before} | dict(desired.reasons)
        return replace(desired, members=desired.members | lost, revoke=False, reasons=reasons)

    def _hold(
        self,
        kind: HoldKind,
        what: str,
        classes: Sequence[DesiredClass],
        restrained: Callable[[DesiredClass], DesiredClass],
    ) -> list[DesiredClass]:
        if self._approved(self._digest(kind, classes), kind, classes, what):
            self._allowed |= {desired.key for desired in classes}
            return list(classes)
        return [restrained(desired) for desired in classes]

    def _approved(self, digest: str, kind: HoldKind, classes: Sequence[DesiredClass], what: str) -> bool:
        status = self._said.get(digest, HoldStatus.OPEN)
        keys = tuple(desired.key for desired in classes)
        self.holds.append(
            Hold(
                digest=digest,
                kind=kind,
                classes=keys,
                what=what,
                remedy=_APPROVE,
                run=self._run,
                at=self._at,
                status=status,
            )
        )
        return status is HoldStatus.APPROVED

    def _digest(self, kind: HoldKind, classes: Sequence[DesiredClass]) -> str:
        """Of what is shown, so that approving it can never run anything else."""
        shown = [
            [desired.key, sorted(self._lost(desired))]
            + ([sorted(desired.members)] if kind in (HoldKind.TURNOVER, HoldKind.NEW_CLASSES) else [])
            for desired in sorted(classes, key=lambda desired: desired.key)
        ]
        return sha256(json.dumps([kind, shown]).encode()).hexdigest()[:24]


def _students(desired: DesiredClass) -> frozenset[str]:
    """Owners do not count: a class whose list comes back with the teacher alone has been blanked as well."""
    return desired.members - desired.owners
