"""A trust whose MIS exports all its schools in one set: reading and planning each of them in one night."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from bench.planning import plan_snapshot
from local.school.data import SchoolData
from local.school.generate import generate
from local.school.oneroster_csv import write_trust
from local.school_settings import parse_school_settings
from local.tenant.names import DOMAIN
from sync_core.clock import SystemClock
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import AccountId, SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.settings import SchoolChoices, SchoolSettings
from sync_core.domain.school.sources import FeedFolder
from sync_core.mis.academic_years import calendar_of
from sync_core.mis.drop.reader import FileDropReader, open_store
from sync_core.mis.drop.readings import MAX_BYTES, SharedReadings
from sync_core.mis.sources import MisSources

_MOST_RATIO = 1.3
_MOST_MIB = 300
_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Night:
    """Seconds of the processor to read the schools and to plan them, and the most memory of the process, in MiB."""

    read: float
    planned: float
    peak: int

    @property
    def seconds(self) -> float:
        return self.read + self.planned


@dataclass(frozen=True, slots=True)
class Result:
    """`once` reads the set once and keeps all schools in memory. `separate` reads it for one school, and plans that."""

    schools: int
    pupils: int
    memberships: int
    once: Night
    shared: Night
    separate: Night


def run(schools: int = 50, pupils: int = 1_000) -> Result:
    """The best of several runs, because other processes use the processor too.

    Raises RuntimeError if sharing takes too long or too much memory.
    """
    with tempfile.TemporaryDirectory(prefix="bench-trust-") as folder:
        feed = Path(folder) / "set"
        trust = [make_trust_school(number, pupils) for number in range(schools)]
        write_trust(trust, feed)
        memberships = sum(len(group.pupils) + len(group.staff) for school in trust for group in school.groups)
        ids = [SchoolId(school.id) for school in trust]
        nights = [
            (
                _in_a_process(_read_once, feed, ids),
                _in_a_process(partial(_read_shared, MAX_BYTES), feed, ids),
                _in_a_process(partial(_read_shared, 0), feed, ids[:1]),
            )
            for _ in range(_REPEATS)
        ]
    once, shared, separate = (_best(of_kind) for of_kind in zip(*nights, strict=True))
    result = Result(schools, pupils, memberships, once, shared, separate)
    if shared.seconds > _MOST_RATIO * once.seconds or shared.peak > _MOST_MIB:
        raise RuntimeError(f"a set of many schools takes too much: {result}")
    return result


def section(result: Result) -> str:
    """The results as Markdown."""
    once, shared, separate = result.once, result.shared, result.separate
    alone = separate.read * result.schools, separate.planned * result.schools

    def row(name: str, read: float, planned: float, peak: int) -> str:
        return f"| {name} | {read:.1f} | {planned:.1f} | {(read + planned) / once.seconds:.2f} | {peak} |"

    return "\n".join(
        [
            f"{result.schools} schools of {result.pupils:,} pupils in one OneRoster set, {result.memberships:,} "
            "memberships. Each school's snapshot is read and its first night planned, with the accounts of its own "
            f"people. Seconds of the processor, the best of {_REPEATS} runs; times relative to the first row, of "
            f"which at most {_MOST_RATIO} are allowed; memory is the most that the process used, of which "
            f"{_MOST_MIB} MiB are allowed.",
            "",
            "| | reading, s | planning, s | times | memory, MiB |",
            "| --- | ---: | ---: | ---: | ---: |",
            row("read once and kept in memory", once.read, once.planned, once.peak),
            row("one reading on disk, which all schools share", shared.read, shared.planned, shared.peak),
            row(
                f"as before: read for each school (calculated: one school, times {result.schools})",
                *alone,
                separate.peak,
            ),
        ]
    )


def school_id(number: int) -> SchoolId:
    return SchoolId(f"S{number:02}")


def make_trust_school(number: int, pupils: int) -> SchoolData:
    """A generated school whose ids no other number has."""
    id_ = school_id(number)
    data = generate(seed=number, pupils=pupils)
    groups = tuple(
        replace(
            group,
            id=f"{id_}-{group.id}",
            staff=tuple(replace(each, teacher=f"{id_}-{each.teacher}") for each in group.staff),
            pupils=tuple(f"{id_}-{pupil}" for pupil in group.pupils),
        )
        for group in data.groups
    )
    return replace(
        data,
        id=id_,
        name=f"School {number}",
        dfe_code=f"{9_000_000 + number}",
        pupils=tuple(replace(pupil, id=f"{id_}-{pupil.id}") for pupil in data.pupils),
        staff=tuple(replace(each, id=f"{id_}-{each.id}") for each in data.staff),
        groups=groups,
    )


def _best(nights: Sequence[Night]) -> Night:
    """The least time of each kind of work, and the most memory."""
    return Night(
        min(night.read for night in nights), min(night.planned for night in nights), max(night.peak for night in nights)
    )


def _in_a_process(work: Callable[[Path, list[SchoolId]], Night], feed: Path, schools: list[SchoolId]) -> Night:
    """The work in a process of its own, because the peak of the memory is that of a whole process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, feed, schools).result()


def _read_once(feed: Path, schools: list[SchoolId]) -> Night:
    """Read the set as it is, without the readings that schools share, and plan each school from memory."""
    clock = SystemClock()
    drops = FileDropReader(partial(open_store, None), timedelta(0), clock, SharedReadings(clock, max_bytes=0))
    calendar = calendar_of(SchoolChoices(), clock.now())
    began = time.process_time()
    snapshots = asyncio.run(drops.snapshots(FeedFolder(str(feed)), calendar))
    read = time.process_time() - began
    return _night(read, sum(_plan(snapshots[school], _settings(feed, school)) for school in schools))


def _read_shared(max_bytes: int, feed: Path, schools: list[SchoolId]) -> Night:
    """Read each school as a sync does, and plan it, one after the other. Readings take up to `max_bytes`."""
    return asyncio.run(_read_and_plan(max_bytes, [_settings(feed, school) for school in schools]))


async def _read_and_plan(max_bytes: int, schools: list[SchoolSettings]) -> Night:
    clock = SystemClock()
    readings = SharedReadings(clock, max_bytes)
    sources = MisSources(FileDropReader(partial(open_store, None), timedelta(0), clock, readings), {}, clock)
    read = planned = 0.0
    for settings in schools:
        began = time.process_time()
        snapshot = await sources.snapshot(settings)
        read += time.process_time() - began
        planned += _plan(snapshot, settings)
    return _night(read, planned)


def _night(read: float, planned: float) -> Night:
    return Night(read, planned, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def _settings(feed: Path, school: SchoolId) -> SchoolSettings:
    source = FeedFolder(str(feed))
    return parse_school_settings({"account_domain": DOMAIN}, school=school, tenant="T", source=source)


def _plan(snapshot: Snapshot, settings: SchoolSettings) -> float:
    """The seconds of the processor that the first plan takes."""
    accounts = [
        Account(
            AccountId(str(uuid5(NAMESPACE_URL, person.id))),
            {AccountProperty.UPN: (person.email or f"{person.username}@{DOMAIN}").lower()},
        )
        for person in snapshot.people.values()
    ]
    began = time.process_time()
    plan_snapshot(snapshot, settings, accounts, {})
    return time.process_time() - began
