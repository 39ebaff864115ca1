"""How long a message that failed is held before it is given back."""

from __future__ import annotations

from sync_core.backoff import seconds_before_redelivery

LOCKS_ARE_RENEWED_FOR = 300


def test_ten_deliveries_outlast_five_minutes_and_no_pause_outlasts_a_lock() -> None:
    pauses = [seconds_before_redelivery(deliveries) for deliveries in range(1, 10)]
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert sum(pauses) > 300
    assert max(pauses) < LOCKS_ARE_RENEWED_FOR / 2
