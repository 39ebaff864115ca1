"""Reads a school's MIS: all of it, or the groups that a webhook names if the rest is as it was read last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sync_core.domain.roster import FeedStatistics, Snapshot
from sync_core.domain.runs import Cause, LeftOutRows, RunOutcome
from sync_core.errors import SnapshotRejected
from sync_core.planning.collector import collector_paused
from sync_core.planning.limits.restraint import WholeSchoolNeeded
from sync_core.planning.limits.snapshot import check_left_out, check_snapshot, dated_by_now, statistics_of
from sync_core.planning.matching.everybody import Everybody
from sync_core.planning.planned import PlanNotMade
from sync_core.planning.reads.kept import KeptSchool, WholeSchool
from sync_core.planning.reads.tables import Known, Recorded, read_recorded
from sync_core.services import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSchool:
    """What the MIS has of a school at the moment `now`: the snapshot is of all of it, or of the groups to plan."""

    school: KeptSchool
    snapshot: Snapshot
    statistics: FeedStatistics
    left_out: LeftOutRows
    recorded: Recorded
    now: datetime

    def part(self, known: Known) -> ReadSchool:
        """The same with the groups alone that the request names. Raises WholeSchoolNeeded."""
        return _of_part(self.school, known, self.recorded, self.now)


async def read_whole(known: Known, reading: Reading) -> ReadSchool:
    """The whole school, which is kept if its source can read some groups of it again. Raises PlanNotMade."""
    request, settings = known.request, known.settings
    since = known.past.shared_since(request.cause, reading.clock.now())
    left_out: LeftOutRows | None = None
    reading.kept.drop(request.school)
    try:
        snapshot = dated_by_now(await reading.mis.snapshot(settings, since), reading.clock.now())
        statistics = statistics_of(snapshot)
        left_out = LeftOutRows.of(snapshot, request.run, reading.clock.now())
        check_left_out(snapshot, settings.limits)
        check_snapshot(statistics, known.accepted, settings.limits)
    except SnapshotRejected as rejected:
        now = reading.clock.now()
        raise PlanNotMade(request, now, RunOutcome.REJECTED, rejected.message, rejected.remedy, left_out) from None
    recorded, now = await read_recorded(known, reading), reading.clock.now()
    with collector_paused():
        everybody = Everybody.of(snapshot, settings, recorded.accounts)
    school = KeptSchool(WholeSchool(settings, snapshot, statistics, everybody))
    if snapshot.origin is not None:
        reading.kept.put(request.school, school)
    return ReadSchool(
        school=school, snapshot=snapshot, statistics=statistics, left_out=left_out, recorded=recorded, now=now
    )


async def read_groups(known: Known, reading: Reading) -> ReadSchool:
    """The groups that a webhook names, read again. The rest of the school is as this worker read it last.

    An admin wants all of the school as it is now. Raises PlanNotMade, and WholeSchoolNeeded unless this leads to what a
    reading of the whole school would lead to.
    """
    request, settings, kept = known.request, known.settings, reading.kept.of(known.request.school)
    if request.cause is not Cause.WEBHOOK or not isinstance(kept, KeptSchool) or kept.whole.settings != settings:
        raise WholeSchoolNeeded
    named = frozenset(request.scope or ())
    groups = kept.named(named)
    read = await reading.again(settings, kept.whole.snapshot, groups) if len(groups) == len(named) else None
    latest = reading.kept.of(request.school)  # another plan may have read other groups meanwhile, or all of it
    if read is None or not isinstance(latest, KeptSchool) or latest.whole is not kept.whole:
        raise WholeSchoolNeeded
    school = latest.with_groups(read)
    if school is None:
        raise WholeSchoolNeeded
    reading.kept.put(request.school, school)
    recorded = await read_recorded(known, reading)
    if recorded.accounts is not school.accounts:
        raise WholeSchoolNeeded
    return _of_part(school, known, recorded, reading.clock.now())


def _of_part(school: KeptSchool, known: Known, recorded: Recorded, now: datetime) -> ReadSchool:
    """The groups that the request names. Raises WholeSchoolNeeded if the school might be rejected."""
    snapshot, limits = school.part(frozenset(known.request.scope or ()), now), known.settings.limits
    statistics = school.statistics(now)
    try:
        check_left_out(snapshot, limits)
        check_snapshot(statistics, known.accepted, limits)
    except SnapshotRejected:
        raise WholeSchoolNeeded from None
    left_out = LeftOutRows.of(snapshot, known.request.run, now)
    return ReadSchool(
        school=school, snapshot=snapshot, statistics=statistics, left_out=left_out, recorded=recorded, now=now
    )
