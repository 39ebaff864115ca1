"""When the next night begins, held against the parser of the local host, which is croniter's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.host.ncrontab import BadSchedule, parse
from sync_core.admin.overview.next_night import next_night
from tests.builders import NOON


@pytest.mark.parametrize(
    ("schedule", "night"),
    [
        ("0 0 2 * * *", "2026-09-08T02:00:00+00:00"),
        ("30 15 14,20 * * *", "2026-09-07T14:15:30+00:00"),
        ("0 */20 12 * * *", "2026-09-07T12:20:00+00:00"),
        ("0 0 2 * * Mon-Fri", "2026-09-08T02:00:00+00:00"),
        ("0 0 2 1 JAN *", "2027-01-01T02:00:00+00:00"),
        ("0 0 2 29 2 *", None),  # the next one is more than a year away
        ("02:00:00", None),
        ("0 0 2 * *", None),
        ("0 0 25 * * *", None),
        ("0 0 2 * * Nonday", None),
        ("0 0 2 */0 * *", None),
        ("", None),
    ],
)
def test_a_schedule_has_a_next_night_or_none_is_told(schedule: str, night: str | None) -> None:
    found = next_night(schedule, NOON)
    assert (found.isoformat() if found else None) == night


_NUMBERS = st.integers(0, 70)
_PARTS = st.one_of(
    st.just("*"),
    _NUMBERS.map(str),
    st.tuples(_NUMBERS, _NUMBERS).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    st.tuples(st.one_of(st.just("*"), _NUMBERS.map(str)), st.integers(1, 9)).map(lambda step: f"{step[0]}/{step[1]}"),
)
_FIELDS = st.lists(_PARTS, min_size=1, max_size=2).map(",".join)


@given(
    st.tuples(*[_FIELDS] * 6).map(" ".join),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_it_is_the_time_at_which_the_timer_fires(schedule: str, now: datetime) -> None:
    now = now.replace(microsecond=0)
    try:
        expected = parse(schedule).after(now)
    except BadSchedule:
        assert next_night(schedule, now) is None
        return
    within_a_year = (expected.date() - now.date()).days <= 366
    assert next_night(schedule, now) == (expected if within_a_year else None)
