"""The first night: every class made and filled within Graph's write limit, by us and by a plain script."""

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
"""Seconds that each answer of Graph takes, in the tenant's time."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one side spent; `seconds` are the tenant's; `repeated` are deliveries, or calls, made again."""

    spent: Spent
    seconds: float
    repeated: int

    @property
    def least_seconds(self) -> float:
        """How long so many writes take where nothing but Graph's limit slows them down."""
        return (max(self.spent.writes - 1, 0) // WRITES) * WRITES_WINDOW


@dataclass(frozen=True, slots=True)
class Result:
    """Both sides made the same `classes`; `least_writes` is what Graph cannot be asked to do it with fewer."""

    classes: int
    least_writes: int
    our_rate: float
    ours: Side
    plain_rate: float
    plain: Side


def run(classes: int = 400, our_rate: float = 2.0, plain_rate: float = 10.0) -> Result:
    """Both sides, each in a tenant of its own. Raises RuntimeError where a tenant is not as wanted in the end.

    The rates are in seconds of the tenant for one on the wall. The work of this machine counts as many times: so ours,
    which waits little, has a lower one than the script, which waits most of the time.
    """
    with azurite() as tables, SimulatedTenant(our_rate, _LATENCY) as tenant:
        ours = run_fast(_ours(tenant, tables, classes), our_rate)
    with SimulatedTenant(plain_rate, _LATENCY) as tenant:
        plain = run_fast(_plain(tenant, classes), plain_rate)
    result = Result(classes, _least_writes(classes), our_rate, ours, plain_rate, plain)
    _check(result)
    return result


def section(result: Result) -> str:
    """The figures as Markdown."""
    ours, plain, classes = result.ours, result.plain, result.classes
    rows = [
        ("Graph requests", ours.spent.requests, plain.spent.requests),
        ("Graph writes", ours.spent.writes, plain.spent.writes),
        ("writes a class", ours.spent.writes / classes, plain.spent.writes / classes),
        ("resource units", ours.spent.units, plain.spent.units),
        ("refused (429)", ours.spent.refused, plain.spent.refused),
        ("deliveries that failed; calls that the SDK gave up", ours.repeated, plain.repeated),
        ("seconds, at the least, by the limit", ours.least_seconds, plain.least_seconds),
        ("seconds in the tenant's time", ours.seconds, plain.seconds),
    ]
    lines = [
        f"{classes:,} new classes of {PUPILS_A_CLASS} pupils and {OWNERS_A_CLASS} owners, {WRITES:,} writes in "
        f"{WRITES_WINDOW:.0f} s allowed, {_LATENCY:g} s an answer. Afterwards both tenants hold exactly these classes, "
        "owners and members.",
        "",
        "| | ours | plain script | ratio |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {_figure(visible)} | {_figure(theirs)} | {_ratio(visible, theirs)} |"
            for name, visible, theirs in rows
        ),
        "",
        f"It cannot be done with fewer than {result.least_writes:,} writes: one to make a class, one for each "
        f"{MEMBERS_PER_WRITE} members, one for each owner. The tenants' time ran {result.our_rate:g} and "
        f"{result.plain_rate:g} times as fast as the wall's, and this machine's work counts as much more in it. How "
        "often the script is refused depends on how fast it runs into the limit.",
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
    return Side(tenant.spent(), seconds, script.gave_up)


def _least_writes(classes: int) -> int:
    members = PUPILS_A_CLASS + OWNERS_A_CLASS
    return classes * (1 + -(-members // MEMBERS_PER_WRITE) + OWNERS_A_CLASS)


def _check(result: Result) -> None:
    ours, plain = result.ours.spent.writes, result.plain.spent.writes
    if not result.least_writes <= ours <= 1.1 * result.least_writes:
        raise RuntimeError(f"{ours} writes, of which {result.least_writes} are needed")
    if ours * 6 > plain:
        raise RuntimeError(f"{ours} writes are more than a sixth of the plain script's {plain}")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:,.1f}"


def _ratio(ours: float, plain: float) -> str:
    return f"1 : {plain / ours:.1f}" if ours and plain else ""
