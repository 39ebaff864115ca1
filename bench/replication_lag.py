"""New classes that Graph's replicas receive late: the deliveries that they take, and the time beyond the lag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.fast_loop import run_fast
from bench.ours import azurite, make_classes
from bench.school import make_school
from bench.simulated import SimulatedTenant

_RATE = 8.0
_CLASSES = 50


@dataclass(frozen=True, slots=True)
class Lagged:
    """A first night with a lag; `lag` and `seconds` are the tenant's, `repeated` is the number of failed deliveries."""

    lag: float
    seconds: float
    requests: int
    writes: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Result:
    """The first night is without a lag."""

    nights: tuple[Lagged, ...]


def run(lags: Sequence[float] = (0.0, 5.0, 30.0, 60.0)) -> Result:
    """Raises RuntimeError if a delivery failed, or a class is not as expected at the end."""
    with azurite() as tables:
        result = Result(tuple(_night(tables, place, lag) for place, lag in enumerate(lags)))
    if any(night.repeated or night.writes < _CLASSES * 5 for night in result.nights):
        raise RuntimeError(f"a delivery failed because of a lag: {result}")
    return result


def section(result: Result) -> str:
    """The results as Markdown."""
    without = result.nights[0]
    rows = [
        f"| {night.lag:.0f} s | {night.seconds:.0f} s | {night.seconds - without.seconds:.0f} s | {night.requests:,} | "
        f"{night.requests / without.requests:.1f} | {night.writes} | {night.repeated} |"
        for night in result.nights
    ]
    return "\n".join(
        [
            f"{_CLASSES} new classes, in the tenant's time. A write that reaches a replica without the class "
            "is answered with 404 and repeated. A delivery repeats it for more than a minute before it fails.",
            "",
            "| lag | all created after | more than without lag | requests | times | writes | failed deliveries |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def _night(tables: str, place: int, lag: float) -> Lagged:
    with SimulatedTenant(_RATE) as tenant:
        return run_fast(_apply(tenant, tables, place, lag), _RATE)


async def _apply(tenant: SimulatedTenant, tables: str, place: int, lag: float) -> Lagged:
    tenant.switch(lag_seconds=lag)
    seconds, repeated = await make_classes(tenant, tables, make_school(place + 1, _CLASSES, tenant.id))
    spent = tenant.spent()
    return Lagged(lag=lag, seconds=seconds, requests=spent.requests, writes=spent.writes, repeated=repeated)
