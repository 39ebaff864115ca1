"""A nation's schools in one night: what they ask of everything that has a limit, and what that costs.

No machine at hand holds 24,000 schools, so this multiplies: what one refresh, one plan and one changed class cost is
measured (`UnitCosts`), when each happens is told by the very code that fans a night out (sync_core.night), what a
process remembers by the class that it remembers it with (HeldAccounts), and the rest is arithmetic by buckets of ten
seconds. Within a bucket everything is even; what one call sends is looked at apart.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from random import Random
from typing import cast

from bench.books import (
    APP_WRITES,
    BUCKET,
    BUS_CREDITS,
    NIGHTS,
    PARTITION_ENTITIES,
    PLANS_AT_ONCE,
    PRICES_OF,
    TENANT_WRITES,
    Limit,
    Load,
    Measure,
    Usage,
    costs_table,
    limits_table,
    markdown,
    monthly_usage,
    peak,
    remedies,
)
from bench.unit_costs import FIGURES, UnitCosts, Work, measure_unit_costs
from sync_core.domain.accounts import Account
from sync_core.state.account_cache import AccountCache
from sync_core.sync.nightly import evenly, tenant_slots

SCHOOLS, TENANTS = 24_000, 4_000
WINDOW = timedelta(minutes=60)
"""The app's default (SYNC_WINDOW_MINUTES)."""

GRAPH_SHARE = 0.97
"""The share of Graph's writes that is spent before something waits."""

_WRITES_AN_HOUR = GRAPH_SHARE * APP_WRITES.amount * 3600 / APP_WRITES.seconds

# --- what is assumed
RENEWED_EVERY = 30
"""Seconds of a function after which its session lock of a minute is renewed."""

ACCOUNTS_A_PUPIL = 1.3
"""Pupils, staff, and leavers who are not cleaned up yet."""


# --- the nation


@dataclass(frozen=True, slots=True)
class School:
    """`source` is what its MIS is read through."""

    tenant: str
    pupils: int
    classes: int
    source: str = "Wonde"

    @property
    def accounts(self) -> float:
        return ACCOUNTS_A_PUPIL * self.pupils

    @property
    def mis_requests(self) -> int:
        """To read it all: school, counts and groups; people and classes by pages of 200 (Wonde). Files cost none."""
        if self.source == "files":
            return 0
        return 3 + math.ceil(1.12 * self.pupils / 200) + math.ceil(self.classes / 200)


# Of 24,000 schools (England's mix: DfE 2022/23, as BESA quotes it): fewest, most common and most pupils; classes of any
# school, and per pupil. A primary has years and registration groups; a secondary of 1,000 has seven years and 220
# groups, as `make demo` has.
_KINDS = (
    (16_800, (60, 130, 660), 7, 0.04),
    (3_450, (400, 950, 1_800), 7, 0.22),
    (2_350, (50, 135, 550), 7, 0.20),
    (1_400, (30, 70, 240), 5, 0.20),
)
SECONDARY = School("T0", 1_000, 227)
# Of 4,000 tenants, fewest and most schools: most are alone or small trusts, a few are large trusts and councils.
_TENANTS = ((1_900, 1, 1), (1_200, 2, 5), (540, 6, 11), (210, 12, 25), (150, 26, 100))
# Assumed: most of the market is read through Wonde, what is left through other APIs and nightly files.
_SOURCES = {"Wonde": 0.70, "OneRoster": 0.15, "files": 0.15}


def make_nation(schools: int = SCHOOLS, tenants: int = TENANTS, seed: int = 2026) -> tuple[School, ...]:
    """So many schools, mixed as the nation's are, in so many tenants. Raises ValueError where the two cannot agree."""
    draw = Random(seed)
    sizes = [schools] if tenants == 1 else _tenant_sizes(schools, tenants, draw)
    owners = [f"T{place:04}" for place, size in enumerate(sizes) for _ in range(size)]
    counts = _apportion(schools, [share for share, *_ in _KINDS])
    kinds = [kind for kind, count in zip(_KINDS, counts, strict=True) for _ in range(count)]
    draw.shuffle(kinds)
    sources = draw.choices([*_SOURCES], [*_SOURCES.values()], k=schools)
    made = []
    for tenant, (_, (low, mode, high), fixed, per_pupil), source in zip(owners, kinds, sources, strict=True):
        pupils = round(draw.triangular(low, high, mode))
        made.append(School(tenant, pupils, fixed + round(per_pupil * pupils), source))
    return tuple(made)


def _tenant_sizes(schools: int, tenants: int, draw: Random) -> list[int]:
    counts = _apportion(tenants, [share for share, _, _ in _TENANTS])
    bands = [(low, high) for (_, low, high), count in zip(_TENANTS, counts, strict=True) for _ in range(count)]
    if not sum(low for low, _ in bands) <= schools <= sum(high for _, high in bands):
        raise ValueError(f"{schools} schools are not {tenants} tenants' of these sizes")
    sizes = [draw.randint(low, high) for low, high in bands]
    while missing := schools - sum(sizes):
        step = 1 if missing > 0 else -1
        movable = [at for at, (low, high) in enumerate(bands) if low <= sizes[at] + step <= high]
        for at in draw.sample(movable, min(abs(missing), len(movable))):
            sizes[at] += step
    return sizes


def _apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in these proportions, of exactly that sum: the largest remainders are rounded up."""
    exact = [total * share / sum(shares) for share in shares]
    counts = [math.floor(part) for part in exact]
    for at in sorted(range(len(exact)), key=lambda at: counts[at] - exact[at])[: total - sum(counts)]:
        counts[at] += 1
    return counts


# --- one night


@dataclass(frozen=True, slots=True)
class Night:
    """The shares of a school's classes that change, and that are made."""

    changed: float = 0.0
    created: float = 0.0


ORDINARY = Night(changed=0.10)
"""Whoever comes or goes touches the ten groups he is in: of 1,000 pupils one every other day, while a few change sets,
is some 20 of 227 classes. An assumption, as is that all schools are alike in it. Left out is what that adds to the next
refresh: a row for each account that the delta names, and a page for each hundred classes that were written."""

FIRST = Night(created=1.0)
"""Every class of every school is a new one, all on the first night of the academic year: the worst that can be."""

_START = datetime(2026, 9, 1, 2, tzinfo=UTC)
_TONIGHT = "the version at which a night's refresh left the accounts"


def simulate(schools: Sequence[School], costs: UnitCosts, night: Night, window: timedelta = WINDOW) -> Load:
    """A night that is spread over `window`; zero for everything at the stroke."""
    load = Load()
    tenants: dict[str, list[School]] = defaultdict(list)
    for school in schools:
        tenants[school.tenant].append(school)
    slots = tenant_slots({tenant: len(its) for tenant, its in tenants.items()}, _START, _START + window)
    load.send(len(slots) * costs.refresh.messages, 0.0)
    plans: list[tuple[float, School]] = []
    for tenant, (start, end) in slots.items():
        its = tenants[tenant]
        rows = costs.class_row * sum(school.classes for school in its)
        refreshed = _run(costs.refresh + rows, Work(), (start - _START).total_seconds(), tenant, load)
        load.send(len(its) * costs.plan.messages, refreshed)
        moments = evenly(len(its), _START + timedelta(seconds=refreshed), end)
        plans += [((at - _START).total_seconds(), school) for at, school in zip(moments, its, strict=True)]

    plans.sort(key=itemgetter(0))
    accounts = {tenant: sum(school.accounts for school in its) for tenant, its in tenants.items()}
    reading = _reading([school.tenant for _, school in plans], accounts, _processes(schools, costs, window))
    load.readings = sum(reading)
    due: dict[int, list[tuple[str, Work]]] = defaultdict(list)
    for (at, school), reads in zip(plans, reading, strict=True):
        load.sources[school.source][int(at // BUCKET)] += school.mis_requests
        shared = costs.account_row * (accounts[school.tenant] if reads else 0.0)
        planned = _run(costs.plan + costs.class_row * school.classes, shared, at, school.tenant, load)
        changes = (costs.changed * night.changed + costs.created * night.created) * school.classes
        load.send(changes.messages, planned)
        bucket = int(planned // BUCKET)
        load.add(Measure.REQUESTED, bucket, changes.writes, school.tenant)
        due[bucket].append((school.tenant, changes))
    _drain(due, load)
    return load


def _processes(schools: Sequence[School], costs: UnitCosts, window: timedelta) -> int:
    """Roughly how many processes plan: as many as are busy with it all the window, the reading of accounts left out."""
    planning = sum([_seconds(costs.plan + costs.class_row * school.classes) for school in schools])
    return max(1, math.ceil(planning / (max(window.total_seconds(), BUCKET) * PLANS_AT_ONCE)))


def _reading(planned: Sequence[str], accounts: Mapping[str, float], processes: int) -> list[bool]:
    """Which of the plans, whose tenants these are in order of time, read the accounts of their tenant.

    Each comes to any of the processes, which holds what it read, and lets go of what it held longest.
    """
    draw = Random(processes)
    held = [AccountCache() for _ in range(processes)]
    reading: list[bool] = []
    for tenant in planned:
        here = draw.choice(held)
        reads = here.get(tenant, _TONIGHT) is None
        if reads:
            # To hold them, how many there are is all that matters.
            here.put(tenant, _TONIGHT, cast("tuple[Account, ...]", range(round(accounts[tenant]))))
        reading.append(reads)
    return reading


def _seconds(work: Work) -> float:
    """Of a refresh or a plan, which reads no faster than a partition gives."""
    return max(work.seconds, work.entities / PARTITION_ENTITIES.amount, 1e-3)


def _run(own: Work, shared: Work, at: float, tenant: str, load: Load) -> float:
    """A refresh or a plan from `at` on; `shared` is what it reads of its tenant's accounts. Returns when it is done."""
    work = own + shared
    seconds = _seconds(work)
    end = at + seconds
    for bucket in range(int(at // BUCKET), int(end // BUCKET) + 1):
        share = (min(end, (bucket + 1) * BUCKET) - max(at, bucket * BUCKET)) / seconds
        _do(work * share, bucket, tenant, load)
        load.add(Measure.PLANNING, bucket, seconds * share)
        load.add(Measure.ENTITIES, bucket, own.entities * share)
        load.add(Measure.ENTITIES, bucket, shared.entities * share, tenant)
    load.add(Measure.RENEWALS, int(end // BUCKET), seconds // RENEWED_EVERY)
    return end


def _do(work: Work, bucket: int, tenant: str, load: Load) -> None:
    """What plans and changes have in common."""
    load.add(Measure.REQUESTS, bucket, work.requests)
    load.add(Measure.UNITS, bucket, work.units, tenant)
    load.add(Measure.WRITES, bucket, work.writes, tenant)
    load.add(Measure.RECEIVED, bucket, work.messages)
    load.add(Measure.CALLS, bucket, work.calls)


class _Quota:
    """Writes within a sliding window: half of what is left at once, or as much as can go on for ever."""

    def __init__(self, limit: Limit) -> None:
        self._limit, self._buckets = GRAPH_SHARE * limit.amount, limit.seconds // BUCKET
        self._spent: deque[tuple[int, float]] = deque()

    def room(self, bucket: int) -> float:
        while self._spent and self._spent[0][0] <= bucket - self._buckets:
            self._spent.popleft()
        left = max(self._limit - sum([writes for _, writes in self._spent]), 0.0)
        return min(left, max(left / 2, self._limit / self._buckets))

    def spend(self, bucket: int, writes: float) -> None:
        self._spent.append((bucket, writes))


def _drain(due: Mapping[int, Sequence[tuple[str, Work]]], load: Load) -> None:
    """Apply what is due as soon as the quotas of its tenant and of the app let it, in the order the tenants came in."""
    app = _Quota(APP_WRITES)
    quotas: dict[str, _Quota] = defaultdict(lambda: _Quota(TENANT_WRITES))
    waiting: dict[str, Work] = {}
    messages = 0.0
    bucket, last = min(due, default=0), max(due, default=-1)
    while bucket <= last or waiting:
        for tenant, work in due.get(bucket, ()):
            waiting[tenant] = waiting.get(tenant, Work()) + work
            messages += work.messages
        room = before = app.room(bucket)
        left: dict[str, Work] = {}
        for tenant, work in waiting.items():
            writes = min(room, quotas[tenant].room(bucket), work.writes)
            whole = writes >= work.writes - 1e-6
            done = work if whole else work * (writes / work.writes)
            left[tenant] = Work() if whole else work + done * -1
            _do(done, bucket, tenant, load)
            load.add(Measure.APPLYING, bucket, done.seconds)
            load.add(Measure.ENTITIES, bucket, done.entities)
            quotas[tenant].spend(bucket, writes)
            messages -= done.messages
            room -= writes
            if room <= 0:
                break
        app.spend(bucket, before - room)
        waiting |= left
        for tenant in [tenant for tenant, work in left.items() if work == Work()]:
            del waiting[tenant]
        if waiting:
            load.add(Measure.WAITING, bucket, messages)
        bucket += 1


# --- what comes of it


def first_night(schools: Sequence[School], costs: UnitCosts, hours: int = 1) -> tuple[timedelta, Load]:
    """FIRST in a window of so many hours or more that one app's writes and a namespace's credits do for, or a day."""
    while True:
        load = simulate(schools, costs, FIRST, timedelta(hours=hours))
        binding = [check for check in load.checks() if check.limit in (APP_WRITES, BUS_CREDITS)]
        if hours == 24 or all(check.fits for check in binding):
            return timedelta(hours=hours), load
        over = max(check.peak / check.limit.amount for check in binding)
        hours = min(24, max(hours + 1, math.ceil(hours * over * 0.95)))


def month(schools: Sequence[School], ordinary: Load, first: Load) -> Usage:
    """An average month of these schools, given their nights."""
    classes, accounts = sum(school.classes for school in schools), sum(school.accounts for school in schools)
    return monthly_usage(len(schools), _tenants(schools), classes, accounts, ordinary, first)


# --- the benchmark


@dataclass(frozen=True, slots=True)
class Result:
    """`at_once` is an ordinary night without a window, `fitting` a first one in the hours that it takes.

    `customers` have a deployment of their own: an average month of each.
    """

    costs: UnitCosts
    nation: Sequence[School]
    at_once: Load
    ordinary: Load
    first: Load
    hours: int
    fitting: Load
    customers: Mapping[str, Usage]


def run(costs: UnitCosts | None = None, nation: Sequence[School] | None = None) -> Result:
    """Costs are measured and the nation is the whole one if not given."""
    costs, nation = costs or measure_unit_costs(), nation or make_nation()
    ordinary, first = simulate(nation, costs, ORDINARY), simulate(nation, costs, FIRST)
    window, fitting = first_night(nation, costs, _hours(first))
    customers = {"the nation": month(nation, ordinary, fitting)}
    for name, its in (
        ("one secondary", [SECONDARY]),
        ("trust of 50", make_nation(50, 1)),
        ("vendor", make_nation(2_000, 333)),
    ):
        customers[name] = month(its, simulate(its, costs, ORDINARY), first_night(its, costs)[1])
    at_once, hours = simulate(nation, costs, ORDINARY, timedelta(0)), window // timedelta(hours=1)
    return Result(costs, nation, at_once, ordinary, first, hours, fitting, customers)


def section(result: Result) -> str:
    """The figures as Markdown."""
    nation, ordinary, first = result.nation, result.ordinary, result.first
    pupils, classes = sum(school.pupils for school in nation), sum(school.classes for school in nation)
    units = ((one.replace("_", " "), getattr(result.costs, one).statistics) for one in UnitCosts.__slots__)
    in_windows = {
        "ordinary, 60 min": ordinary,
        "first of the year, 60 min": first,
        f"first of the year, {result.hours} h": result.fitting,
    }
    apps = math.ceil(peak(first.series[Measure.REQUESTED], APP_WRITES.seconds) / APP_WRITES.amount)
    return "\n\n".join(
        (
            f"{len(nation):,} schools in {_tenants(nation):,} tenants with {pupils:,} pupils and {classes:,} classes: "
            f"{ORDINARY.changed:.0%} of these change in an ordinary night, and all are made in the first of the year. "
            "A model, which multiplies what was measured one by one; to read the MIS takes no seconds in it:",
            markdown(
                ["one", *FIGURES], ([one, *(f"{part:.3g}" if part else "" for part in its)] for one, its in units)
            ),
            limits_table({"ordinary, all at once": result.at_once, **in_windows}),
            "The rows of writes are what is asked for: no more is made than is allowed, the rest waits on the queue. "
            "A plan reads no more of a partition than that gives. All at once is only there for comparison. What does "
            f"not fit in a window, and what helps: {remedies(in_windows)} The first night of the year in an hour's "
            f"window is over after {first.done}: to end in the hour it takes {apps} app registrations, or "
            f"{_hours(first)} nights of an hour. Of the {len(nation):,} plans of an ordinary night "
            f"{ordinary.readings:,} read all accounts of their tenant, "
            f"{ordinary.total(Measure.ENTITIES) / 1e6:,.0f} million entities in all: the others find them held.",
            f"List prices of {PRICES_OF} in US dollars, to be checked before use: {NIGHTS} ordinary nights and the "
            "twelfth part of a first one. Not in it: the storage of the Functions host, network, the MIS vendor.",
            costs_table(result.customers),
        )
    )


def _hours(night: Load) -> int:
    """That its writes take one app registration."""
    return math.ceil(night.total(Measure.WRITES) / _WRITES_AN_HOUR)


def _tenants(schools: Sequence[School]) -> int:
    return len({school.tenant for school in schools})
