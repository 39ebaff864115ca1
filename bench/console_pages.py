"""The console: the time to the first byte of each page, for a school of a thousand pupils and for a trust of fifty.

The pages are those of the console's own list. The local world answers: its Functions host, with Azurite's tables.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httpx

from bench.ours import table_state
from local.accounts import ListedAccount
from local.nightly import prepare_night, run_night
from local.school.generate import generate
from local.school.oneroster_csv import accounts, write
from local.tenant.names import DOMAIN
from local.world import Addresses, World
from sync_core.domain.ids import RunId, SchoolId
from sync_core.http.console.app import build_console

if TYPE_CHECKING:
    from sync_core.app import App

_SCHOOLS, _PUPILS, _NIGHTS = 50, 1_000, 30
_TRIES = 15
_MOST_OF_SCHOOL, _MOST_OF_TRUST = 0.3, 1.0
_ASKS_SERVERS = ("/checks", "/dead-letters", "/plan", "/now", "/create", "/connect")
"""The ends of paths whose pages ask an MIS, a queue or every service, and say so before they are opened."""


_QUERIES = {"/schools/{school}/groups/actions": "?action=resync&key={key}"}
"""What pages that need a query are asked."""


@dataclass(frozen=True, slots=True)
class Page:
    """`seconds` is the best time to the first byte, of which the host and its worker use the processor for `processor`.

    `size` is that of the page as compressed, in bytes.
    """

    path: str
    seconds: float
    processor: float
    size: int


@dataclass(frozen=True, slots=True)
class Result:
    schools: int
    pupils: int
    classes: int
    pages: Sequence[Page]


def run(schools: int = _SCHOOLS, pupils: int = _PUPILS) -> Result:
    """Raises RuntimeError if a page that asks no other server takes too long."""
    with tempfile.TemporaryDirectory(prefix="bench-world-") as name:
        world = World(Path(name) / "world")
        addresses = world.start()
        try:
            classes = _first_night(world, addresses, pupils)
            ids = asyncio.run(_add_schools(addresses.tables, schools))
            assert world.host
            pages = _measure(addresses.host, world.host.pid, ids)
        finally:
            world.stop()
    result = Result(schools, pupils, classes, pages)
    slow = [page for page in pages if not asks_servers(page.path) and page.seconds > most(page.path)]
    if slow:
        raise RuntimeError(f"pages take too long: {slow}")
    return result


def section(result: Result) -> str:
    """The results as Markdown."""
    rows = [
        f"| `{page.path}` | {1000 * page.seconds:,.0f} ms | {1000 * page.processor:,.0f} ms | "
        f"{'asks servers, and says so' if asks_servers(page.path) else f'{1000 * most(page.path):,.0f} ms'} | "
        f"{page.size / 1024:.1f} KiB |"
        for page in result.pages
    ]
    return "\n".join(
        [
            f"A trust of {result.schools} schools with {_NIGHTS} nights each, of which the one that is looked at has "
            f"{result.pupils:,} pupils and {result.classes} classes. A worker that has answered before; from the "
            f"request to the first byte, the best of {_TRIES} requests, because other processes use the processor too.",
            "",
            "| page | first byte | of it, processor of the worker | allowed | compressed |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def most(path: str) -> float:
    """The seconds that a page may take: a page about all schools reads each of them."""
    return _MOST_OF_SCHOOL if path.startswith("/schools/") else _MOST_OF_TRUST


def asks_servers(path: str) -> bool:
    return path.endswith(_ASKS_SERVERS)


def pages_of_console() -> list[str]:
    """The paths of all pages, as the console lists its routes, without the files that browsers keep."""
    paths = build_console(cast("App", None)).openapi()["paths"].items()
    return [path for path, methods in paths if "get" in methods and not path.startswith("/assets/")]


def _first_night(world: World, addresses: Addresses, pupils: int) -> int:
    """The number of classes that the first night of a generated school has created."""
    school, feed = generate(pupils=pupils), world.folder / "feed"
    write(school, feed)
    settings = {"account_domain": DOMAIN}
    listed = [ListedAccount(*one) for one in accounts(school, DOMAIN)]
    report = run_night(addresses, world.folder / "host.jsonl", prepare_night(feed, settings, listed))
    if not report.good:
        raise RuntimeError(f"the night was not good: {json.dumps(report.as_json())}")
    return report.schools[0].classes.created


async def _add_schools(tables: str, schools: int) -> Mapping[str, str]:
    """Copy the school and its night, for each school and night. Returns what the paths of pages name."""
    async with table_state(tables) as (state, _):
        (first,) = await state.schools()
        (night,) = await state.runs(first.school)
        records = await state.class_records(first.school)
        for number in range(schools):
            school = SchoolId(f"S{number:02}") if number else first.school
            await state.save_school(replace(first, school=school, name_identifier=school))
            for back in range(1, _NIGHTS):
                at = datetime.now(UTC) - timedelta(days=back)
                await state.write_run(replace(night, school=school, id=RunId(f"{at:%Y%m%dT%H%M%SZ}-bench0"), at=at))
    return {"school": first.school, "key": records[0].key, "run": night.id}


def _measure(host: str, worker: int, ids: Mapping[str, str]) -> list[Page]:
    """Each page whose path names nothing else than `ids`, as an admin of all schools reads it."""
    known = [path for path in pages_of_console() if set(re.findall(r"{(\w+)}", path)) <= ids.keys()]
    with httpx.Client(base_url=host, headers={"Authorization": "Bearer admin"}, timeout=120, trust_env=False) as client:
        return [_measured(client, worker, path, (path + _QUERIES.get(path, "")).format(**ids)) for path in known]


def _measured(client: httpx.Client, worker: int, path: str, address: str) -> Page:
    """Raises RuntimeError if there is no such page."""
    content = client.get(address).content  # the worker is warm after it
    began = _processor(worker)
    times = [_first_byte(client, address) for _ in range(_TRIES)]
    used = (_processor(worker) - began) / _TRIES
    return Page(path, min(times), used, len(gzip.compress(content)))


def _processor(pid: int) -> float:
    """The seconds of the processor that a process has used ("proc_pid_stat(5)", utime and stime)."""
    values = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def _first_byte(client: httpx.Client, address: str) -> float:
    began = time.perf_counter()
    with client.stream("GET", address) as answer:
        seconds = time.perf_counter() - began
        if answer.status_code != 200:
            raise RuntimeError(f"{address} answers {answer.status_code}")
        answer.read()
    return seconds
