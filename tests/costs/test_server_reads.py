"""Exact counts of what a night requests of a OneRoster server that a district's schools share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.trust import make_trust_school, school_id
from local.mis.oneroster_api import OneRosterServer
from local.mis.token_server import TOKEN
from local.school.oneroster_csv import write_trust
from sync_core.domain.school.sources import OneRosterApi
from sync_core.mis.sources import MisSources
from tests.builders import mis_sources, settings
from tests.fakes.fixed_clock import FixedClock
from tests.serving import serve

SCHOOLS = 20
AN_HOUR = timedelta(hours=1)


def each_once(_name: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trust is in the set with each of its schools."""
    return list({record["sourcedId"]: record for record in records}.values())


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("district") / "set"
    write_trust((make_trust_school(number, pupils=100) for number in range(SCHOOLS)), folder)
    return folder


async def count_requests(server: OneRosterServer, url: str, sources: MisSources, clock: FixedClock) -> list[int]:
    """How many requests each school takes on a night, one school after the other."""
    source, counts = OneRosterApi(url=url, secret="MIS_SECRET_S"), []
    for number in range(SCHOOLS):
        before = len(server.requests)
        school = replace(settings(), school=school_id(number), source=source)
        assert (await sources.snapshot(school, clock.now() - AN_HOUR)).school.id == school.school
        counts.append(len(server.requests) - before)
        clock.advance(AN_HOUR / SCHOOLS)
    return counts


DISTRICTS: Mapping[str, tuple[Sequence[str], int, int]] = {
    "all lists of each school": ((), 11, 9),
    "no enrolments of a school": (("enrollments",), 21, 7),
    "no lists of a school": (("classes", "students", "teachers", "enrollments"), 24, 1),
    "no school either": (("schools", "classes", "students", "teachers", "enrollments"), 26, 1),
}


@pytest.mark.parametrize("district", DISTRICTS)
async def test_a_night_of_twenty_schools_reads_the_districts_lists_once(feed: Path, district: str) -> None:
    """20 schools of 100 pupils, 9,640 enrolments, 1,000 records a page.

    | the server has | first school | each other school | night | if each school read all itself |
    | --- | ---: | ---: | ---: | ---: |
    | all lists of each school | 11 | 9 | 182 | 220 |
    | no enrolments of a school | 21 | 7 | 154 | 401 |
    | no lists of a school | 24 | 1 | 43 | 404 |
    | no school either, only orgs | 26 | 1 | 45 | 444 |

    The first school also finds the quirks.
    """
    missing, first, other = DISTRICTS[district]
    server, clock = OneRosterServer(feed, page=1000, missing=missing, change=each_once), FixedClock()
    async with serve(server.app()) as url:
        sources = mis_sources(clock, {"MIS_SECRET_S": TOKEN})
        assert await count_requests(server, url, sources, clock) == [first, *[other] * (SCHOOLS - 1)]
