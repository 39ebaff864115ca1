"""A check of a feed for the command line: reads it, and says what it has and whether a sync would accept it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from local.feed import read_feed
from local.school_settings import parse_school_settings
from local.tenant.names import TENANT_ID
from sync_core.clock import SystemClock
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import FeedStatistics, GroupType, LeftOut
from sync_core.domain.school.sources import FeedFolder
from sync_core.mis.academic_years import calendar_of
from sync_core.mis.roster import no_school
from sync_core.planning.feed_report import FeedReport, GroupsOfType, Identities, report_on
from sync_core.planning.limits.snapshot import statistics_of

_SHOWN_ROWS = 10
"""Of one reason."""
_PUPILS, _TEACHERS = ("pupil", "pupils"), ("teacher", "teachers")
_COMPARED = {"groups": "groups", "students": "pupils", "staff": "teachers", "enrolments": "enrolments"}


@dataclass(frozen=True, slots=True)
class FeedCheck:
    """The reports on the schools of a feed. `gone` are the schools that the earlier feed had and this one has not."""

    reports: tuple[FeedReport, ...]
    gone: tuple[SchoolId, ...]

    @property
    def rejected(self) -> bool:
        return bool(self.gone) or any(report.rejections for report in self.reports)

    @property
    def left_out(self) -> bool:
        return any(report.left_out_rows for report in self.reports)


def check_feed(path: Path, values: Mapping[str, object], only: str, earlier: Path | None) -> FeedCheck:
    """Check each school of the feed, or `only` one, with these settings, against an `earlier` feed if there is one.

    Raises SnapshotRejected, UnknownSetting.
    """
    settings = parse_school_settings(values, school="", tenant=TENANT_ID, source=FeedFolder(str(path)))
    calendar = calendar_of(settings, SystemClock().now())
    feed, before = read_feed(path, calendar), read_feed(earlier, calendar) if earlier else {}
    if only and only not in feed:
        raise no_school(only, feed)
    chosen = {id_: snapshot for id_, snapshot in feed.items() if only in ("", id_)}
    accepted = {id_: statistics_of(snapshot) for id_, snapshot in before.items()}
    reports = [report_on(snapshot, settings.limits, accepted.get(id_)) for id_, snapshot in chosen.items()]
    return FeedCheck(tuple(reports), () if only else tuple(id_ for id_ in before if id_ not in feed))


def describe(check: FeedCheck) -> Group:
    """The check as text for the terminal. What is the same for every school is said once."""
    first, *others = check.reports
    common = [note for note in first.notes if all(note in report.notes for report in others)] if others else []
    rows = [("format", first.format), ("schools", ", ".join(f"{id_} {name}" for id_, name in first.schools.items()))]
    rows += [("note", note) for note in common]
    if check.gone:
        gone = f"{', '.join(check.gone)}: in the earlier feed, and not in this one; a sync would reject it for them"
        rows.append(("missing", gone))
    parts: list[Table | Text] = [_grid(rows)]
    for report in check.reports:
        code = f"DfE code {report.dfe_code}" if report.dfe_code else "no DfE code"
        parts += [Text(f"\nSchool {report.school}, {report.name}, {code}"), _grid(list(_rows(report, common)))]
    return Group(*parts)


def _rows(report: FeedReport, common: Sequence[str]) -> Iterator[tuple[str, str]]:
    years = [f"{_year(year)} ({_count(groups, 'group', 'groups')})" for year, groups in report.academic_years.items()]
    differs = years and report.current_year not in report.academic_years
    today = f"; today is in {_year(report.current_year)}: is this an old export?" if differs else ""
    yield "academic year", (", ".join(years) or "none") + today
    by_year = "; ".join(f"{year.name}: {year.students}" for year in report.year_groups)
    for groups in report.groups:
        shown = f" ({by_year})" if by_year and groups.type is GroupType.YEAR else ""
        yield f"{groups.type} groups", _groups(groups) + shown
    yield "pupils", _identities(report.students)
    yield "teachers", _identities(report.teachers)
    if report.statistics.domain:
        yield "addresses", f"most end in {report.statistics.domain}"
    for count in report.left_out_of:
        yield "left out", f"{count.left_out} of {_count(count.rows, 'row', 'rows')} of {count.source}"
    for text in _left_out(report.left_out):
        yield "", text
    for note in report.notes:
        if note not in common:
            yield "note", note
    if report.accepted:
        yield "earlier feed", _compared(report.accepted, report.statistics)
    for rejected in report.rejections:
        yield "rejected", f"{rejected.what} — {rejected.remedy}"
    yield "a sync", _verdict(report)


def _left_out(rows: Iterable[LeftOut]) -> Iterator[str]:
    """A sentence for each reason, with the places of the first rows."""
    places: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for row in rows:
        places[row.source, row.field, row.reason, row.remedy].append(row.place)
    for (source, field, reason, remedy), found in places.items():
        column = f', column "{field}"' if field else ""
        more = "; --json lists more" if len(found) > _SHOWN_ROWS else ""
        yield f"{source}{column}: {reason} ({', '.join(found[:_SHOWN_ROWS])}{more}) — {remedy}"


def _verdict(report: FeedReport) -> str:
    if report.rejections:
        return "would reject this feed, and change nothing"
    if report.left_out_rows:
        return "would accept this feed without what is left out; nobody leaves a class because of that"
    return "would accept this feed"


def _groups(groups: GroupsOfType) -> str:
    if not groups.groups:
        return "none"
    parts = [_count(groups.groups, "group", "groups"), _count(groups.students, *_PUPILS)]
    if groups.type is not GroupType.YEAR:
        parts += [_count(groups.enrolments, "enrolment", "enrolments"), _count(groups.teachers, *_TEACHERS)]
    lacking = [f"{groups.without_students} without pupils"] if groups.without_students else []
    if groups.without_teachers and groups.type is GroupType.TEACHING:
        lacking.append(f"{groups.without_teachers} without a teacher, whose classes get no owner from the MIS")
    return "; ".join([", ".join(parts), *lacking])


def _identities(people: Identities) -> str:
    if not people.people:
        return "nobody in a group"
    return (
        f"{people.people:,} in groups; with a user name: {people.with_username:,} (an address: "
        f"{people.username_is_address:,}), with an e-mail address: {people.with_email:,}, with neither: "
        f"{people.with_neither:,}"
    )


def _compared(before: FeedStatistics, now: FeedStatistics) -> str:
    counts = [f"{word} {getattr(before, name):,} → {getattr(now, name):,}" for name, word in _COMPARED.items()]
    return f"of {before.taken_at:%d %b %Y %H:%M} UTC: {', '.join(counts)}"


def _year(start: int) -> str:
    return f"{start}/{(start + 1) % 100:02}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(Text(f"  {label}"), Text(text))
    return grid
