"""The pause before a failed message is returned to the queue."""

from __future__ import annotations

from sync_core.backoff import seconds_before_redelivery

LOCK_RENEWAL_SECONDS = 300


def test_ten_deliveries_take_over_five_minutes_and_no_pause_outlasts_a_lock() -> None:
    pauses = [seconds_before_redelivery(deliveries) for deliveries in range(1, 10)]
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert sum(pauses) > 300
    assert max(pauses) < LOCK_RENEWAL_SECONDS / 2
