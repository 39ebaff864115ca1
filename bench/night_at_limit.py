"""A first night at Graph's write limit by the minute, at both prices of a write of people. A second process joins.

Both processes take classes from one queue and make them as the app does, without rows and messages: a write to create
the class, one for each 20 members, one for each owner. They do not communicate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean
from typing import TypeVar

from bench.fast_clock import FastClock
from bench.fast_loop import run_fast
from bench.school import make_school
from bench.simulated import SimulatedTenant
from local.tenant.answers import Answers
from local.tenant.throttle import WRITES, WRITES_WINDOW, Call, price
from sync_core.backoff import seconds_before_redelivery
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.ids import AccountId, ClassId, MisId
from sync_core.errors import Transient
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import MEMBERS_PER_WRITE, NewClass, Tenant
from sync_core.messaging.messages import Priority

_LATENCY = 0.1
_AT_ONCE = 64
"""Classes that each process makes at one time: the sessions of host.json."""
_JOINS = WRITES_WINDOW
"""The second in which the second process begins."""
_WINDOWS = 3
_STEP = 30.0
"""Seconds between two counts: a window and a minute are multiples of it."""
_MINUTE = 60.0
_LEAST_USED, _LEAST_MEAN, _LEAST_SHARE, _MOST_SHARE = 0.90, 0.94, 0.4, 0.6

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Minute:
    """Shares of the window, or of what has passed of the first, that ends at `end`, in seconds of the tenant.

    `used` is the share of the limit; `second` is the part of it that the second process used.
    """

    end: float
    used: float
    second: float


@dataclass(frozen=True, slots=True)
class Night:
    """A night at one price: the cost of 20 people in one write, in writes. `seconds` are the tenant's."""

    price: int
    classes: int
    seconds: float
    refused: float
    minutes: Sequence[Minute]


@dataclass(slots=True)
class _Process:
    """One process of the app. `written` is what Graph counted of it."""

    graph: GraphTenants
    written: int = 0


def run() -> Sequence[Night]:
    """Raises RuntimeError if too little of the limit is used, or the second process has no fair share in a window."""
    nights = [_night([], 6.0), _night(["patch-price=third"], 10.0)]
    for night in nights:
        joined = min(night.minutes, key=lambda minute: abs(minute.end - _JOINS - WRITES_WINDOW))
        used = [minute.used for minute in night.minutes if minute.end >= WRITES_WINDOW]
        if min(used) < _LEAST_USED or mean(used) < _LEAST_MEAN:
            raise RuntimeError(f"the night used too little of the limit: {night}")
        if not _LEAST_SHARE <= joined.second <= _MOST_SHARE:
            raise RuntimeError(f"the second process had no fair share: {night}")
    return nights


def section(nights: Sequence[Night]) -> str:
    """The results as Markdown."""
    cheap, dear = nights
    lines = [
        f"{cheap.classes:,} new classes where Graph counts a write of 20 people as {cheap.price}, and {dear.classes:,} "
        f"where it counts {dear.price}, {_LATENCY:g} s per answer. The share of the limit ({WRITES:,} writes in "
        f"{WRITES_WINDOW:.0f} s) that was used in the {WRITES_WINDOW:.0f} s before the end of each minute, or since "
        "the beginning, when half of the limit is spent at once. A second process joins when the first has used the "
        f"limit for one window, at second {_JOINS:.0f}: its part is fair after one more.",
        "",
        "| until second | at a price of 1 | second process | at a price of 7 | second process |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {one.end:.0f} | {one.used:.1%} | {one.second:.0%} | {other.used:.1%} | {other.second:.0%} |"
            for one, other in zip(cheap.minutes, dear.minutes, strict=False)
        ),
        f"| refused | {cheap.refused:.2%} | | {dear.refused:.2%} | |",
        f"| last class | {cheap.seconds:.0f} s | | {dear.seconds:.0f} s | |",
    ]
    return "\n".join(lines)


def _night(answers: Sequence[str], rate: float) -> Night:
    with SimulatedTenant(rate, _LATENCY, answers=answers) as tenant:
        return run_fast(_make_all(tenant, Answers(patch_price="third") if answers else Answers()), rate)


async def _make_all(tenant: SimulatedTenant, answers: Answers) -> Night:
    """Make as many classes as fill the windows. Raises RuntimeError if the tenant is not as expected at the end."""
    sizes = make_school(1, 1, tenant.id)
    ids = {upn: AccountId(upn) for upn in sizes.upns}
    school = make_school(1, int(_WINDOWS * WRITES / _cost(sizes.classes(ids)[0], answers)), tenant.id)
    wanted = school.classes(tenant.add_users(school.upns))
    credential, rest = tenant.credential(), iter(wanted)
    first, second = (_Process(GraphTenants(lambda _: credential, tenant.graph_url, FastClock())) for _ in range(2))
    before, clock = tenant.spent(), FastClock()
    tasks = {asyncio.create_task(_take(first, tenant.id, rest, answers)) for _ in range(_AT_ONCE)}
    counts, running = [(0, 0)], set(tasks)
    while running:
        if len(counts) * _STEP == _JOINS + _STEP:
            joining = {asyncio.create_task(_take(second, tenant.id, rest, answers)) for _ in range(_AT_ONCE)}
            tasks, running = tasks | joining, running | joining
        _, running = await asyncio.wait(running, timeout=len(counts) * _STEP - clock.elapsed)
        if running:
            counts.append((first.written, second.written))
    for task in tasks:
        task.result()
    spent = tenant.spent() - before
    tenant.check(wanted)
    return Night(
        price=_price(MEMBERS_PER_WRITE, answers),
        classes=len(wanted),
        seconds=clock.elapsed,
        refused=spent.refused / spent.requests,
        minutes=list(by_minute(counts)),
    )


def by_minute(counts: Sequence[tuple[int, int]]) -> Iterator[Minute]:
    """`counts` are what each process had spent, every _STEP seconds."""
    window, minute = int(WRITES_WINDOW / _STEP), int(_MINUTE / _STEP)
    for end in range(minute, len(counts), minute):
        begin = max(end - window, 0)
        one, other = (counts[end][which] - counts[begin][which] for which in range(2))
        allowed = WRITES * (end - begin) / window
        yield Minute(end * _STEP, (one + other) / allowed, other / (one + other))


async def _take(process: _Process, tenant: str, rest: Iterator[DesiredClass], answers: Answers) -> None:
    for wanted in rest:
        await _make(process, tenant, wanted, answers)


async def _make(process: _Process, tenant: str, wanted: DesiredClass, answers: Answers) -> None:
    new = NewClass(wanted.name, f"S1|{wanted.key}", MisId(wanted.group_id))
    class_id = (await _delivered(process, tenant, 1, lambda graph: graph.create_class(new))).id
    for people in _chunks(wanted):
        await _delivered(process, tenant, _price(len(people), answers), partial(_add_members, class_id, people))
    for person in sorted(wanted.owners):
        await _delivered(process, tenant, 1, partial(_add_owner, class_id, person))


async def _add_members(class_id: ClassId, people: Sequence[AccountId], graph: Tenant) -> None:
    await graph.add_members(class_id, people)


async def _add_owner(class_id: ClassId, person: AccountId, graph: Tenant) -> None:
    await graph.add_owner(class_id, person)


async def _delivered(
    process: _Process, tenant: str, writes: int, work: Callable[[Tenant], Awaitable[_Result]]
) -> _Result:
    """Work that waited too long for the limit is delivered again, as by the queue."""
    while True:
        try:
            result = await work(process.graph.of(tenant, Priority.BULK))
        except Transient:
            await asyncio.sleep(seconds_before_redelivery(1))
        else:
            process.written += writes
            return result


def _chunks(wanted: DesiredClass) -> list[Sequence[AccountId]]:
    members = sorted(wanted.members)
    return [members[start : start + MEMBERS_PER_WRITE] for start in range(0, len(members), MEMBERS_PER_WRITE)]


def _cost(wanted: DesiredClass, answers: Answers) -> int:
    """The writes of a class, as Graph counts them."""
    return 1 + sum(_price(len(people), answers) for people in _chunks(wanted)) + len(wanted.owners)


def _price(people: int, answers: Answers) -> int:
    """The writes that Graph counts for one of this many people."""
    return price(Call("PATCH", "", {}, {"members@odata.bind": [""] * people}), answers).writes
