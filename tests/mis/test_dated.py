"""A feed as it counts on a day to come: with next year's classes, which wait until then."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.school.data import SchoolData
from local.school.oneroster_csv import write
from sync_core.domain.roster import GroupType, Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedFolder
from sync_core.mis.files.uploads import UploadedExports
from tests.builders import NOON, mis_sources, settings
from tests.fakes.fixed_clock import FixedClock
from tests.flow.trust import pupils, staff, teaching

SEPTEMBER = datetime(2027, 9, 2, 1, tzinfo=UTC)
OLD = SchoolData(
    "S1", "Oak School", "1234567", 2026, pupils("amy ben"), staff("main"), (teaching("T1", "Art", "amy ben", "main"),)
)
NEW = replace(OLD, starts=2027, groups=(teaching("T2", "Art", "ben", "main"),))


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """This year's export, with next year's sessions, classes and enrolments in it."""
    both = tmp_path / "feed"
    write(OLD, both)
    write(NEW, tmp_path / "next")
    for path in (tmp_path / "next").glob("*.csv"):
        rows = list(csv.reader(path.open(encoding="utf-8")))
        known = list(csv.reader((both / path.name).open(encoding="utf-8")))
        added = [row for row in rows if row not in known]
        with (both / path.name).open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(added)
    return both


def teaching_groups(snapshot: Snapshot) -> dict[str, tuple[int, tuple[str, ...]]]:
    groups = [group for group in snapshot.groups if group.type is GroupType.TEACHING]
    return {group.id: (group.academic_year, group.students) for group in groups}


def zipped(feed: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in feed.glob("*.csv"):
            archive.write(path, path.name)
    return content.getvalue()


def settings_of(feed: Path) -> SchoolSettings:
    return replace(settings(), source=FeedFolder(str(feed)))


async def test_next_years_classes_are_there_on_their_day_alone(feed: Path) -> None:
    sources = mis_sources(FixedClock(NOON), {})
    now = await sources.snapshot(settings_of(feed))
    then = await sources.on(SEPTEMBER).snapshot(settings_of(feed))
    assert teaching_groups(now) == {"T1": (2026, ("amy", "ben"))}
    assert teaching_groups(then) == teaching_groups(now) | {"T2": (2027, ("ben",))}
    assert teaching_groups(await sources.snapshot(settings_of(feed))) == teaching_groups(now)


async def test_an_uploaded_export_is_read_as_of_a_day_too(feed: Path) -> None:
    content = zipped(feed)
    uploads = UploadedExports(FixedClock(NOON))
    now = await uploads.of(content).snapshot(settings())
    then = await uploads.of(content, SEPTEMBER).snapshot(settings())
    assert [list(teaching_groups(each)) for each in (now, then)] == [["T1"], ["T1", "T2"]]
