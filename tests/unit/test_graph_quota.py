"""The account of Graph's limits, against a server that counts as Graph does, hour after hour in no time at all."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from local.tenant.throttle import WRITES, WRITES_WINDOW, Window
from sync_core.adapters.graph_quota import Quota
from tests.builders import NOON

QUOTA_A_SECOND = WRITES / WRITES_WINDOW
_AT_ONCE = 16


@dataclass(slots=True)
class Run:
    """Bulk writers of one tenant in simulated time: each starts at its moment and always has something to write."""

    starts: list[float]
    lasts: float
    latency: float = 0.15
    seed: int = 1
    written: list[int] = field(init=False)
    refused: list[int] = field(init=False)
    _events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.written, self.refused = ([0] * len(self.starts) for _ in range(2))
        random_ = random.Random(self.seed)
        server = Window(WRITES_WINDOW, WRITES)
        for host, start in enumerate(self.starts):
            self._host(host, start, server, random_)
        while self._events and self._events[0][0] < self.lasts:
            now, _, work = heapq.heappop(self._events)
            work(now)

    def used(self) -> float:
        """The share of what the quota allows; more than 1 is possible, since a window may begin full."""
        return sum(self.written) / (QUOTA_A_SECOND * self.lasts)

    def refusals(self) -> float:
        return sum(self.refused) / (sum(self.refused) + sum(self.written))

    def _at(self, moment: float, work: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), work))

    def _host(self, host: int, start: float, server: Window, random_: random.Random) -> None:
        quota = Quota(WRITES, timedelta(seconds=WRITES_WINDOW))
        under_way, closed_until, waiting = 0, 0.0, True

        def half_way() -> float:
            return self.latency * random_.uniform(0.3, 0.7)

        def attempt(now: float) -> None:
            nonlocal under_way, waiting
            if under_way == _AT_ONCE:
                waiting = False
                return
            moment = NOON + timedelta(seconds=now)
            pause = max(quota.wait(1, moment).total_seconds(), closed_until - now)
            if pause <= 0:
                quota.promise(1, moment)
                under_way += 1
                self._at(now + half_way(), arrive)
            self._at(now + max(pause, 0.001), attempt)

        def arrive(now: float) -> None:
            wait = server.room(1, now)
            if wait > 0:
                self.refused[host] += 1
                self._at(now + half_way(), lambda now: answered(now, math.ceil(wait), None))
                return
            server.spend(1, now)
            self.written[host] += 1
            share = float(f"{server.share:.1f}") if server.share >= 0.8 else None
            self._at(now + half_way(), lambda now: answered(now, 0, share))

        def answered(now: float, retry_after: float, share: float | None) -> None:
            nonlocal under_way, closed_until, waiting
            moment = NOON + timedelta(seconds=now)
            under_way -= 1
            quota.spend(1, 0 if retry_after else 1, moment)
            if retry_after:
                quota.refused(moment)
                closed_until = max(closed_until, now + retry_after)
            elif share is not None and quota.share(moment) >= 0.1:
                quota.told(share, moment)
            if not waiting:
                waiting = True
                self._at(now, attempt)

        self._at(start, attempt)


def test_one_process_uses_the_whole_limit_and_is_never_refused() -> None:
    run = Run([0.0], lasts=1200)
    assert run.used() >= 0.98
    assert run.refused == [0]


def test_two_processes_share_it_evenly_and_are_hardly_refused() -> None:
    run = Run([0.0, 0.0], lasts=1200)
    assert run.used() >= 0.93
    assert run.refusals() < 0.001
    assert min(run.written) >= 0.45 * sum(run.written)


def test_a_newcomer_gets_its_share_from_one_who_has_all() -> None:
    run = Run([0.0, 300.0], lasts=1200)
    assert run.used() >= 0.93
    assert run.refusals() < 0.002
    assert run.written[1] >= 0.08 * QUOTA_A_SECOND * 900


def test_the_first_half_goes_out_at_once_and_then_it_never_stands_still() -> None:
    assert Run([0.0], lasts=30).written[0] > 0.49 * WRITES
    written = [Run([0.0], lasts=end).written[0] for end in range(30, 400, 10)]
    assert min(later - earlier for earlier, later in itertools.pairwise(written)) > 50


@pytest.mark.parametrize(
    ("starts", "latency"),
    [
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0.15),
        ([0.0, 0.0, 2.0, 78.0, 152.0], 0.02),
        ([0.0, 10.0, 20.0, 30.0], 1.0),
        ([0.0, 149.0], 0.5),
    ],
)
def test_however_many_start_whenever_they_do_not_drown_in_refusals(starts: list[float], latency: float) -> None:
    run = Run(starts, lasts=600, latency=latency)
    assert run.used() >= 0.9
    assert run.refusals() < 0.01
    assert min(run.written) > 100


def test_what_others_spent_is_forgotten_after_a_window() -> None:
    quota = Quota(100, timedelta(seconds=10))
    quota.promise(20, NOON)
    quota.spend(20, 20, NOON)
    quota.told(1.0, NOON)
    assert quota.wait(1, NOON + timedelta(seconds=1)) > timedelta(0)
    assert quota.wait(1, NOON + timedelta(seconds=10)) == timedelta(0)


def test_a_share_that_is_its_own_is_not_taken_for_others() -> None:
    quota = Quota(100, timedelta(seconds=10))
    quota.promise(95, NOON)
    quota.spend(95, 95, NOON)
    quota.told(1.0, NOON)
    assert quota.wait(4, NOON + timedelta(seconds=5)) <= timedelta(seconds=5)
    quota.promise(4, NOON + timedelta(seconds=5))
    assert quota.own(NOON + timedelta(seconds=5)) == 99
