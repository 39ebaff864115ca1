"""The first night: every class created with its people within Graph's write limit, by us and by a plain script."""

from __future__ import annotations

from dataclasses import dataclass

from bench.baseline import plain_script
from bench.fast_clock import FastClock
from bench.fast_loop import run_fast
from bench.ours import azurite, make_classes
from bench.school import OWNERS_A_CLASS, PUPILS_A_CLASS, make_school
from bench.simulated import SimulatedTenant, Spent
from local.tenant.throttle import WRITES, WRITES_WINDOW
from sync_core.graph.port import MEMBERS_PER_WRITE

_LATENCY = 0.1
"""Seconds of the tenant that each answer of Graph takes."""


@dataclass(frozen=True, slots=True)
class Side:
    """The cost of one side; `seconds` are the tenant's; `repeated` counts deliveries, or calls, that were repeated."""

    spent: Spent
    seconds: float
    repeated: int

    @property
    def least_seconds(self) -> float:
        """The time of these writes if only Graph's limit slows them down."""
        return (max(self.spent.writes - 1, 0) // WRITES) * WRITES_WINDOW


@dataclass(frozen=True, slots=True)
class Result:
    """Both sides created the same `classes`; Graph needs at least `least_writes` for them."""

    classes: int
    least_writes: int
    our_rate: float
    ours: Side
    plain_rate: float
    plain: Side


def run(classes: int = 400, our_rate: float = 2.0, plain_rate: float = 10.0) -> Result:
    """Both sides, each in its own tenant. Raises RuntimeError if a tenant is not as expected at the end.

    The rates are seconds of the tenant in one real second, and the work of this machine counts that many times. Ours
    has a lower rate than the script, because ours waits little and the script waits most of the time.
    """
    with azurite() as tables, SimulatedTenant(our_rate, _LATENCY) as tenant:
        ours = run_fast(_ours(tenant, tables, classes), our_rate)
    with SimulatedTenant(plain_rate, _LATENCY) as tenant:
        plain = run_fast(_plain(tenant, classes), plain_rate)
    result = Result(
        classes=classes,
        least_writes=_least_writes(classes),
        our_rate=our_rate,
        ours=ours,
        plain_rate=plain_rate,
        plain=plain,
    )
    _check(result)
    return result


def section(result: Result) -> str:
    """The results as Markdown."""
    ours, plain, classes = result.ours, result.plain, result.classes
    rows = [
        ("Graph requests", ours.spent.requests, plain.spent.requests),
        ("Graph writes", ours.spent.writes, plain.spent.writes),
        ("writes per class", ours.spent.writes / classes, plain.spent.writes / classes),
        ("resource units", ours.spent.units, plain.spent.units),
        ("refused (429)", ours.spent.refused, plain.spent.refused),
        ("failed deliveries; calls that the SDK stopped retrying", ours.repeated, plain.repeated),
        ("least seconds within the limit", ours.least_seconds, plain.least_seconds),
        ("seconds in the tenant's time", ours.seconds, plain.seconds),
    ]
    lines = [
        f"{classes:,} new classes of {PUPILS_A_CLASS} pupils and {OWNERS_A_CLASS} owners, {WRITES:,} writes in "
        f"{WRITES_WINDOW:.0f} s allowed, {_LATENCY:g} s per answer. Afterwards both tenants have exactly these "
        "classes, owners and members.",
        "",
        "| | ours | plain script | ratio |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {_number(our_count)} | {_number(plain_count)} | {_ratio(our_count, plain_count)} |"
            for name, our_count, plain_count in rows
        ),
        "",
        f"At least {result.least_writes:,} writes are necessary: one to create a class, one for each "
        f"{MEMBERS_PER_WRITE} members, one for each owner. The tenants' time ran {result.our_rate:g} and "
        f"{result.plain_rate:g} times as fast as real time, and the work of this machine counts that many times in it. "
        "How often the script is refused depends on how fast it reaches the limit.",
    ]
    return "\n".join(lines)


async def _ours(tenant: SimulatedTenant, tables: str, classes: int) -> Side:
    seconds, repeated = await make_classes(tenant, tables, make_school(1, classes, tenant.id))
    return Side(tenant.spent(), seconds, repeated)


async def _plain(tenant: SimulatedTenant, classes: int) -> Side:
    school = make_school(1, classes, tenant.id)
    wanted = school.classes(tenant.add_users(school.upns))
    script = plain_script(tenant.credential(), tenant.graph_url)
    clock = FastClock()
    await script.first_night(wanted)
    seconds = clock.elapsed
    tenant.check(wanted)
    return Side(tenant.spent(), seconds, script.repeated)


def _least_writes(classes: int) -> int:
    members = PUPILS_A_CLASS + OWNERS_A_CLASS
    return classes * (1 + -(-members // MEMBERS_PER_WRITE) + OWNERS_A_CLASS)


def _check(result: Result) -> None:
    ours, plain = result.ours.spent.writes, result.plain.spent.writes
    if not result.least_writes <= ours <= 1.1 * result.least_writes:
        raise RuntimeError(f"{ours} writes, of which {result.least_writes} are needed")
    if ours * 6 > plain:
        raise RuntimeError(f"{ours} writes are more than a sixth of the plain script's {plain}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:,.1f}"


def _ratio(ours: float, plain: float) -> str:
    return f"1 : {plain / ours:.1f}" if ours and plain else ""
