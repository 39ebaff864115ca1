"""Just under Graph's write limit: how much of it a long run uses, and how often it is refused, alone or beside another.

Whoever writes always has something to write: people who come into classes, one to a write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bench.baseline import PlainScript, plain_script
from bench.fast_clock import FastClock
from bench.fast_loop import run_fast
from bench.school import make_school
from bench.simulated import SimulatedTenant
from local.tenant.throttle import WRITES, WRITES_WINDOW
from sync_core.errors import Transient
from sync_core.graph.connections import GraphTenants
from sync_core.messaging.messages import Priority

_RATE = 8.0
_LATENCY = 0.1
_WRITERS = 64
_LASTS = 2 * WRITES_WINDOW
"""Seconds of the tenant: a window may begin full, so a run of many of them counts no more than one of a few."""

_LEAST_USED, _MOST_REFUSED = {1: 0.95, 2: 0.90}, {1: 0.01, 2: 0.02}

Work = Callable[[str, str], Awaitable[None]]
"""Adds a person to a class: the ids of both."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A long run: the share of the limit that was used, and of the requests that were refused."""

    who: str
    used: float
    refused: float
    requests: int


@dataclass(frozen=True, slots=True)
class Result:
    alone: Kept
    two: Kept
    plain: Kept


def run() -> Result:
    """Raises RuntimeError where too little of the limit is used, or too much is refused."""
    alone, two = _ours("one process of ours", 1), _ours("two processes of ours", 2)
    result = Result(alone, two, _plain("a plain script, with the SDK's own retries"))
    for hosts, kept in ((1, alone), (2, two)):
        if kept.used < _LEAST_USED[hosts] or kept.refused >= _MOST_REFUSED[hosts]:
            raise RuntimeError(f"{hosts} processes kept no good measure: {kept}")
    return result


def section(result: Result) -> str:
    """The figures as Markdown."""
    rows = [
        f"| {kept.who} | {kept.used:.1%} | {kept.refused:.2%} | {kept.requests:,} |"
        for kept in (result.alone, result.two, result.plain)
    ]
    return "\n".join(
        [
            f"{_LASTS:.0f} s of the tenant's time with {WRITES:,} writes in {WRITES_WINDOW:.0f} s allowed, "
            f"{_WRITERS} writers in each process who never rest, {_LATENCY:g} s an answer. The two processes know "
            "nothing of each other.",
            "",
            "| | of the limit used | refused (429) | requests |",
            "| --- | ---: | ---: | ---: |",
            *rows,
        ]
    )


def _ours(who: str, hosts: int) -> Kept:
    with SimulatedTenant(_RATE, _LATENCY) as tenant:
        return run_fast(_write_ours(tenant, who, hosts), _RATE)


def _plain(who: str) -> Kept:
    with SimulatedTenant(_RATE, _LATENCY) as tenant:
        return run_fast(_write_plain(tenant, who), _RATE)


async def _write_ours(tenant: SimulatedTenant, who: str, hosts: int) -> Kept:
    credential = tenant.credential()

    def host() -> Work:
        graph = GraphTenants(lambda _: credential, tenant.graph_url, FastClock())

        async def add(class_id: str, person: str) -> None:
            with suppress(Transient):  # as a message that waited too long: it would come again
                await graph.of(tenant.id, Priority.BULK).add_members(class_id, [person])

        return add

    return await _write(tenant, who, [host() for _ in range(hosts)])


async def _write_plain(tenant: SimulatedTenant, who: str) -> Kept:
    script: PlainScript = plain_script(tenant.credential(), tenant.graph_url)
    return await _write(tenant, who, [script.add_member])


async def _write(tenant: SimulatedTenant, who: str, hosts: Sequence[Work]) -> Kept:
    """Every writer of every host adds one person after the other, for as long as it lasts."""
    school = make_school(1, _WRITERS * len(hosts), tenant.id)
    ids = tenant.add_users(school.upns)
    nobody: frozenset[str] = frozenset()
    empty = [replace(one, members=nobody, owners=nobody) for one in school.classes(ids)]
    people = sorted(ids.values())

    async def write(add: Work, class_id: str) -> None:
        for person in people:
            await add(class_id, person)

    class_ids = tenant.seed(school.settings.school, empty)
    before = tenant.spent()
    tasks = [
        asyncio.create_task(write(hosts[place % len(hosts)], class_id)) for place, class_id in enumerate(class_ids)
    ]
    await asyncio.sleep(_LASTS)
    spent = tenant.spent() - before
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    if failed := [end for end in ended if not isinstance(end, asyncio.CancelledError)]:
        raise RuntimeError(f"{len(failed)} writers did not last: {failed[0]!r}")
    return Kept(who, spent.writes / (WRITES * _LASTS / WRITES_WINDOW), spent.refused / spent.requests, spent.requests)
