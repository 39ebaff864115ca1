"""Exact counts of what a night reads of a file drop that a trust's schools share."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bench.trust import make_trust_school, school_id
from local.school.oneroster_csv import write_trust
from sync_core.domain.school.sources import FeedFolder
from sync_core.mis.drop.reader import FileDropReader, open_store
from sync_core.mis.drop.readings import SharedReadings
from sync_core.mis.sources import MisSources
from tests.builders import settings
from tests.fakes.counting_drop import CountingDrop
from tests.fakes.fixed_clock import FixedClock


async def test_fifty_schools_of_one_set_read_each_file_once(tmp_path: Path) -> None:
    """The manifest and the orgs once more, to know whether the set is complete.

    It is listed once for each school, and once when it was read.
    """
    schools, drop, clock = 50, FeedFolder(str(tmp_path / "set")), FixedClock()
    write_trust((make_trust_school(number, pupils=10) for number in range(schools)), tmp_path / "set")
    counted = CountingDrop(open_store(None, drop))
    drops = FileDropReader(lambda _: counted, timedelta(0), clock, SharedReadings(clock))
    sources = MisSources(drops, {}, clock)
    files = Counter(file.name for file in (tmp_path / "set").iterdir())
    for night in (1, 2):
        for number in range(schools):
            school = replace(settings(), school=school_id(number), source=drop)
            assert (await sources.snapshot(school)).school.id == school.school
        read = Counter(dict.fromkeys(files, night))
        assert counted.fetched == read + Counter({"manifest.csv": 1, "orgs.csv": 1})
        assert counted.listings == night * (schools + 1)
        clock.advance(timedelta(days=1))
