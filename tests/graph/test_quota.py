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
from sync_core.graph.quota import Quota
from sync_core.messaging.messages import Priority
from tests.builders import NOON

QUOTA_A_SECOND = WRITES / WRITES_WINDOW
_AT_ONCE = 16


@dataclass(slots=True)
class Run:
    """Writers of one tenant in simulated time: each bulk writer starts at its moment and always has something to write.

    Every `urgent_every` seconds there is something urgent as well: in the first of them, or with `apart` in a process
    of its own, as where the urgent function scaled by itself. `waited` is how long each took until Graph had done it.
    """

    starts: list[float]
    lasts: float
    latency: float = 0.15
    seed: int = 1
    urgent_every: float = 0.0
    apart: bool = False
    written: list[int] = field(init=False)
    refused: list[int] = field(init=False)
    waited: list[float] = field(default_factory=list)
    _events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.written, self.refused = ([0] * (len(self.starts) + 1) for _ in range(2))
        random_ = random.Random(self.seed)
        server = Window(WRITES_WINDOW, WRITES)
        hosts = [self._host(number, server, random_) for number in range(len(self.starts) + 1)]
        for (bulk, _), start in zip(hosts, self.starts, strict=False):
            self._at(start, bulk)
        urgent = hosts[-1 if self.apart else 0][1]
        for number in range(1, int(self.lasts / self.urgent_every) if self.urgent_every else 0):
            self._at(number * self.urgent_every, lambda now: urgent(now, now))
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

    def _host(
        self, host: int, server: Window, random_: random.Random
    ) -> tuple[Callable[[float], None], Callable[[float, float], None]]:
        """How its bulk writer goes on at a moment; how it writes something urgent, that came at an earlier one."""
        quota = Quota(WRITES, timedelta(seconds=WRITES_WINDOW))
        under_way, closed_until, waiting = 0, 0.0, True

        def half_way() -> float:
            return self.latency * random_.uniform(0.3, 0.7)

        def pause(priority: Priority, now: float) -> float:
            moment = NOON + timedelta(seconds=now)
            return max(quota.wait(priority, 1, moment).total_seconds(), closed_until - now)

        def bulk(now: float) -> None:
            nonlocal under_way, waiting
            if under_way == _AT_ONCE:
                waiting = False
                return
            pause_ = pause(Priority.BULK, now)
            if pause_ <= 0:
                under_way += 1
                send(Priority.BULK, now, left)
            self._at(now + max(pause_, 0.001), bulk)

        def left(now: float, _: bool) -> None:
            nonlocal under_way, waiting
            under_way -= 1
            if not waiting:
                waiting = True
                self._at(now, bulk)

        def urgent(now: float, came: float) -> None:
            def answered(now: float, refused: bool) -> None:
                if refused:
                    urgent(now, came)
                else:
                    self.waited.append(now - came)

            if (pause_ := pause(Priority.URGENT, now)) > 0:
                self._at(now + max(pause_, 0.001), lambda now: urgent(now, came))
            else:
                send(Priority.URGENT, now, answered)

        def send(priority: Priority, now: float, answered: Callable[[float, bool], None]) -> None:
            quota.promise(priority, 1, NOON + timedelta(seconds=now))
            self._at(now + half_way(), lambda now: arrive(now, answered))

        def arrive(now: float, answered: Callable[[float, bool], None]) -> None:
            wait = server.room(1, now)
            if wait > 0:
                self.refused[host] += 1
                self._at(now + half_way(), lambda now: answer(now, math.ceil(wait), None, answered))
                return
            server.spend(1, now)
            self.written[host] += 1
            share = float(f"{server.share:.1f}") if server.share >= 0.8 else None
            self._at(now + half_way(), lambda now: answer(now, 0, share, answered))

        def answer(
            now: float, retry_after: float, share: float | None, answered: Callable[[float, bool], None]
        ) -> None:
            nonlocal closed_until
            moment = NOON + timedelta(seconds=now)
            quota.spend(1, 0 if retry_after else 1, moment)
            if retry_after:
                if quota.share(moment) >= 0.1:
                    quota.see_refusal(moment)
                closed_until = max(closed_until, now + retry_after)
            elif share is not None and quota.share(moment) >= 0.1:
                quota.see_share(share, moment)
            answered(now, retry_after > 0)

        return bulk, urgent


def test_one_process_uses_all_but_what_is_reserved_and_is_never_refused() -> None:
    run = Run([0.0], lasts=1200)
    assert run.used() >= 0.95
    assert run.refused == [0, 0]


def test_two_processes_share_it_evenly_and_are_hardly_refused() -> None:
    run = Run([0.0, 0.0], lasts=1200)
    assert run.used() >= 0.92
    assert run.refusals() < 0.001
    assert min(run.written[:2]) >= 0.45 * sum(run.written)


@pytest.mark.parametrize("starts", [[0.0], [0.0, 0.0], [0.0, 300.0], [0.0] * 5])
@pytest.mark.parametrize("apart", [False, True])
def test_what_is_urgent_never_waits_for_a_night_however_many_processes_it_has(starts: list[float], apart: bool) -> None:
    run = Run(starts, lasts=1200, urgent_every=5.0, apart=apart)
    assert len(run.waited) == 239
    assert max(run.waited) <= 0.15 * 1.4
    assert run.refusals() < 0.001
    assert run.used() >= 0.9


def test_more_that_is_urgent_than_is_reserved_waits_for_its_turn_and_is_done() -> None:
    run = Run([0.0], lasts=1200, urgent_every=0.2)
    assert max(run.waited) < 60
    assert len(run.waited) > 5900
    assert run.refusals() < 0.002


def test_a_newcomer_gets_its_share_from_one_who_has_all() -> None:
    run = Run([0.0, 300.0], lasts=1200)
    assert run.used() >= 0.92
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
    assert run.refusals() < 0.03
    assert min(run.written[:-1]) > 100


def test_what_others_spent_is_forgotten_after_a_window() -> None:
    quota = Quota(100, timedelta(seconds=10))
    quota.promise(Priority.BULK, 20, NOON)
    quota.spend(20, 20, NOON)
    quota.see_share(1.0, NOON)
    assert quota.wait(Priority.BULK, 1, NOON + timedelta(seconds=1)) > timedelta(0)
    assert quota.wait(Priority.BULK, 1, NOON + timedelta(seconds=10)) == timedelta(0)


def test_a_share_that_is_its_own_is_not_taken_for_others() -> None:
    quota = Quota(100, timedelta(seconds=10))
    quota.promise(Priority.URGENT, 95, NOON)
    quota.spend(95, 95, NOON)
    quota.see_share(1.0, NOON)
    assert quota.wait(Priority.URGENT, 4, NOON + timedelta(seconds=5)) <= timedelta(seconds=5)
    quota.promise(Priority.URGENT, 4, NOON + timedelta(seconds=5))
    assert quota.own(NOON + timedelta(seconds=5)) == 99
