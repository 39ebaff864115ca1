"""The limits of a snapshot: an implausible one is rejected, and nothing is planned."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sync_core.domain.roster import FeedStatistics, Snapshot
from sync_core.domain.school.limits import Limits
from sync_core.errors import SnapshotRejected
from sync_core.planning.matching.guard import common_domains

_EXAMPLES = 10
_CLOCK_SKEW = timedelta(days=1)
"""Files may be dated later than now by so much without a note."""


def statistics_of(snapshot: Snapshot) -> FeedStatistics:
    addresses = ((person.username or person.email).lower() for person in snapshot.people.values())
    domain = next((domain for domain, _ in common_domains(addresses)), "")
    return FeedStatistics(
        dfe_code=snapshot.school.dfe_code,
        academic_year=max((group.academic_year for group in snapshot.groups), default=0),
        groups=len(snapshot.groups),
        students=len({person for group in snapshot.groups for person in group.students}),
        staff=len({person for group in snapshot.groups for person in group.teachers}),
        enrolments=sum(len(group.students) for group in snapshot.groups),
        domain=domain,
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
        faults.append(f"its DfE code is {_code(now.dfe_code)} and was {_code(last.dfe_code)}")
    if now.academic_year < last.academic_year:
        faults.append(f"its academic year is {now.academic_year}, before {last.academic_year} in the last accepted one")
    if now.domain != last.domain and now.domain and last.domain:
        faults.append(f"most of its addresses end in {now.domain}, and most ended in {last.domain} before")
    if last.staff and not now.staff:
        faults.append(f"it has no teaching staff and the last accepted one had {last.staff}")
    too_small = _too_small(now, last, limits)
    if faults or too_small:
        lower = "set limits.smallest_snapshot lower, or " if too_small else ""
        raise SnapshotRejected(
            f"the feed differs too much from the last accepted one of {last.taken_at:%d %b %Y}: "
            f"{'; '.join((*faults, *too_small))}; nothing was changed",
            f"correct the export; if the MIS is right, {lower}forget the accepted statistics",
        )


def _too_small(now: FeedStatistics, last: FeedStatistics, limits: Limits) -> list[str]:
    """What the feed has too few of, which a lower limit accepts."""
    faults: list[str] = []
    compared = ("students",) if now.academic_year > last.academic_year else ("groups", "students", "enrolments")
    for name in compared:
        count, before = getattr(now, name), getattr(last, name)
        if count < limits.smallest_snapshot * before:
            share = f"under {limits.smallest_snapshot:.0%}"
            faults.append(f"it has {count} {name} and the last accepted one had {before}: {share}")
    return faults


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
