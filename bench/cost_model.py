"""The cost model: the share of Microsoft's limits that a night uses, and the cost of a month at list prices.

A constant is *measured* (a test or a benchmark counts it), *published* by Microsoft, or *assumed*. Prices are those
that public pages quote for pay as you go in US dollars. Microsoft's own list could not be read: check them before you
quote a total. `python -m bench.cost_model` prints the tables of docs/cost.md.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields

from sync_core.messaging.service_bus import MESSAGES_AT_ONCE
from sync_core.planning.year.duration import PERIOD, WRITES

# Seconds of an execution: assumed, with the answers of the MIS. Without those it took less than MEASURED_SECONDS,
# measured in November 2026 while Graph answered in 0.1 s. Published: Flex Consumption bills at least one second.
PLAN_SECONDS, CHANGE_SECONDS, TICK_SECONDS, MEASURED_SECONDS = 5, 1, 1, 0.6


@dataclass(frozen=True, slots=True)
class Work:
    """Graph requests, resource units and writes; queue messages; calls to Table storage; seconds of functions."""

    requests: float = 0
    units: float = 0
    writes: float = 0
    messages: float = 0
    table_calls: float = 0
    seconds: float = 0

    def __add__(self, other: Work) -> Work:
        return Work(*[own + its for own, its in zip(astuple(self), astuple(other), strict=True)])

    def __mul__(self, times: float) -> Work:
        return Work(*[own * times for own in astuple(self)])


# Measured, except the seconds: tests/costs/test_unit_costs.py counts them in the real code. The refresh is of a tenant,
# the plan of a school that changed. In a changed class one pupil replaces another; a new one has 28 pupils, 2 owners.
REFRESH = Work(requests=2, units=10, messages=1, table_calls=7, seconds=PLAN_SECONDS)
PLAN = Work(messages=1, table_calls=18, seconds=PLAN_SECONDS)
CHANGED = Work(requests=4, units=5, writes=2, messages=1, table_calls=2, seconds=CHANGE_SECONDS)
CREATED = Work(requests=5, units=5, writes=5, messages=3, table_calls=7, seconds=3 * CHANGE_SECONDS)
# With more accounts than LARGE_TENANT, a worker without a cache takes a call more: tests/costs/test_account_rows.py.
LARGE_TENANT = 1_500
ACCOUNTS = Work(table_calls=1)

# --- the schools: assumed

# After England's mix (DfE 2022/23, as BESA quotes it): the share of all schools, their pupils and classes. A primary
# school has year and registration groups; a secondary school also has 22 teaching groups for each 100 pupils.
_KINDS = ((0.70, 283, 18), (0.144, 1_050, 238), (0.098, 245, 56), (0.058, 113, 28))
PUPILS, CLASSES = (round(sum(share * kind[at] for share, *kind in _KINDS)) for at in (0, 1))
ACCOUNTS_A_PUPIL = 1.3  # Pupils, staff, and leavers whose accounts are still there.
CHANGED_SHARE = 0.1  # Of the classes, in a night after a school day.


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer with one deployment."""

    name: str
    tenants: int
    schools: int
    pupils: int
    classes: int

    @property
    def accounts(self) -> float:
        return self.pupils * ACCOUNTS_A_PUPIL

    @property
    def ordinary(self) -> Work:
        """A night after a school day."""
        return self._night(CHANGED * CHANGED_SHARE)

    @property
    def first(self) -> Work:
        """The first night of the year, which creates every class."""
        return self._night(CREATED)

    def _night(self, each_class: Work) -> Work:
        """The accounts of each tenant are read once and then cached (assumed; docs/adr/0016)."""
        return (REFRESH + ACCOUNTS) * self.tenants + PLAN * self.schools + each_class * self.classes


def average_schools(name: str, tenants: int, schools: int) -> Customer:
    return Customer(name, tenants=tenants, schools=schools, pupils=PUPILS * schools, classes=CLASSES * schools)


SECONDARY = Customer("one secondary", tenants=1, schools=1, pupils=1_000, classes=227)  # The school of `make demo`.
CUSTOMERS = (SECONDARY, average_schools("trust of 50", 1, 50), average_schools("vendor of 2,000", 333, 2_000))
NATION = average_schools("the nation", 4_000, 24_000)
LARGEST = average_schools("the nation's largest tenant", 1, 100)

# --- a month

NIGHTS, HOURS, OPERATIONS = 30, 730, 3  # Service Bus counts three for a message: sent, received, completed.
INSTANCE_GB, TICKS = 2, 60 * 24 * NIGHTS  # The template's; runs of the file drop timer.
LOG_KB, OUR_LOG_KB = 5, 2  # Of an execution: assumed, with what Azure adds; measured, in a night of 73 classes each.
BLOB_LOG_KB = 2  # Of a read of a blob: assumed. Writes are not logged (infra/modules/storage.bicep).
# The Functions host on its own blobs, while there is an instance. Published: the seconds of its two leases. Assumed: a
# lease is renewed at half of its time, the file drop timer keeps an instance there, and each of its runs reads and
# writes its status once.
LEASES = (15, 60)
RENEWALS = sum(60 / (lease / 2) for lease in LEASES)
HOST_READS = TICKS * (RENEWALS + 1)
HOST_WRITES = TICKS
CLASS_KB, ACCOUNT_KB, CHANGE_KB, CHANGE_DAYS, RUN_KB, RUN_DAYS = 6, 0.04, 0.7, 400, 1, 365  # Rows of tables: assumed.

PRICES_OF = "November 2026"
BUS_HOUR, BUS_INCLUDED, BUS_MILLION = 0.0135, 13_000_000, 0.80  # Standard; a million operations, up to 100 million.
GB_SECOND, GB_SECONDS_FREE = 0.000026, 100_000
RUN_MILLION, RUNS_FREE = 0.40, 250_000  # Executions.
TABLE_CALLS_10_000, TABLE_GB, LOG_GB, LOG_GB_FREE = 0.00036, 0.045, 2.76, 5
WRITES_10_000, READS_10_000 = 0.05, 0.004  # Of blobs: a list costs as much as a write, a renewal as much as a read.
READY_GB_SECOND, PREMIUM_HOUR, ENDPOINT_HOUR = 0.000004, 0.93, 0.01
SLOW_ALERT, FAST_ALERT, METRIC_ALERT = 0.50, 1.50, 0.10  # The last for each queue.
SLOW_ALERTS, FAST_ALERTS, ENDPOINTS = 10, 1, 4  # In infra/modules/portal.bicep and network.bicep.
QUEUES, INSTANCES = 3, 4  # In infra/modules/bus.bicep; the template's maximum of instances for each queue.


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a month; `night_gb_seconds` exclude the file drop timer."""

    messages: float
    night_gb_seconds: float
    table_calls: float
    table_gb: float

    @property
    def operations(self) -> float:
        return OPERATIONS * self.messages

    @property
    def night_executions(self) -> float:
        return self.messages + NIGHTS

    @property
    def executions(self) -> float:
        return self.night_executions + TICKS

    @property
    def gb_seconds(self) -> float:
        return self.night_gb_seconds + INSTANCE_GB * TICK_SECONDS * TICKS

    @property
    def log_gb(self) -> float:
        """Of executions, and of the host's reads of the timer's status. A renewal is logged as a write (assumed)."""
        return (LOG_KB * self.executions + BLOB_LOG_KB * TICKS) / 1e6


def usage(customer: Customer) -> Usage:
    """An average month: NIGHTS, and a twelfth of a first night. No execution shares an instance (assumed)."""
    month = customer.ordinary * NIGHTS + customer.first * (1 / 12)
    class_kb = CLASS_KB + CHANGE_KB * CHANGE_DAYS * CHANGED_SHARE
    rows_kb = class_kb * customer.classes + ACCOUNT_KB * customer.accounts + RUN_KB * RUN_DAYS * customer.schools
    return Usage(month.messages, INSTANCE_GB * month.seconds, month.table_calls, rows_kb / 1e6)


def bill(used: Usage) -> tuple[tuple[str, str, float], ...]:
    """Items with their price and US dollars a month, in a subscription with nothing else in it."""
    operations = max(used.operations - BUS_INCLUDED, 0) / 1e6
    gb_seconds = max(used.gb_seconds - GB_SECONDS_FREE, 0)
    executions = max(used.executions - RUNS_FREE, 0) / 1e6
    calls, log_gb = used.table_calls / 10_000, max(used.log_gb - LOG_GB_FREE, 0)
    host = (WRITES_10_000 * HOST_WRITES + READS_10_000 * HOST_READS) / 10_000
    return (
        ("Service Bus Standard", f"${BUS_HOUR} an hour", BUS_HOUR * HOURS),
        (f"operations beyond {BUS_INCLUDED:,}", f"${BUS_MILLION:.2f} a million", BUS_MILLION * operations),
        (f"GB-seconds beyond {GB_SECONDS_FREE:,}", f"${GB_SECOND:.6f}", GB_SECOND * gb_seconds),
        (f"executions beyond {RUNS_FREE:,}", f"${RUN_MILLION:.2f} a million", RUN_MILLION * executions),
        ("table transactions", f"${TABLE_CALLS_10_000} for 10,000", TABLE_CALLS_10_000 * calls),
        ("GB in tables", f"${TABLE_GB}", TABLE_GB * used.table_gb),
        ("the host's own blobs", f"${WRITES_10_000:.2f} and ${READS_10_000} for 10,000", host),
        (f"GB of logs beyond {LOG_GB_FREE}", f"${LOG_GB}", LOG_GB * log_gb),
        (f"{SLOW_ALERTS} alerts on logs each 15 minutes or hour", f"${SLOW_ALERT:.2f}", SLOW_ALERT * SLOW_ALERTS),
        (f"{FAST_ALERTS} alert on logs each 5 minutes", f"${FAST_ALERT:.2f}", FAST_ALERT * FAST_ALERTS),
        (f"the alert on dead letters, for {QUEUES} queues", f"${METRIC_ALERT:.2f}", METRIC_ALERT * QUEUES),
    )


def total(customer: Customer) -> float:
    return sum(dollars for _, _, dollars in bill(usage(customer)))


# --- the tables of docs/cost.md


def counts_table() -> str:
    rows: tuple[tuple[str, Callable[[Customer], str]], ...] = (
        ("schools, tenants", lambda one: f"{one.schools:,}, {one.tenants:,}"),
        ("classes", lambda one: f"{one.classes:,}"),
        ("messages of an ordinary night", lambda one: f"{one.ordinary.messages:,.1f}"),
        ("messages of the first night of the year", lambda one: f"{one.first.messages:,.0f}"),
        ("messages", lambda one: f"{usage(one).messages:,.0f}"),
        ("operations of Service Bus", lambda one: f"{usage(one).operations:,.0f}"),
        ("executions of the night", lambda one: f"{usage(one).night_executions:,.0f}"),
        ("executions of the file drop timer", lambda one: f"{TICKS:,}"),
        ("GB-seconds of the night", lambda one: f"{usage(one).night_gb_seconds:,.0f}"),
        ("GB-seconds of the file drop timer", lambda one: f"{INSTANCE_GB * TICK_SECONDS * TICKS:,}"),
        ("table transactions", lambda one: f"{usage(one).table_calls:,.0f}"),
        ("GB in tables", lambda one: f"{usage(one).table_gb:.2f}"),
        ("reads and renewals of the host's blobs, writes", lambda one: f"{HOST_READS:,.0f}, {HOST_WRITES:,}"),
        ("GB of logs", lambda one: f"{usage(one).log_gb:.2f}"),
    )
    head = ["a month", *(customer.name for customer in CUSTOMERS)]
    return _table(head, ([name, *map(cell, CUSTOMERS)] for name, cell in rows))


def bills_table() -> str:
    lines = zip(*(bill(usage(customer)) for customer in CUSTOMERS), strict=True)
    rows = [[*line[0][:2], *(f"${dollars:,.2f}" for _, _, dollars in line)] for line in lines]
    rows.append(["total", "", *(f"**${total(one):,.2f}**" for one in CUSTOMERS)])
    rows.append(["for each school", "", *(f"${total(one) / one.schools:,.2f}" for one in CUSTOMERS)])
    return _table(["a month", "price", *(customer.name for customer in CUSTOMERS)], rows)


def extras_table() -> str:
    """Options whose cost is not in the bill."""
    drops, drop_seconds, webhooks = 300, 0.1, 1_000
    listing, log_gb = WRITES_10_000 * TICKS / 10_000, BLOB_LOG_KB * TICKS / 1e6
    looking = GB_SECOND * INSTANCE_GB * TICKS * (drops * drop_seconds - TICK_SECONDS)
    receiving = NIGHTS * webhooks * (GB_SECOND * INSTANCE_GB * CHANGE_SECONDS + RUN_MILLION / 1e6)
    waiting = READY_GB_SECOND * INSTANCE_GB * HOURS * 3600
    busy = GB_SECOND * INSTANCE_GB * 3600 * QUEUES * INSTANCES
    private = HOURS * (PREMIUM_HOUR + ENDPOINTS * ENDPOINT_HOUR)
    rows = (
        (f"a file drop, listed each minute at ${WRITES_10_000:.2f} for 10,000 lists", f"${listing:.2f}"),
        (f"{drops} file drops: lists at that price", f"${drops * listing:.2f}"),
        (
            f"{drops} file drops: {drops * log_gb:.1f} GB of logs of the lists, {BLOB_LOG_KB} KB each (assumed)",
            f"${drops * log_gb * LOG_GB:.2f}",
        ),
        (
            f"{drops} file drops: GB-seconds of the timer, {drop_seconds} s for each file drop (assumed)",
            f"${looking:.2f}",
        ),
        (f"{webhooks:,} webhooks a day, executions of {CHANGE_SECONDS} s each (assumed)", f"${receiving:.2f}"),
        (
            f"an hour in which every instance waits for Graph: {QUEUES} queues, `maximumInstanceCount` {INSTANCES} "
            "each",
            f"${busy:.2f}",
        ),
        (f"`alwaysReady` 1, at ${READY_GB_SECOND:.6f} a GB-second of waiting", f"${waiting:.2f}"),
        (
            f"`privateNetworking`: Service Bus Premium at ${PREMIUM_HOUR} an hour in place of Standard, {ENDPOINTS} "
            f"private endpoints at ${ENDPOINT_HOUR} an hour each",
            f"${private:.2f}",
        ),
    )
    return _table(["in addition", "a month"], rows)


# --- Microsoft's limits, and the section of bench/RESULTS.md

PEAK = 1.5
"""Assumed: the busiest moment of a night needs this many times the average. A simulation in steps of ten seconds,
which this calculation replaced in November 2026, came to 1.07 in a window of an hour and to 1.4 in eleven hours."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Published: `amount` in any `seconds`; `counted` is the use of it by a night of `customer`."""

    name: str
    amount: int
    seconds: int
    counted: Callable[[Work], float]
    customer: Customer = NATION

    def peak(self, work: Callable[[Customer], Work], hours: float) -> float:
        """The peak in `seconds` of a night over `hours`; a tenant has a share of them in proportion to its schools."""
        window = hours * 3600 * self.customer.schools / NATION.schools
        return self.counted(work(self.customer)) * min(PEAK * self.seconds / window, 1)


# Graph: "Identity and access service limits"; a small tenant has the fewest units. Service Bus Standard: "Throttling
# operations", a credit for a message sent, one for a message received. Tables: "Scalability and performance targets".
LIMITS = (
    Limit("Graph: resource units of the app in the largest tenant", 3_500, 10, lambda night: night.units, LARGEST),
    Limit(
        "Graph: writes of the app in the largest tenant", WRITES, PERIOD.seconds, lambda night: night.writes, LARGEST
    ),
    Limit("Graph: resource units of the app in all tenants", 150_000, 20, lambda night: night.units),
    Limit("Graph: writes of the app in all tenants", 70_000, 300, lambda night: night.writes),
    Limit("Service Bus: credits of the namespace", 1_000, 1, lambda night: 2 * night.messages),
    Limit("Tables: transactions of the account", 20_000, 1, lambda night: night.table_calls),
)


def run() -> int:
    """The hours over which a first night keeps within every limit that the tenants share."""
    shared = [limit for limit in LIMITS if limit.customer is NATION]
    return max(math.ceil(limit.peak(lambda one: one.first, 1) / limit.amount) for limit in shared)


def section(hours: int) -> str:
    """The Markdown of bench/RESULTS.md, given the hours of a first night."""
    units = (("refresh", REFRESH), ("plan", PLAN), ("changed class", CHANGED), ("new class", CREATED))
    limits = [
        [
            limit.name,
            f"{limit.amount:,} / {limit.seconds} s",
            _checked(limit, limit.peak(lambda one: one.ordinary, 1)),
            *(_checked(limit, limit.peak(lambda one: one.first, window)) for window in (1, hours)),
        ]
        for limit in LIMITS
    ]
    waiting = LARGEST.first.writes / LIMITS[1].amount * LIMITS[1].seconds / 60
    return "\n\n".join(
        (
            f"Calculated by `bench/cost_model.py`: {NATION.schools:,} schools in {NATION.tenants:,} tenants with "
            f"{NATION.pupils:,} pupils and {NATION.classes:,} classes (assumed). {CHANGED_SHARE:.0%} of the classes "
            "change in an ordinary night (assumed). The first night of the year creates all classes. Unit costs "
            "(measured by `tests/costs/test_unit_costs.py`, except the seconds, which are assumed):",
            _table(
                ["one", *(field.name.replace("_", " ") for field in fields(Work))],
                ([name, *(f"{part:g}" for part in astuple(work))] for name, work in units),
            ),
            _table(["peak", "limit (published)", "ordinary, 1 h", "first, 1 h", f"first, {hours} h"], limits),
            f"A night is spread evenly over its window; its peak is {PEAK} times the average (assumed). The largest "
            f"tenant has {LARGEST.schools} schools (assumed). Writes above a limit of Graph wait on the queue: the "
            f"first night of the largest tenant takes at least {waiting:.0f} minutes. A first night of all tenants "
            f"needs a window of {hours} hours, {hours} nights of an hour, or {hours} app registrations, each with a "
            f"share of the tenants and a Service Bus namespace. One call sends at most {MESSAGES_AT_ONCE} messages, "
            f"then pauses for a second. A plan reads the {LARGEST.accounts:,.0f} accounts of the largest tenant in "
            "two requests (measured by `tests/costs/test_account_rows.py`). What a month costs is in "
            "[docs/cost.md](../docs/cost.md).",
        )
    )


def _checked(limit: Limit, peak: float) -> str:
    return f"{peak:,.0f}" if peak <= limit.amount else f"**{peak:,.0f}: too many**"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write("\n\n".join((counts_table(), bills_table(), extras_table())) + "\n")
