"""The chart of the last 30 nights: classes created or changed above a line, classes held below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sync_core.admin.overview.schools import Sign
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.http.console.formats import count, local_date
from sync_core.http.console.views.runs.words import OUTCOMES

NIGHTS = 30
WIDTH = 1000
_STEP = WIDTH / NIGHTS
_BAR = 22
_UP, _DOWN = 72, 30
"""The heights of the two halves, in units of the chart."""
HEIGHT = _UP + _DOWN + 2
_LEAST = 3
"""The height of one class beside a thousand, so that it is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """The nights of a day as the chart and the table under it show them, mostly one.

    Without any, `sign` is None and the counts are 0. `failed` if none of them made its plan.
    """

    day: date
    sign: Sign | None
    failed: bool
    changed: int
    held: int
    removals: int
    x: int
    rise: int
    fall: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The nights, oldest first, and the summary that stands for the picture. `line` is the height of the line."""

    nights: tuple[Night, ...]
    summary: str
    line: int = _UP
    bar: int = _BAR
    width: int = WIDTH
    height: int = HEIGHT


def chart_of(runs: Iterable[RunRecord], now: datetime) -> Chart:
    """`runs` are those of nights, oldest first. Several at one date, in the UK, are one bar, which adds them up."""
    by_day: dict[date, list[RunRecord]] = {}
    for run in runs:
        by_day.setdefault(local_date(run.at), []).append(run)
    last = local_date(now)
    days = [last - timedelta(days=back) for back in reversed(range(NIGHTS))]
    shown = [by_day.get(day, []) for day in days]
    most, most_held = max(map(_changed, shown)), max(map(_held, shown))
    # One scale for both halves: a bar above the line and an equal one below it count the same number of classes.
    of_a_class = min(_UP / max(most, 1), _DOWN / max(most_held, 1))
    nights = tuple(
        _night(place, day, of_day, of_a_class) for place, (day, of_day) in enumerate(zip(days, shown, strict=True))
    )
    return Chart(nights=nights, summary=_summary(nights))


def _night(place: int, day: date, runs: Sequence[RunRecord], of_a_class: float) -> Night:
    changed, held = _changed(runs), _held(runs)
    planned = [run for run in runs if run.outcome is RunOutcome.PLANNED]
    last = (planned or runs)[-1] if runs else None
    return Night(
        day=day,
        sign=OUTCOMES[last.outcome] if last else None,
        failed=bool(runs) and not planned,
        changed=changed,
        held=held,
        removals=sum(run.removals for run in runs),
        x=round(place * _STEP + (_STEP - _BAR) / 2),
        rise=_height(changed, of_a_class),
        fall=_height(held, of_a_class),
    )


def _changed(runs: Iterable[RunRecord]) -> int:
    return sum(len(run.created) + len(run.changed) for run in runs)


def _held(runs: Iterable[RunRecord]) -> int:
    """Each class once: the next night holds again what nobody has decided."""
    return len(frozenset().union(*(run.held for run in runs)))


def _height(classes: int, of_a_class: float) -> int:
    return max(_LEAST, round(classes * of_a_class)) if classes else 0


def _summary(nights: tuple[Night, ...]) -> str:
    ran = [night for night in nights if night.sign]
    failed = sum(night.failed for night in nights)
    held = sum(night.held > 0 for night in nights)
    changed = max((night.changed for night in nights), default=0)
    parts = [
        f"Nights on {count(len(ran))} of {NIGHTS} days",
        f"at most {count(changed, 'class', 'classes')} changed on one" if changed else "no class changed",
        f"classes held on {count(held, 'day')}" if held else "no class held",
        f"on {count(failed, 'day')} no night made its plan, because of a fault or a pause"
        if failed
        else "on each of these days a night made its plan",
    ]
    return "; ".join(parts) + "."
