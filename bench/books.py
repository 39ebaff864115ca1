"""The books of a night: what is counted, the published limits it is held against, the list prices it is billed by.

The limits are those that Microsoft publishes on the pages named beside them. The prices are what public pages quote for
pay as you go in US dollars, outside the dearest regions; UK South and West Europe may differ by some per cent, and an
education agreement by more. They could not be read from Microsoft's own price list when this was written: check them in
the Azure pricing calculator before quoting a total.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sync_core.messaging.service_bus import MESSAGES_AT_ONCE

BUCKET = 10
"""Seconds of the finest look at a load, the shortest window of Graph's limits."""

Series = dict[int, float]
"""Amounts by bucket since the start of a night."""

# --- limits


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` in any `seconds`; at any moment where that is 0. Infinity where nobody publishes one.

    `remedy` is what helps who would pass it.
    """

    name: str
    amount: float
    seconds: int = 0
    remedy: str = ""

    def __str__(self) -> str:
        if math.isinf(self.amount):
            return "none published"
        return f"{self.amount:,.0f}" + {0: "", 1: " / s"}.get(self.seconds, f" / {self.seconds} s")


_LONGER, _REGISTRATIONS = "a longer window", "several app registrations, each with a share of the tenants"
_MORE_NIGHTS = "the first night spread over several"

# Graph: "Identity and access service limits". A tenant of the smallest size has the least units.
TENANT_UNITS = Limit("Graph: resource units of the app in one tenant", 3_500, 10, _LONGER)
TENANT_WRITES = Limit("Graph: writes of the app in one tenant", 3_000, 150, f"{_LONGER}, or {_MORE_NIGHTS}")
APP_UNITS = Limit("Graph: resource units of the app in all tenants", 150_000, 20, f"{_LONGER}, or {_REGISTRATIONS}")
APP_WRITES = Limit(
    "Graph: writes of the app in all tenants", 70_000, 300, f"{_LONGER}, {_MORE_NIGHTS}, or {_REGISTRATIONS}"
)

# Service Bus Standard: "Throttling operations on Azure Service Bus", a credit for a message sent and one for a message
# received. Accepting a session and completing a message have no published price, and are not counted.
BUS_CREDITS = Limit(
    "Service Bus: credits of the namespace",
    1_000,
    1,
    f"{_LONGER}, {_MORE_NIGHTS}, or a namespace for each app registration",
)
BUS_BURST = Limit("Service Bus: messages that one call sends without a pause", 1_000, 1, "smaller parts of a call")
RENEWAL_CREDITS = 10
"""Of a renewed session lock, taken for a management operation to be on the safe side."""

# "Scalability and performance targets for Table storage": "20,000 transactions per second, which assumes a 1-KiB entity
# size". A query that returns 1,000 rows is one, or a thousand, as one reads that. Both are shown.
TABLE_CALLS = Limit("Tables: transactions of the account", 20_000, 1, f"{_LONGER}, or several storage accounts")
TABLE_ENTITIES = Limit(
    "Tables: the same, if every entity counts as one",
    20_000,
    1,
    "nothing to do if a page of a query counts as one; otherwise several storage accounts",
)
PARTITION_ENTITIES = Limit("Tables: entities of one partition (a tenant's accounts)", 2_000, 1, _LONGER)

# "Flex Consumption plan hosting": an app's default maximum, which may be set up to 1,000; the memory of all instances
# of a subscription in a region is 512,000 MB, raised on request. An instance of 2 GB has one core.
INSTANCES = Limit(
    "Functions: instances, by the default maximum",
    100,
    remedy=f"{_LONGER}, or a higher maximum, 250 by a region's quota",
)
INSTANCE_MB = 2_048

SOURCE_REQUESTS = Limit("MIS: requests to the API that most schools share, a second", math.inf, 1)

PLANS_AT_ONCE, CHANGES_AT_ONCE, SESSIONS_AN_INSTANCE = 2, 8, 64
"""Assumed: a plan reads and computes, a change mostly waits for Graph (5–30 ms of a core a call). Published: for each
64 messages that wait the platform wants an instance (target-based scaling by host.json's maxConcurrentSessions)."""


@dataclass(frozen=True, slots=True)
class Check:
    """The most that was asked of a limit."""

    limit: Limit
    peak: float

    @property
    def fits(self) -> bool:
        return self.peak <= self.limit.amount * (1 + 1e-9)

    def __str__(self) -> str:
        return f"{self.peak:,.0f}" if self.fits else f"**{self.peak:,.0f}: no**"


# --- what is counted


class Measure(StrEnum):
    """ASKED are writes when there is reason for them, WRITES when Graph's quotas let them through."""

    REQUESTS = "Graph requests"
    UNITS = "Graph resource units"
    REQUESTED = "Graph writes asked for"
    WRITES = "Graph writes"
    SENT = "messages sent"
    RECEIVED = "messages received"
    RENEWALS = "renewals of session locks"
    CALLS = "table transactions"
    ENTITIES = "table entities"
    PLANNING = "seconds of plan_sync"
    APPLYING = "seconds of apply_change"
    WAITING = "messages that wait for Graph"


class Load:
    """What a night puts on everything.

    `burst` is the most messages that one call sends without a pause; `readings` are the plans that read all accounts of
    their tenant.
    """

    def __init__(self) -> None:
        self.series: dict[Measure, Series] = {measure: defaultdict(float) for measure in Measure}
        self.tenants: dict[Measure, dict[str, Series]] = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
        self.sources: dict[str, Series] = defaultdict(lambda: defaultdict(float))
        self.burst = 0.0
        self.readings = 0

    def add(self, measure: Measure, bucket: int, amount: float, tenant: str | None = None) -> None:
        self.series[measure][bucket] += amount
        if tenant is not None:
            self.tenants[measure][tenant][bucket] += amount

    def send(self, messages: float, at: float) -> None:
        """Of one call, so many seconds after the start: it pauses a second wherever it sent as many as it may."""
        self.burst = max(self.burst, min(messages, MESSAGES_AT_ONCE))
        for second in range(math.ceil(messages / MESSAGES_AT_ONCE)):
            part = min(messages - second * MESSAGES_AT_ONCE, MESSAGES_AT_ONCE)
            self.add(Measure.SENT, int((at + second) // BUCKET), part)

    def total(self, measure: Measure) -> float:
        return sum(self.series[measure].values())

    def tenant_peak(self, measure: Measure, seconds: int = BUCKET) -> float:
        return max((peak(series, seconds) for series in self.tenants[measure].values()), default=0.0)

    @property
    def done(self) -> timedelta:
        """How long after the start the last of it is done."""
        return timedelta(seconds=BUCKET * (1 + max(self.series[Measure.PLANNING] | self.series[Measure.APPLYING])))

    @property
    def credits(self) -> Series:
        """Of Service Bus."""
        spent: Series = defaultdict(float)
        for measure, price in ((Measure.SENT, 1), (Measure.RECEIVED, 1), (Measure.RENEWALS, RENEWAL_CREDITS)):
            for bucket, amount in self.series[measure].items():
                spent[bucket] += price * amount
        return spent

    def instances(self, *, waiting: bool = False) -> Series:
        """Those that have work, each function having its own; if asked, with those that waiting messages keep up."""
        planning, applying = self.series[Measure.PLANNING], self.series[Measure.APPLYING]
        idle = self.series[Measure.WAITING] if waiting else {}
        return {
            at: math.ceil(planning.get(at, 0.0) / (BUCKET * PLANS_AT_ONCE))
            + max(
                math.ceil(applying.get(at, 0.0) / (BUCKET * CHANGES_AT_ONCE)),
                min(math.ceil(idle.get(at, 0.0) / SESSIONS_AN_INSTANCE), int(INSTANCES.amount)),
            )
            for at in planning | applying | idle
        }

    @property
    def gb_seconds(self) -> float:
        return sum(self.instances(waiting=True).values()) * BUCKET * INSTANCE_MB / 1024

    def checks(self) -> tuple[Check, ...]:
        """The peak beside each limit. Of Graph's writes it is what is asked for: what is over the limit has to wait."""
        return (
            Check(TENANT_UNITS, self.tenant_peak(Measure.UNITS, TENANT_UNITS.seconds)),
            Check(TENANT_WRITES, self.tenant_peak(Measure.REQUESTED, TENANT_WRITES.seconds)),
            Check(APP_UNITS, peak(self.series[Measure.UNITS], APP_UNITS.seconds)),
            Check(APP_WRITES, peak(self.series[Measure.REQUESTED], APP_WRITES.seconds)),
            Check(BUS_CREDITS, peak(self.credits) / BUCKET),
            Check(BUS_BURST, self.burst),
            Check(TABLE_CALLS, peak(self.series[Measure.CALLS]) / BUCKET),
            Check(TABLE_ENTITIES, peak(self.series[Measure.ENTITIES]) / BUCKET),
            Check(PARTITION_ENTITIES, self.tenant_peak(Measure.ENTITIES) / BUCKET),
            Check(INSTANCES, peak(self.instances())),
            Check(SOURCE_REQUESTS, max((peak(series) for series in self.sources.values()), default=0.0) / BUCKET),
        )


def peak(series: Mapping[int, float], seconds: int = BUCKET) -> float:
    """The most in any window of that length."""
    most = running = 0.0
    window: deque[int] = deque()
    for bucket in sorted(series):
        window.append(bucket)
        running += series[bucket]
        while window[0] <= bucket - seconds // BUCKET:
            running -= series[window.popleft()]
        most = max(most, running)
    return most


# --- prices

PRICES_OF = "November 2026"

BUS_BASE, BUS_INCLUDED = 0.0135 * 730, 13_000_000
"""A Service Bus Standard namespace a month (0.0135 an hour), and the operations that it includes."""

BUS_STEPS = ((100_000_000, 0.80e-6), (2_500_000_000, 0.50e-6), (math.inf, 0.20e-6))
"""Up to so many operations a month, and the price of each beyond those before."""

GB_SECOND, GB_SECONDS_FREE = 0.000026, 100_000
EXECUTION, EXECUTIONS_FREE = 0.40e-6, 250_000
"""Flex Consumption on demand: GB-seconds of instances that execute something, executions; so many are free a month."""

TABLE_CALL, TABLE_GB = 0.00036 / 10_000, 0.045
"""Table storage, locally redundant: a transaction; a GB and month."""

LOG_GB, LOG_GB_FREE = 2.76, 5.0
"""Log Analytics, pay as you go: a GB ingested; so many are free a month."""


LOG_KB, CLASS_KB, ACCOUNT_KB, HISTORY_KB, RUN_KB = 5.0, 6.0, 0.3, 0.7, 1.0
"""Of logs, an execution: in a night of 73 classes each was 3.6 rows and 2 KB of ours (a request, an event, calls to
Graph), to which come, assumed, Azure's own columns and the host's request. The rest, rows of tables, is assumed."""

NIGHTS, YEAR, HISTORY = 30, 365, 400
"""Nights of a month, of which each counts as one after a school day; runs on record; days of history on record."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A month of so many schools and tenants. `bus_operations` are sends, receives, completions, renewals of locks."""

    schools: int = 1
    tenants: int = 1
    bus_operations: float = 0.0
    gb_seconds: float = 0.0
    executions: float = 0.0
    table_calls: float = 0.0
    table_gb: float = 0.0
    log_gb: float = 0.0


def monthly_usage(schools: int, tenants: int, classes: float, accounts: float, ordinary: Load, first: Load) -> Usage:
    """Thirty ordinary nights of so many, and the twelfth part of a first one."""

    def monthly(measure: Measure) -> float:
        return NIGHTS * ordinary.total(measure) + first.total(measure) / 12

    executions = monthly(Measure.RECEIVED) + NIGHTS
    history = HISTORY * (ordinary.total(Measure.RECEIVED) - schools - tenants)
    held = CLASS_KB * classes + ACCOUNT_KB * accounts + HISTORY_KB * history + RUN_KB * YEAR * schools
    return Usage(
        schools,
        tenants,
        bus_operations=monthly(Measure.SENT) + 2 * monthly(Measure.RECEIVED) + monthly(Measure.RENEWALS),
        gb_seconds=NIGHTS * ordinary.gb_seconds + first.gb_seconds / 12,
        executions=executions,
        table_calls=monthly(Measure.CALLS),
        table_gb=held / 1e6,
        log_gb=LOG_KB * executions / 1e6,
    )


@dataclass(frozen=True, slots=True)
class Bill:
    """US dollars a month."""

    service_bus: float
    functions: float
    tables: float
    logs: float

    @property
    def total(self) -> float:
        return self.service_bus + self.functions + self.tables + self.logs


def bill(usage: Usage) -> Bill:
    """What a subscription with nothing else in it pays, its free grants used up first."""
    return Bill(
        service_bus=BUS_BASE + _operations(usage.bus_operations),
        functions=GB_SECOND * max(usage.gb_seconds - GB_SECONDS_FREE, 0.0)
        + EXECUTION * max(usage.executions - EXECUTIONS_FREE, 0.0),
        tables=TABLE_CALL * usage.table_calls + TABLE_GB * usage.table_gb,
        logs=LOG_GB * max(usage.log_gb - LOG_GB_FREE, 0.0),
    )


def _operations(count: float) -> float:
    cost, paid = 0.0, float(BUS_INCLUDED)
    for upper, price in BUS_STEPS:
        cost += price * max(min(count, upper) - paid, 0.0)
        paid = upper
    return cost


# --- tables


def limits_table(nights: Mapping[str, Load]) -> str:
    """A column for each night, all held against the same limits."""
    held = zip(*(load.checks() for load in nights.values()), strict=True)
    return markdown(
        ["at its peak", "limit", *nights],
        ([checks[0].limit.name, str(checks[0].limit), *map(str, checks)] for checks in held),
    )


def remedies(nights: Mapping[str, Load]) -> str:
    """What helps against each limit that one of the nights passes."""
    passed: dict[Limit, list[str]] = defaultdict(list)
    for name, load in nights.items():
        for check in load.checks():
            if not check.fits:
                passed[check.limit].append(name)
    told = [f"*{limit.name}* ({'; '.join(names)}) — {limit.remedy}." for limit, names in passed.items()]
    return " ".join(told) or "nothing."


def costs_table(usages: Mapping[str, Usage]) -> str:
    """A column for each customer with a deployment of his own."""
    bills = [bill(usage) for usage in usages.values()]
    rows = [
        ["schools, tenants", *(f"{usage.schools:,}, {usage.tenants:,}" for usage in usages.values())],
        ["operations of Service Bus", *(_count(usage.bus_operations) for usage in usages.values())],
        ["GB-seconds of Functions", *(_count(usage.gb_seconds) for usage in usages.values())],
        ["Service Bus", *(f"${one.service_bus:,.2f}" for one in bills)],
        ["Functions", *(f"${one.functions:,.2f}" for one in bills)],
        ["Tables", *(f"${one.tables:,.2f}" for one in bills)],
        ["Log Analytics", *(f"${one.logs:,.2f}" for one in bills)],
        ["in all, a month", *(f"**${one.total:,.2f}**" for one in bills)],
        ["a school", *(f"${bill(usage).total / usage.schools:,.3f}" for usage in usages.values())],
    ]
    return markdown(["a month", *usages], rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is words and whose others are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _count(number: float) -> str:
    return f"{number / 1e6:,.2f} M" if number >= 1e6 else f"{number:,.0f}"
