"""Each limit on a feed, with a feed at it and one past it, and the times and types of records that no school has."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from local.feed import read_feed
from sync_core.domain.ids import MisId
from sync_core.errors import SnapshotRejected
from sync_core.mis import budget
from sync_core.mis.academic_years import Calendar, Session, session_years
from sync_core.mis.budget import ENTRY, MAX_INDEX, MAX_KEPT, MAX_SECONDS, Budget, Deadline, check_listing, check_reading
from sync_core.mis.files.archive import FeedFiles, open_zip
from sync_core.mis.files.csv_file import CsvFile
from sync_core.mis.quarantine import Quarantine
from sync_core.mis.roster import RosterClass, YearGroups
from sync_core.mis.rows import Row, nearest
from tests.builders import NOON
from tests.fakes.fixed_clock import FixedClock
from tests.mis import feeds

Change = Callable[[feeds.Feed, int], None]


def text(file: str, before: str, instead: str) -> Change:
    """Puts `instead` in place of `before`, with as many letters in place of its `@` as the limit says."""

    def change(feed: feeds.Feed, count: int) -> None:
        assert before in feed[file]
        feed[file] = feed[file].replace(before, instead.replace("@", "x" * count), 1)

    return change


def listed(file: str, before: str, first: str) -> Change:
    def change(feed: feeds.Feed, count: int) -> None:
        ids = ",".join([first] + [f"x{number}" for number in range(count - 1)])
        feed[file] = feed[file].replace(before, f'"{ids}"', 1)

    return change


def before_header(feed: feeds.Feed, count: int) -> None:
    feed["users.csv"] = ",,,\n" * (count - 1) + feed["users.csv"]


def columns(feed: feeds.Feed, count: int) -> None:
    header, *rows = feed["orgs.csv"].splitlines()
    more = count - header.count(",") - 1
    lines = [header + "".join(f",x{n}" for n in range(more)), *(row + "," * more for row in rows)]
    feed["orgs.csv"] = "\n".join(lines) + "\n"


def cells(feed: feeds.Feed, count: int) -> None:
    feed["orgs.csv"] += "x" + "," * (count - 1) + "\n"


def record(feed: feeds.Feed, count: int) -> None:
    """A record of many lines. Its cells are within the limit of the module csv."""
    part = "x" * 99_997
    cell = f'"{part}\n"'
    whole = f"{cell}," * (count // (len(cell) + 1))
    feed["orgs.csv"] += whole + "x" * (count - len(whole) - 1) + "\n"


def line(feed: feeds.Feed, count: int) -> None:
    feed["orgs.csv"] += "x" * (count - 1) + "\n"


REJECTED: list[tuple[str, Change, str]] = [
    ("MAX_BEFORE_HEADER", before_header, "users.csv has no header in its first 1,000 lines"),
    ("MAX_COLUMNS", columns, "orgs.csv line 1: has more than 1,000 columns"),
    ("MAX_CELLS", cells, "orgs.csv line 4: has more than 10,000 cells"),
    ("MAX_LINE", line, "orgs.csv line 4: is longer than 1000000 characters"),
    ("MAX_LINE", record, "ends a record of more than 1000000 characters"),
]


def _read(feed: feeds.Feed, folder: Path) -> object:
    return read_feed(feeds.write(feed, folder), feeds.TODAY)


@pytest.mark.parametrize(("limit", "change", "message"), REJECTED, ids=[f"{x[0]} {x[1].__name__}" for x in REJECTED])
def test_a_file_past_a_limit_is_rejected(limit: str, change: Change, message: str, tmp_path: Path) -> None:
    at, past = feeds.oneroster(), feeds.oneroster()
    change(at, getattr(budget, limit))
    change(past, getattr(budget, limit) + 1)
    _read(at, tmp_path / "at")
    with pytest.raises(SnapshotRejected) as caught:
        _read(past, tmp_path / "past")
    assert message in caught.value.message


class SlowFile(io.BytesIO):
    """A file whose first bytes take `seconds`."""

    def __init__(self, data: bytes, clock: FixedClock, seconds: float) -> None:
        super().__init__(data)
        self.clock, self.seconds = clock, seconds

    def read(self, size: int | None = -1, /) -> bytes:
        self.clock.advance(timedelta(seconds=self.seconds))
        self.seconds = 0
        return super().read(size)


def test_a_file_is_read_for_900_seconds_and_no_longer() -> None:
    def read(seconds: float) -> list[str]:
        clock = FixedClock()
        file = CsvFile("users.csv", lambda: SlowFile(b"id\np1\np2\n", clock, seconds))
        files = FeedFiles({"users.csv": file}, NOON).within(Deadline.from_now(clock))
        return [row["id"] for row in files.read("users.csv", ["id"])]

    assert read(MAX_SECONDS) == ["p1", "p2"]
    with pytest.raises(SnapshotRejected) as caught:
        read(MAX_SECONDS + 0.001)
    assert caught.value.message == "the feed was not read within 900 seconds"
    assert caught.value.remedy == "nothing was changed; have the MIS export less, or split the export by school"


@pytest.mark.parametrize("path", ["x" * 300, "x\0", "\ud800"])
def test_a_path_that_cannot_be_looked_up_is_a_rejection(path: str) -> None:
    with pytest.raises(SnapshotRejected):
        read_feed(Path(path), feeds.TODAY)


TEXT, ITEMS = "MAX_TEXT", "MAX_ITEMS"
LEFT_OUT: list[tuple[str, Change, str]] = [
    (TEXT, text("users.csv", "p2,", "@,"), 'users.csv line 3: has more than 255 characters in the column "sourcedId"'),
    (
        TEXT,
        text("users.csv", "ben@else.org", "@"),
        'users.csv line 3: has more than 255 characters in the column "email"',
    ),
    (
        TEXT,
        text("users.csv", ",APupil", ",@"),
        'users.csv line 2: has more than 255 characters in the column "username"',
    ),
    (TEXT, text("users.csv", ",10,", ",@,"), 'users.csv line 2: has more than 255 characters in the column "grades"'),
    (
        TEXT,
        text("classes.csv", "10A/Ma1", "@"),
        'classes.csv line 2: has more than 255 characters in the column "title"',
    ),
    (
        TEXT,
        text("orgs.csv", "1234567", "@"),
        'orgs.csv line 3: has more than 255 characters in the column "identifier"',
    ),
    (TEXT, text("orgs.csv", "A School", "@"), 'orgs.csv line 3: has more than 255 characters in the column "name"'),
    (TEXT, text("enrollments.csv", "E1,", "@,"), "enrollments.csv line 2: has more than 255 characters in the column"),
    (ITEMS, listed("classes.csv", '"T1,T2"', "T1"), 'classes.csv line 2: has more than 1,000 ids in the column "term'),
    (ITEMS, listed("users.csv", "S1", "S1"), 'users.csv line 2: has more than 1,000 ids in the column "orgSourcedIds"'),
]


@pytest.mark.parametrize(("limit", "change", "fault"), LEFT_OUT, ids=range(len(LEFT_OUT)))
def test_a_row_past_a_limit_is_left_out(limit: str, change: Change, fault: str, tmp_path: Path) -> None:
    at, past = feeds.oneroster(), feeds.oneroster()
    change(at, getattr(budget, limit))
    change(past, getattr(budget, limit) + 1)
    for feed, reasons in ((at, False), (past, True)):
        try:
            read = read_feed(feeds.write(feed, tmp_path / str(reasons)), feeds.TODAY)
            left_out = [str(row) for snapshot in read.values() for row in snapshot.left_out]
        except SnapshotRejected as error:  # without its school, the feed has no group
            left_out = [error.message]
        assert any(fault in row for row in left_out) is reasons
        assert not any("x" * 30 in row for row in left_out)


def test_a_header_cell_longer_than_the_module_csv_reads_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRejected, match=r"orgs\.csv line 1: badly quoted header"):
        _read(feeds.oneroster() | {"orgs.csv": "sourcedId," + "x" * 131_073 + "\n"}, tmp_path)


def test_the_size_of_a_drop_and_of_a_reading_has_a_limit() -> None:
    check_listing(budget.MAX_FILES, "d")
    check_reading(budget.MAX_READING, budget.MAX_SETS)
    with pytest.raises(SnapshotRejected, match="the file drop d has more than 50,000 files"):
        check_listing(budget.MAX_FILES + 1, "d")
    with pytest.raises(SnapshotRejected, match="more than 2,000,000,000 bytes"):
        check_reading(budget.MAX_READING + 1, 1)
    with pytest.raises(SnapshotRejected, match="more than 400 sets"):
        check_reading(1, budget.MAX_SETS + 1)


def test_the_rows_left_out_have_a_limit() -> None:
    quarantine, row = Quarantine(), Row("users.csv", 2)
    for _ in range(budget.MAX_LEFT_OUT):
        quarantine.leave_out(row, "", "x")
    with pytest.raises(SnapshotRejected, match="more than 200,000 rows of the feed cannot be read"):
        quarantine.leave_out(row, "", "x")


def test_what_a_reading_keeps_has_a_limit() -> None:
    full = Budget()
    full.keep(MAX_KEPT)
    with pytest.raises(SnapshotRejected, match="more people, groups and memberships than fit into 120,000,000 bytes"):
        full.keep(1)
    kept = Budget()
    roster_class, years = RosterClass("C", "S", "N", 2026, budget=kept), YearGroups(kept)
    for _ in range(2):
        roster_class.add_student(MisId("p"))
    assert MAX_KEPT - kept.left == ENTRY + 1
    years.add("S", "10", MisId("p"))
    before = kept.left
    years.add("S", "10", MisId("p"))
    assert kept.left == before < MAX_KEPT - 2 * ENTRY


@pytest.mark.parametrize("size", [MAX_INDEX, MAX_INDEX + 1])
def test_the_index_of_a_zip_file_has_a_limit(size: int, tmp_path: Path) -> None:
    path = feeds.write_zip({"orgs.csv": "x\n"}, tmp_path / "feed.zip")
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    content = path.read_bytes()
    entry = content[start : content.index(b"PK\x05\x06")]
    name = entry[46:54]
    many, rest = divmod(size - len(entry), len(entry) + 60_000)
    comment = [60_000] * many + ([rest - len(entry)] if rest >= len(entry) else [])
    index = entry + b"".join(
        entry[:32] + length.to_bytes(2, "little") + entry[34:46] + name + b"x" * length for length in comment
    )
    assert len(index) == size
    end = bytearray(content[content.index(b"PK\x05\x06") :])
    end[8:12] = (1 + len(comment)).to_bytes(2, "little") * 2
    end[12:16] = size.to_bytes(4, "little")
    path.write_bytes(content[:start] + index + end)
    message = "appears twice" if size == MAX_INDEX else "is not a complete zip file"
    with pytest.raises(SnapshotRejected, match=message):
        open_zip(path, datetime(2026, 9, 1, tzinfo=UTC))


YEARS = ["0001-01-01", "0000-00-01", "1753-01-01", "9999-12-31", "9999-12-01", "2999-12-31"]


@pytest.mark.parametrize("begin", YEARS)
@pytest.mark.parametrize("end", [*YEARS, ""])
def test_any_year_of_a_session_is_read_or_its_classes_left_out(begin: str, end: str, tmp_path: Path) -> None:
    roster, v1 = feeds.oneroster(), feeds.sds_v1()
    roster["academicSessions.csv"] = roster["academicSessions.csv"].replace("2026-09-01,2027-08-31", f"{begin},{end}")
    v1["Section.csv"] = v1["Section.csv"].replace("9/1/2026,7/21/2027", f"{begin},{end}")
    for number, feed in enumerate((roster, v1)):
        for snapshot in read_feed(feeds.write(feed, tmp_path / str(number)), feeds.TODAY).values():
            assert snapshot.left_out or snapshot.groups
            assert all(budget.FIRST_YEAR <= group.academic_year <= budget.LAST_YEAR for group in snapshot.groups)


@pytest.mark.parametrize(("year", "known"), [(1989, False), (1990, True), (2100, True), (2101, False)])
def test_the_academic_year_of_a_class_has_limits(year: int, known: bool) -> None:
    calendar = Calendar(date(2026, 11, 27))
    by_dates = Session("schoolYear", "", "", date(year, 9, 1), date(year + 1, 8, 1))
    by_column = Session("term", "", f"{year}/{(year + 1) % 100:02}", None, None)
    for session in (by_dates, by_column):
        assert session_years({"Y": session}, calendar) == {"Y": year if known else None}


def test_chains_and_crowds_of_sessions_and_orgs_are_read_once() -> None:
    """Were each looked up from the start, these would take minutes."""
    count = 20_000
    ids = [f"s{number}" for number in range(count)]
    chain = dict(pairwise(ids))
    began = time.process_time()
    assert set(nearest(chain | {ids[-1]: ""}, {ids[-1]}).values()) == {ids[-1]}
    assert nearest(chain | {ids[-1]: ids[0]}, set()) == {}
    days = [date.fromordinal(date(1990, 9, 1).toordinal() + number) for number in range(count)]
    crowd = {f"y{n}": Session("schoolYear", "", f"{n}", day, day) for n, day in enumerate(days)}
    terms = {f"t{n}": Session("term", f"t{n + 1}", "", day, day) for n, day in enumerate(days)}
    years = session_years(crowd | terms, Calendar(date(2026, 11, 27)))
    assert all(years[f"t{number}"] == years[f"y{number}"] for number in range(count))
    assert time.process_time() - began < 5
