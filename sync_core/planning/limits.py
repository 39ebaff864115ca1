"""The limits: an implausible snapshot is rejected, and an excessive part of a plan is held until an admin approves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256

from sync_core.domain.classes import DesiredClass, Records
from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId
from sync_core.domain.roster import FeedStatistics, Snapshot
from sync_core.domain.runs import Hold, HoldKind, HoldStatus
from sync_core.domain.school import Limits
from sync_core.errors import SnapshotRejected
from sync_core.planning.matching.guard import NO_RATES, NOT_MATCHED, MatchRates, SchoolMatching, matching_failure

_EXAMPLES = 10

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
    """Raises SnapshotRejected with every implausible difference from the `last` accepted snapshot.

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
        faults.append(f"its academic year is {now.academic_year}, before {last.academic_year} in the last accepted one")
    if now.domain != last.domain and now.domain and last.domain:
        faults.append(f"most of its addresses end in {now.domain}, and most ended in {last.domain} before")
    compared = ("students",) if now.academic_year > last.academic_year else ("groups", "students", "enrolments")
    for name in compared:
        count, before = getattr(now, name), getattr(last, name)
        if count < limits.smallest_snapshot * before:
            share = f"under {limits.smallest_snapshot:.0%}"
            faults.append(f"it has {count} {name} and the last accepted one had {before}: {share}")
    if last.staff and not now.staff:
        faults.append(f"it has no teaching staff and the last accepted one had {last.staff}")
    if faults:
        raise SnapshotRejected(
            f"the feed differs too much from the last accepted one of {last.taken_at:%d %b %Y}: {'; '.join(faults)}; "
            "nothing was changed",
            "correct the export; if the MIS is right, set limits.smallest_snapshot lower, or forget the accepted "
            "statistics",
        )


def check_left_out(snapshot: Snapshot, limits: Limits) -> None:
    """Raises SnapshotRejected if too many rows of one file were left out, with the first of them as examples."""
    faults: list[str] = []
    for count in snapshot.counts:
        if count.counts and count.left_out > max(limits.left_out_rows, limits.left_out * count.rows):
            examples = [str(row) for row in snapshot.left_out if row.source == count.source][:_EXAMPLES]
            more = count.left_out - len(examples)
            faults.append(
                f"{count.left_out} of {count.rows} rows of {count.source} cannot be read, over {limits.left_out:.0%} "
                f"and over {limits.left_out_rows}: {'; '.join(examples)}{f'; and {more} more' if more else ''}"
            )
    if faults:
        raise SnapshotRejected(
            f"{'; '.join(faults)}; nothing was changed",
            "correct the export; to sync without these rows, set limits.left_out or limits.left_out_rows higher",
        )


# --- the plan


@dataclass(frozen=True, slots=True)
class Past:
    """The history that the limits take into account.

    `removed` counts the memberships that plans of the last seven days removed without an approval. `groups` counts the
    groups of the last run (None before the first). `holds` are the existing holds. `decided` are the decisions, by the
    digest of the hold, that this plan carries out. `rates` are the match rates that were accepted last. `night` is the
    time of the last nightly plan of these days.
    `left_out` counts the rows of feeds that runs of these days left out.
    """

    removed: int
    groups: int | None
    holds: tuple[Hold, ...]
    decided: Mapping[str, HoldStatus] = field(default_factory=dict)
    rates: MatchRates = NO_RATES
    night: datetime | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class WithinLimits:
    """The classes to plan, those to mark as ended, and the holds.

    `removals` counts the memberships that go, except approved losses. `matching_failed`: nothing of the MIS is planned.
    """

    classes: tuple[DesiredClass, ...]
    ended: tuple[DesiredClass, ...]
    holds: tuple[Hold, ...]
    removals: int
    matching_failed: bool = False


_REMEDY = "approve this hold if the MIS is right; otherwise correct the MIS before the next sync"
_MATCHING_REMEDY = (
    "compare students, staff and account_domain in the school's settings with the accounts: POST …/plan shows for each "
    "person what was tried, and the nearest accounts; the next sync after the correction goes ahead"
)
_LOST_REMEDY = (
    "POST …/plan shows for each of them what was tried, and the nearest accounts; correct students, staff or "
    "account_domain in the school's settings, the MIS, or the account: a person who is found again needs no decision"
)


@dataclass(slots=True)
class Restraint:
    """The limits for one plan. `holds` are those so far, and `allowed` the classes of approved ones.

    `agreed` are the accounts, by class, whose loss by matching an admin agreed to: no other limit counts them.
    """

    records: Records
    limits: Limits
    past: Past
    run: RunId
    at: datetime
    matching: SchoolMatching = NOT_MATCHED
    holds: list[Hold] = field(default_factory=list)
    allowed: set[ClassKey] = field(default_factory=set)
    agreed: Mapping[ClassKey, Mapping[AccountId, MisId]] = field(default_factory=dict)

    def apply(self, wanted: Iterable[DesiredClass], ended: Iterable[DesiredClass] = (), *, whole: bool) -> WithinLimits:
        """Hold what exceeds a limit, unless an admin approved exactly that. `whole`: the plan covers every class.

        A plan of some classes also respects the existing holds: no webhook and no resync removes what a night was not
        allowed to remove. A class that is reused in a new academic year is expected to get other people, and is held
        only if it got none. If too many people find no account, every class stays as it is.
        """
        failed = not self._matching_passes()
        if failed:
            wanted, ended = self._unchanged(wanted), ()
        else:
            wanted = self._of_lost_matching(wanted)
        classes = [self._of_class(desired) for desired in wanted]
        if not whole:
            held = {key for hold in self.past.holds if not hold.approved for key in hold.classes}
            classes = [self._kept(desired) if desired.key in held else desired for desired in classes]
        classes = self._of_creations(self._of_school(classes))
        return WithinLimits(tuple(classes), tuple(ended), tuple(self.holds), self._removals(classes), failed)

    def _matching_passes(self) -> bool:
        what = matching_failure(self.matching, self.past.rates, self.limits)
        if not what:
            return True
        unmatched = [sorted(role.unmatched) for role in (self.matching.students, self.matching.staff)]
        classes = sorted(self.matching.classes)
        return self._decided(HoldKind.ACCOUNT_MATCHING, what, classes, [unmatched, classes], _MATCHING_REMEDY)

    def _unchanged(self, wanted: Iterable[DesiredClass]) -> list[DesiredClass]:
        """The classes that exist as they are wanted now; pinned ones do not depend on matching."""
        return [
            desired if desired.pinned else self.records[desired.key].desired
            for desired in wanted
            if desired.key in self.records
        ]

    def _of_lost_matching(self, wanted: Iterable[DesiredClass]) -> Iterable[DesiredClass]:
        """Keep the people who are in a class because of a match that is lost, until an admin agrees that they leave."""
        lost = self.matching.lost
        if not lost:
            return wanted
        people = sorted({person for accounts in lost.values() for person in accounts.values()})
        shown = [[key, sorted(accounts)] for key, accounts in sorted(lost.items())]
        what = f"{len(people)} people had an account and find none now: they stay in their classes ({len(lost)})"
        if self._decided(HoldKind.LOST_MATCHING, what, sorted(lost), shown, _LOST_REMEDY, people):
            self.agreed = lost
            return wanted
        return [self._with_lost(desired, lost[desired.key]) if desired.key in lost else desired for desired in wanted]

    def _with_lost(self, desired: DesiredClass, lost: Mapping[AccountId, MisId]) -> DesiredClass:
        before = self.records[desired.key].desired
        reasons = {account: before.reasons[account] for account in lost} | dict(desired.reasons)
        owners = desired.owners | (before.owners & lost.keys())
        return replace(desired, members=desired.members | lost.keys(), owners=owners, reasons=reasons)

    def _of_class(self, desired: DesiredClass) -> DesiredClass:
        record = self.records.get(desired.key)
        lost = self._lost(desired)
        if record is None or desired.deleted or not lost:
            return desired
        before = _students(record.desired)
        added = _students(desired) - before
        if added and self._rolls_over(desired):
            return desired
        share = len(lost) / len(before)
        loss = f"class {desired.key} ({desired.name.display_name}) would lose {len(lost)} of {len(before)} students"
        if share > self.limits.turnover and added:
            what = f"{loss} and get {len(added)} others: a turnover of over {self.limits.turnover:.0%}"
            return desired if self._approved(HoldKind.TURNOVER, what, [desired]) else record.desired
        if lost == before and not added:
            kind, what = HoldKind.CLASS_EMPTIED, f"{loss}, which is everybody"
        elif share > self.limits.class_loss and len(lost) >= self.limits.class_loss_people:
            kind, what = HoldKind.CLASS_LOSS, f"{loss}: over {self.limits.class_loss:.0%}"
        else:
            return desired
        return desired if self._approved(kind, what, [desired]) else self._kept(desired)

    def _of_school(self, classes: list[DesiredClass]) -> list[DesiredClass]:
        removals = self._removals(classes)
        memberships = sum(len(_students(record.desired)) for record in self.records.values())
        if removals < self.limits.school_loss_people:
            return classes
        losing = [desired for desired in classes if self._counted(desired)]
        earlier = self.past.removed
        for kind, removed, total, share, period in (
            (HoldKind.SCHOOL_LOSS, removals, memberships, self.limits.school_loss, "in one plan"),
            (HoldKind.SLOW_LEAK, removals + earlier, memberships + earlier, self.limits.week_loss, "in seven days"),
        ):
            if share < 1 and removed > share * total:
                what = (
                    f"the school would lose {removed} of {total} memberships {period}: over {share:.0%}; "
                    f"{removals} of them now, in {len(losing)} classes"
                )
                if self._approved(kind, what, losing):
                    return classes
                return [self._kept(desired) if self._counted(desired) else desired for desired in classes]
        return classes

    def _of_creations(self, classes: list[DesiredClass]) -> list[DesiredClass]:
        new = [desired for desired in classes if desired.key not in self.records]
        groups = self.past.groups
        if not groups or len(new) <= self.limits.new_classes * groups:
            return classes
        what = f"{len(new)} new classes, over {self.limits.new_classes:g} times the {groups} groups of the last run"
        if self._approved(HoldKind.NEW_CLASSES, what, new):
            return classes
        return [desired for desired in classes if desired.key in self.records]

    def _removals(self, classes: Iterable[DesiredClass]) -> int:
        return sum(map(self._counted, classes))

    def _kept(self, desired: DesiredClass) -> DesiredClass:
        """The class with its removals held back, if it has any; its additions go ahead."""
        lost = self._lost(desired)
        if not lost:
            return desired
        before = self.records[desired.key].desired.reasons
        reasons = {person: before[person] for person in lost if person in before} | dict(desired.reasons)
        return replace(desired, members=desired.members | lost, revoke=False, reasons=reasons)

    def _counted(self, desired: DesiredClass) -> int:
        expected = desired.key in self.allowed or self._rolls_over(desired)
        return 0 if expected else len(self._lost(desired))

    def _rolls_over(self, desired: DesiredClass) -> bool:
        record = self.records.get(desired.key)
        return record is not None and desired.academic_year > record.desired.academic_year

    def _lost(self, desired: DesiredClass) -> frozenset[AccountId]:
        record = self.records.get(desired.key)
        if record is None:
            return frozenset()
        return _students(record.desired) - desired.members - self.agreed.get(desired.key, {}).keys()

    def _approved(self, kind: HoldKind, what: str, classes: Sequence[DesiredClass]) -> bool:
        """Record a hold on what `classes` lose or on their creation; True if an admin approved exactly that."""
        shown = [
            [desired.key, sorted(self._lost(desired))]
            + ([sorted(desired.members)] if kind in (HoldKind.TURNOVER, HoldKind.NEW_CLASSES) else [])
            for desired in sorted(classes, key=lambda desired: desired.key)
        ]
        keys = [desired.key for desired in classes]
        approved = self._decided(kind, what, keys, shown, _REMEDY)
        if approved:
            self.allowed.update(keys)
        return approved

    def _decided(
        self,
        kind: HoldKind,
        what: str,
        classes: Iterable[ClassKey],
        shown: object,
        remedy: str,
        people: Iterable[MisId] = (),
    ) -> bool:
        """Record a hold; True if an admin approved exactly what is `shown`, of which the hold has a digest."""
        digest = sha256(json.dumps([kind, shown]).encode()).hexdigest()[:24]
        standing = {hold.digest: hold.status for hold in self.past.holds}
        hold = Hold(
            digest=digest,
            kind=kind,
            classes=tuple(classes),
            what=what,
            remedy=remedy,
            run=self.run,
            at=self.at,
            status=self.past.decided.get(digest) or standing.get(digest, HoldStatus.OPEN),
            people=tuple(people),
        )
        self.holds.append(hold)
        return hold.approved


def _students(desired: DesiredClass) -> frozenset[AccountId]:
    """The members without owners: a class that keeps only its teacher counts as emptied."""
    return desired.members - desired.owners
