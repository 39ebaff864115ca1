"""The times of timers: NCRONTAB as Azure reads it, and invalid expressions."""

from datetime import UTC, datetime

import pytest

from local.host.ncrontab import BadSchedule, parse

NEXT = [
    ("0 30 1 * * *", "2026-11-23T01:29:59", "2026-11-23T01:30:00"),
    ("0 30 1 * * *", "2026-11-23T01:30:00", "2026-11-24T01:30:00"),
    ("0 30 1 * * *", "2026-12-31T12:00:00", "2027-01-01T01:30:00"),
    ("*/15 * * * * *", "2026-11-23T10:00:14.5", "2026-11-23T10:00:15"),
    ("*/15 * * * * *", "2026-11-23T10:59:45", "2026-11-23T11:00:00"),
    ("0 0 2 * * MON-FRI", "2026-11-27T03:00:00", "2026-11-30T02:00:00"),
    ("0 0 2 * * 0", "2026-11-23T00:00:00", "2026-11-29T02:00:00"),
    ("0 0 2 * * Sunday", "2026-11-23T00:00:00", "2026-11-29T02:00:00"),
    ("0 0 0 29 2 *", "2026-11-23T00:00:00", "2028-02-29T00:00:00"),
    ("0 5,35 8-17/3 * * *", "2026-11-23T08:35:00", "2026-11-23T11:05:00"),
    ("0 50/5 23 * * *", "2026-11-23T23:55:00", "2026-11-24T23:50:00"),
    # A range or step with one remaining value means that value; other crons run the whole hour.
    ("0 5-5/2 * * * *", "2026-11-23T10:05:00", "2026-11-23T11:05:00"),
    ("0 59/15 * * * *", "2026-11-23T10:59:00", "2026-11-23T11:59:00"),
    # In NCRONTAB both must match; in other crons either.
    ("0 0 9 13 * FRI", "2026-11-23T00:00:00", "2027-08-13T09:00:00"),
    ("0 0 9 1 jan *", "2026-11-23T00:00:00", "2027-01-01T09:00:00"),
]


@pytest.mark.parametrize(("expression", "moment", "expected"), NEXT)
def test_the_next_run_follows_from_the_expression(expression: str, moment: str, expected: str) -> None:
    after = parse(expression).after(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert after == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("30 1 * * *", "has 5 fields"),
        ("0 0 1 * * * 2026", "has 7 fields"),
        ("01:00:00", "has 1 fields"),
        ("@daily", "has 1 fields"),
        ("60 * * * * *", "the second field '60' holds 60"),
        ("0 0 24 * * *", "the hour field '24'"),
        ("0 0 0 0 * *", "the day of month field"),
        ("0 0 0 * 13 *", "the month field"),
        ("0 0 0 * * 7", "the day of week field"),
        ("0 0 0 ? * *", "the day of month field"),
        ("0 0 0 L * *", "holds 'L'"),
        ("0 */0 0 * * *", "a step of 0"),
        ("0 30-10 * * * *", "runs backwards"),
        ("0 0 0 30 2 *", "never comes true"),
        ("0 0 0 * * mond4y,nope", "holds 'nope'"),
    ],
)
def test_an_invalid_expression_is_rejected(expression: str, message: str) -> None:
    with pytest.raises(BadSchedule) as refusal:
        parse(expression)
    assert message in str(refusal.value)
