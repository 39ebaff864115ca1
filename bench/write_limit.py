"""Just under Graph's write limit: the share that a long run uses, and how often it is refused, with one process or two.

Every writer always has something to write: it adds people to a class, one in each write, or twenty where the simulated
tenant prices a write of n people at n/3.
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
from sync_core.domain.ids import AccountId, ClassId
from sync_core.errors import Transient
from sync_core.graph.connections import GraphTenants
from sync_core.messaging.messages import Priority

_RATE = 5.0
"""Faster, the simulated tenant is what limits the writers."""
_LATENCY = 0.1
_WRITERS = 64
_SECONDS = 2 * WRITES_WINDOW
"""Seconds of the tenant. A window may begin full, so a run over more windows shows nothing new."""

_LEAST_USED, _MOST_REFUSED = {1: 0.95, 2: 0.94}, {1: 0.01, 2: 0.02}

Work = Callable[[ClassId, Sequence[AccountId]], Awaitable[None]]
"""Adds people to a class, in one write: the ids of all."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A long run: the share of the limit that was used, and of the requests that were refused."""

    name: str
    used: float
    refused: float
    requests: int


@dataclass(frozen=True, slots=True)
class Result:
    alone: Kept
    priced: Kept
    two: Kept
    plain: Kept


def run() -> Result:
    """Raises RuntimeError if too little of the limit is used, or too much is refused."""
    alone, two = _ours("one process of ours", 1), _ours("two processes of ours", 2)
    priced = _ours("one process of ours, with 20 people a write, priced at 7 writes", 1, ["patch-price=third"], 20)
    result = Result(alone, priced, two, _plain("a plain script, with the SDK's own retries"))
    for hosts, kept in ((1, alone), (1, priced), (2, two)):
        if kept.used < _LEAST_USED[hosts] or kept.refused >= _MOST_REFUSED[hosts]:
            raise RuntimeError(f"{hosts} processes used too little or were refused too often: {kept}")
    return result


def section(result: Result) -> str:
    """The results as Markdown."""
    rows = [
        f"| {kept.name} | {kept.used:.1%} | {kept.refused:.2%} | {kept.requests:,} |"
        for kept in (result.alone, result.priced, result.two, result.plain)
    ]
    return "\n".join(
        [
            f"{_SECONDS:.0f} s of the tenant's time with {WRITES:,} writes in {WRITES_WINDOW:.0f} s allowed, "
            f"{_WRITERS} writers in each process that never pause, {_LATENCY:g} s per answer. The two processes do not "
            "communicate.",
            "",
            "| | share of the limit used | refused (429) | requests |",
            "| --- | ---: | ---: | ---: |",
            *rows,
        ]
    )


def _ours(name: str, hosts: int, answers: Sequence[str] = (), people: int = 1) -> Kept:
    with SimulatedTenant(_RATE, _LATENCY, answers=answers) as tenant:
        return run_fast(_write_ours(tenant, name, hosts, people), _RATE)


def _plain(name: str) -> Kept:
    with SimulatedTenant(_RATE, _LATENCY) as tenant:
        return run_fast(_write_plain(tenant, name), _RATE)


async def _write_ours(tenant: SimulatedTenant, name: str, hosts: int, people: int) -> Kept:
    credential = tenant.credential()

    def host() -> Work:
        graph = GraphTenants(lambda _: credential, tenant.graph_url, FastClock())

        async def add(class_id: ClassId, chunk: Sequence[AccountId]) -> None:
            with suppress(Transient):  # as for a message that waited too long, which would be redelivered
                await graph.of(tenant.id, Priority.BULK).add_members(class_id, chunk)

        return add

    return await _write(tenant, name, [host() for _ in range(hosts)], people)


async def _write_plain(tenant: SimulatedTenant, name: str) -> Kept:
    script: PlainScript = plain_script(tenant.credential(), tenant.graph_url)

    async def add(class_id: ClassId, chunk: Sequence[AccountId]) -> None:
        for person in chunk:
            await script.add_member(class_id, person)

    return await _write(tenant, name, [add], 1)


async def _write(tenant: SimulatedTenant, name: str, hosts: Sequence[Work], each: int) -> Kept:
    """Every writer of every host adds `each` people after another, until the time is over."""
    school = make_school(1, _WRITERS * len(hosts), tenant.id)
    ids = tenant.add_users(school.upns)
    nobody: frozenset[AccountId] = frozenset()
    empty = [replace(one, members=nobody, owners=nobody) for one in school.classes(ids)]
    people = sorted(ids.values())

    async def write(add: Work, class_id: ClassId) -> None:
        for start in range(0, len(people), each):
            await add(class_id, people[start : start + each])

    class_ids = tenant.seed(school.settings.school, empty)
    before = tenant.spent()
    tasks = [
        asyncio.create_task(write(hosts[place % len(hosts)], class_id)) for place, class_id in enumerate(class_ids)
    ]
    await asyncio.sleep(_SECONDS)
    spent = tenant.spent() - before
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    if failed := [end for end in ended if not isinstance(end, asyncio.CancelledError)]:
        raise RuntimeError(f"{len(failed)} writers stopped early: {failed[0]!r}")
    return Kept(
        name, spent.writes / (WRITES * _SECONDS / WRITES_WINDOW), spent.refused / spent.requests, spent.requests
    )
