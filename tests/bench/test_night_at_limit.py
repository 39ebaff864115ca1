"""The shares of the limit by the minute are those of the window before its end, or of what has passed of the first."""

from __future__ import annotations

from bench.night_at_limit import Minute, by_minute


def test_shares_by_minute() -> None:
    """Every 30 s the first process spends 600 writes, all that is allowed, and from second 150 on 400 beside 200."""
    counts = [(600 * step, 0) for step in range(6)]
    counts += [(3_000 + 400 * step, 200 * step) for step in range(1, 6)]
    assert list(by_minute(counts)) == [
        Minute(60, 1.0, 0.0),
        Minute(120, 1.0, 0.0),
        Minute(180, 1.0, 200 / 3_000),
        Minute(240, 1.0, 600 / 3_000),
        Minute(300, 1.0, 1_000 / 3_000),
    ]


def test_nothing_more_in_the_first_window_lowers_its_share() -> None:
    assert [minute.used for minute in by_minute([(0, 0)] + [(1_500, 0)] * 5)] == [1.25, 0.625]
