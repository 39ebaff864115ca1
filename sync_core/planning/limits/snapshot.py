"""The limits of a snapshot: an implausible one is rejected, and nothing is planned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from sync_core.domain.roster import FeedStatistics, GroupType, MisGroup, Snapshot, YearCounts
from sync_core.domain.school.limits import Limits
from sync_core.domain.school.year import in_years
from sync_core.errors import SnapshotRejected
from sync_core.planning.matching.guard import common_domains

_EXAMPLES = 10
_CLOCK_SKEW = timedelta(days=1)
"""Files may be dated later than now by so much without a note."""


def statistics_of(snapshot: Snapshot) -> FeedStatistics:
    addresses = ((person.username or person.email).lower() for person in snapshot.people.values())
    domain = next((domain for domain, _ in common_domains(addresses)), "")
    newest = max((group.academic_year for group in snapshot.groups), default=0)
    earlier: dict[int, list[MisGroup]] = defaultdict(list)
    for group in snapshot.groups:
        if group.academic_year != newest and group.type is not GroupType.YEAR:
            earlier[group.academic_year].append(group)
    return FeedStatistics(
        dfe_code=snapshot.school.dfe_code,
        academic_year=newest,
        groups=len(snapshot.groups),
        students=len(snapshot.students),
        staff=len(snapshot.teachers),
        enrolments=sum(len(group.students) for group in snapshot.groups),
        domain=domain,
        taken_at=snapshot.taken_at,
        earlier_years={
            str(year): YearCounts(len(groups), sum(len(group.students) for group in groups))
            for year, groups in sorted(earlier.items())
        },
    )


def check_snapshot(now: FeedStatistics, last: FeedStatistics | None, limits: Limits) -> None:
    """Raises SnapshotRejected with every implausible difference from the `last` accepted snapshot.

    A new academic year may begin with few groups: then only the number of students is compared. Otherwise each year's
    groups are compared, but for those of an earlier year that the MIS no longer has at all.
    """
    if last is None:
        return
    faults: list[str] = []
    if now.taken_at < last.taken_at:
        faults.append(f"it was exported on {now.taken_at:%d %b %Y %H:%M}, before the last accepted one")
    if now.dfe_code != last.dfe_code:
        faults.append(f"its DfE code is {_code(now.dfe_code)} and was {_code(last.dfe_code)}")
    if now.academic_year < last.academic_year:
        faults.append(f"its academic year is {now.academic_year}, before {last.academic_year} in the last accepted one")
    if now.domain != last.domain and now.domain and last.domain:
        faults.append(f"most of its addresses end in {now.domain}, and most ended in {last.domain} before")
    if last.staff and not now.staff:
        faults.append(f"it has no teaching staff and the last accepted one had {last.staff}")
    too_small = list(_too_small(now, last, limits))
    if faults or too_small:
        lower = "set limits.smallest_snapshot lower, or " if too_small else ""
        raise SnapshotRejected(
            f"the feed differs too much from the last accepted one of {last.taken_at:%d %b %Y}: "
            f"{'; '.join((*faults, *too_small))}; nothing was changed",
            f"correct the export; if the MIS is right, {lower}forget the accepted statistics",
        )


def _too_small(now: FeedStatistics, last: FeedStatistics, limits: Limits) -> Iterator[str]:
    """What the feed has too few of, which a lower limit accepts."""
    for what, count, before in _compared(now, last):
        if count < limits.smallest_snapshot * before:
            share = f"under {limits.smallest_snapshot:.0%}"
            yield f"it has {count} {what} and the last accepted one had {before}: {share}"


def _compared(now: FeedStatistics, last: FeedStatistics) -> Iterator[tuple[str, int, int]]:
    """What is compared: in words, its number now, and before."""
    yield "students", now.students, last.students
    if now.academic_year != last.academic_year:
        return
    for year in sorted(now.earlier_years.keys() & last.earlier_years.keys()):
        yield from _of_year(int(year), now.earlier_years[year], last.earlier_years[year])
    yield from _of_year(now.academic_year, now.newest_year, last.newest_year)


def _of_year(year: int, now: YearCounts, last: YearCounts) -> Iterator[tuple[str, int, int]]:
    named = f"of {in_years(year)}"
    yield f"groups {named}", now.groups, last.groups
    yield f"enrolments {named}", now.enrolments, last.enrolments


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


def _code(code: str) -> str:
    """The code for a message. Where columns are shifted, another text may be a person's name."""
    return code if code.isdecimal() else "not of digits" if code else "empty"


def dated_by_now(snapshot: Snapshot, now: datetime) -> Snapshot:
    """The snapshot as of now if its files are dated later: a clock that is ahead must not make later feeds look old."""
    if snapshot.taken_at <= now:
        return snapshot
    note = (
        f"the files of the feed are dated {snapshot.taken_at:%d %b %Y %H:%M} UTC, which is in the future, and count as "
        "of now — correct the clock of the machine that exports them"
    )
    notes = snapshot.notes if snapshot.taken_at - now <= _CLOCK_SKEW else (*snapshot.notes, note)
    return replace(snapshot, taken_at=now, notes=notes)
