"""Lists that the schools of a district share: who gets which records, when a list is read again, and what it takes."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.trust import make_trust_school, school_id
from local.feed import read_feed
from local.mis.oneroster_api import OneRosterServer
from local.mis.token_server import TOKEN
from local.school.oneroster_csv import write_trust
from sync_core.clock import SystemClock
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.sources import OneRosterApi, OneRosterVersion
from sync_core.errors import SnapshotRejected
from sync_core.mis.budget import Budget
from sync_core.mis.records import Record
from sync_core.mis.rest.cache import SchoolCache
from sync_core.mis.rest.oneroster import read_oneroster_api
from sync_core.mis.rest.oneroster_records import SCHEMAS_OF_ALL_SCHOOLS, at_school, keys_of
from sync_core.mis.rest.paging import ListPage, stream_list
from sync_core.mis.rest.shared_lists import MAX_BYTES, SharedLists, StoredRecords
from tests.fakes.fixed_clock import FixedClock
from tests.mis import feeds
from tests.serving import serve

S0, S1, S2 = (school_id(number) for number in range(3))
ENROLMENT = SCHEMAS_OF_ALL_SCHOOLS["enrollments"]
NO_LISTS_OF_A_SCHOOL = ("classes", "students", "teachers", "enrollments")


@dataclass(slots=True)
class District:
    """A server of three schools, and what its schools share: at most `max_bytes`."""

    server: OneRosterServer
    source: OneRosterApi
    max_bytes: int = MAX_BYTES
    clock: FixedClock = field(default_factory=FixedClock)
    cache: SchoolCache = field(default_factory=SchoolCache)
    lists: SharedLists = field(init=False)

    def __post_init__(self) -> None:
        self.lists = SharedLists(self.clock, self.max_bytes)

    async def read(self, school: SchoolId, max_age: timedelta = timedelta(0)) -> Snapshot:
        """The school as it was `max_age` ago or later."""
        lists = self.lists.of(self.source, self.clock.now() - max_age)
        read = await read_oneroster_api(self.source, TOKEN, school, self.cache, lists, self.clock, feeds.TODAY)
        return read[school]

    def count_readings(self) -> int:
        """How many times the list of all enrolments was begun."""
        return sum("/enrollments?limit=1000&offset=0" in path and "/schools/" not in path for path in self.requests)

    @property
    def requests(self) -> list[str]:
        return self.server.requests


def each_once(_name: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trust is in the set with each of its schools."""
    return list({record["sourcedId"]: record for record in records}.values())


@asynccontextmanager
async def open_district(folder: Path, version: str = "1.2", max_bytes: int = MAX_BYTES) -> AsyncIterator[District]:
    write_trust((make_trust_school(number, pupils=20) for number in range(3)), folder / "set")
    server = OneRosterServer(folder / "set", page=100, missing=NO_LISTS_OF_A_SCHOOL, change=each_once)
    async with serve(server.app()) as url:
        yield District(
            server, OneRosterApi(url=url, version=OneRosterVersion(version), secret="MIS_SECRET_S"), max_bytes
        )


@pytest.fixture
async def district(tmp_path: Path) -> AsyncIterator[District]:
    async with open_district(tmp_path) as district:
        yield district


ids = st.sampled_from(["", "1", "2", "3"])
references = st.fixed_dictionaries({"sourcedId": ids})
enrolments = st.fixed_dictionaries(
    {}, optional={"sourcedId": ids, "school": references, "class": references, "role": st.text(max_size=3)}
)


@given(st.lists(st.dictionaries(st.text(max_size=3), enrolments, max_size=3), max_size=4), st.frozensets(ids))
def test_the_records_of_each_key_are_read_back_exactly(pages: list[dict[str, Any]], schools: frozenset[str]) -> None:
    stored, everything = StoredRecords(ENROLMENT, 10**9), dict[str, Record]()
    for page in pages:
        records = {id_: ENROLMENT.read_all([record])[0] for id_, record in page.items()}
        fresh = {id_: record for id_, record in records.items() if id_ not in everything}
        stored.add([(id_, record, keys_of("enrollments", record)) for id_, record in fresh.items()])
        everything |= fresh
    wanted = {at_school(school) for school in schools}
    chosen = {id_: one for id_, one in everything.items() if keys_of("enrollments", one) & wanted}
    assert [*stored.of(wanted).items()] == [*chosen.items()]


@pytest.mark.parametrize("max_bytes", [MAX_BYTES, 10_000, 0], ids=["stored", "no room for most", "no room"])
@pytest.mark.parametrize("version", ["1.1", "1.2"])
async def test_each_school_gets_what_it_would_have_read_alone(tmp_path: Path, version: str, max_bytes: int) -> None:
    """Also schools that wait for the reading of another, and without room on the disk."""
    async with open_district(tmp_path, version, max_bytes) as district:
        exported = read_feed(district.server.folder, feeds.TODAY)
        shared = await asyncio.gather(*map(district.read, (S0, S1, S2, S0)))
        for school, read in zip((S0, S1, S2, S0), shared, strict=True):
            assert read.people == exported[school].people
            assert read.groups == exported[school].groups
            assert not read.left_out
        assert district.count_readings() == (1 if max_bytes == MAX_BYTES else 4)


async def test_a_list_is_shared_by_readings_that_accept_its_age(district: District) -> None:
    hour = timedelta(hours=1)
    began = district.clock.now()
    await district.read(S0, hour)
    district.clock.advance(hour)
    assert (await district.read(S1, hour)).taken_at == began
    assert district.count_readings() == 1
    district.clock.advance(timedelta(seconds=1))
    assert (await district.read(S2, hour)).taken_at == district.clock.now()
    assert district.count_readings() == 2


async def test_a_read_of_the_mis_as_it_is_now_shows_the_last_change_and_serves_those_after_it(
    district: District,
) -> None:
    hour = timedelta(hours=1)
    before = await district.read(S0, hour)
    district.clock.advance(timedelta(seconds=1))
    enrolments = district.server.folder / "enrollments.csv"
    rows = enrolments.read_text(encoding="utf-8").splitlines(keepends=True)
    enrolments.write_text("".join([rows[0], *(row for row in rows[1:] if "R7A" not in row)]), encoding="utf-8")
    old, now, later = await district.read(S0, hour), await district.read(S0), await district.read(S0, hour)
    assert old == before
    assert now.groups != before.groups
    assert later == now
    assert district.count_readings() == 2


async def test_a_reading_that_failed_is_not_kept(district: District) -> None:
    hour = timedelta(hours=1)
    district.server.change = lambda name, records: [*records, records[0]] if name == "enrollments" else records
    for readings in (3, 6):
        with pytest.raises(SnapshotRejected, match="a record of enrollments was returned twice"):
            await district.read(S0, hour)
        assert district.count_readings() == readings
    district.server.change = each_once
    await district.read(S0, hour)
    assert district.count_readings() == 7


async def test_another_client_reads_for_itself(district: District) -> None:
    """It may be allowed to see other records."""
    await district.read(S0)
    district.source = replace(district.source, secret="MIS_SECRET_OTHER")
    await district.read(S0)
    assert district.count_readings() == 2


async def test_people_in_no_list_of_the_school_are_found_in_a_list_that_is_there(district: District) -> None:
    """A pupil of one school in a class of another takes no request."""
    guest, group = make_trust_school(1, 20).pupils[0].id, make_trust_school(0, 20).groups[0].id
    with (district.server.folder / "enrollments.csv").open("a", encoding="utf-8") as file:
        header = (district.server.folder / "enrollments.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
        row = {"sourcedId": "G", "classSourcedId": group, "schoolSourcedId": S0, "userSourcedId": guest}
        file.write(",".join({**row, "role": "student", "primary": "false"}.get(name, "") for name in header) + "\r\n")
    read = await district.read(S0)
    assert [one.id for one in read.groups if guest in one.students] == [group]
    assert not any("/users/" in path for path in district.requests)


MANY, PAGE, OF_EACH = 100_000, 1000, 50
MOST_MIB = 50


def read_many() -> int:
    """The MiB of memory that a list of MANY enrolments, and one school's part of it, added to a process at most."""

    async def fetch(query: Mapping[str, str]) -> ListPage:
        start = int(query["offset"])
        numbers = range(start, min(start + int(query["limit"]), MANY))
        return ListPage(ENROLMENT.read_all([make_enrolment(number) for number in numbers]), MANY)

    async def read() -> int:
        clock = SystemClock()
        source, lists = OneRosterApi(url="https://mis", secret="MIS_SECRET_S"), SharedLists(clock)
        for _ in range(2):
            budget = Budget()
            part = await lists.of(source, clock.now() - timedelta(hours=1)).part(
                "enrollments",
                ENROLMENT,
                partial(keys_of, "enrollments"),
                {at_school("S7")},
                budget,
                partial(stream_list, fetch, "enrollments", PAGE, budget=budget),
            )
        return len(part.records)

    before = most_memory()
    assert asyncio.run(read()) == MANY // OF_EACH
    return most_memory() - before


def most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def make_enrolment(number: int) -> dict[str, Any]:
    """With ids as long as a UUID."""
    return {
        "sourcedId": f"00000000-0000-0000-0000-{number:012}",
        "status": "active",
        "dateLastModified": "2026-09-07T12:00:00.000Z",
        "class": {"sourcedId": f"10000000-0000-0000-0000-{number % 12_000:012}", "type": "class"},
        "user": {"sourcedId": f"20000000-0000-0000-0000-{number % 40_000:012}", "type": "user"},
        "school": {"sourcedId": f"S{number % OF_EACH}", "type": "org"},
        "role": "student",
        "primary": False,
    }


def test_100_000_enrolments_are_never_all_in_memory() -> None:
    """In a process of its own. As objects they take 116 MiB."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(read_many).result() <= MOST_MIB
