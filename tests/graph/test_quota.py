"""The quota against a server that counts as Graph does, in simulated time."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.tenant.throttle import WRITES, WRITES_WINDOW, Window
from sync_core.graph.quota import Quota
from sync_core.messaging.messages import Priority
from tests.builders import NOON

QUOTA_A_SECOND = WRITES / WRITES_WINDOW
_AT_ONCE = 16


@dataclass(slots=True)
class Run:
    """Writers of one tenant in simulated time. Each bulk writer starts at its second of `starts` and never pauses.

    It stops at its second of `ends`, if it has one.

    Every `urgent_every` seconds there is an urgent write too: in the first process, or with `apart` in a process of its
    own, as when the urgent function scales separately. `waited` has the seconds until Graph accepted each urgent write.
    Graph counts each write as `cost`, and reports the used share with `digits` after the point. `times` has the second
    and the process of each write that it accepted.
    """

    starts: list[float]
    seconds: float
    latency: float = 0.15
    seed: int = 1
    urgent_every: float = 0.0
    apart: bool = False
    cost: int = 1
    digits: int = 1
    ends: list[float] = field(default_factory=list)
    written: list[int] = field(init=False)
    refused: list[int] = field(init=False)
    waited: list[float] = field(default_factory=list)
    times: list[tuple[float, int]] = field(default_factory=list)
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
        for number in range(1, int(self.seconds / self.urgent_every) if self.urgent_every else 0):
            self._at(number * self.urgent_every, lambda now: urgent(now, now))
        while self._events and self._events[0][0] < self.seconds:
            now, _, work = heapq.heappop(self._events)
            work(now)

    def used_share(self) -> float:
        """The share of the quota that was used. It may exceed 1, because a window starts full."""
        return sum(self.written) / (QUOTA_A_SECOND * self.seconds)

    def used(self, end: float) -> float:
        """The share of the quota that is used at that second, by all processes."""
        return len(self._window(end)) * self.cost / WRITES

    def share_of(self, process: int, end: float) -> float:
        """The share of one process in what is used at that second."""
        processes = [each for _, each in self._window(end)]
        return processes.count(process) / len(processes)

    def _window(self, end: float) -> list[tuple[float, int]]:
        return self.times[bisect_left(self.times, (end - WRITES_WINDOW, 0)) : bisect_left(self.times, (end, 0))]

    def refused_share(self) -> float:
        refused = sum(self.refused) * self.cost
        return refused / (refused + sum(self.written))

    def _at(self, moment: float, work: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), work))

    def _host(
        self, host: int, server: Window, random_: random.Random
    ) -> tuple[Callable[[float], None], Callable[[float, float], None]]:
        """Two functions: the next step of the bulk writer at a time; an urgent write at a time, with its first time."""
        quota = Quota(WRITES, timedelta(seconds=WRITES_WINDOW))
        in_flight, closed_until, waiting = 0, 0.0, True

        def half_latency() -> float:
            return self.latency * random_.uniform(0.3, 0.7)

        def pause(priority: Priority, now: float) -> float:
            moment = NOON + timedelta(seconds=now)
            return max(quota.wait(priority, self.cost, moment).total_seconds(), closed_until - now)

        def bulk(now: float) -> None:
            nonlocal in_flight, waiting
            if host < len(self.ends) and now >= self.ends[host]:
                return
            if in_flight == _AT_ONCE:
                waiting = False
                return
            pause_ = pause(Priority.BULK, now)
            if pause_ <= 0:
                in_flight += 1
                send(Priority.BULK, now, finish_bulk)
            self._at(now + max(pause_, 0.001), bulk)

        def finish_bulk(now: float, _: bool) -> None:
            nonlocal in_flight, waiting
            in_flight -= 1
            if not waiting:
                waiting = True
                self._at(now, bulk)

        def urgent(now: float, requested_at: float) -> None:
            def finish_urgent(now: float, refused: bool) -> None:
                if refused:
                    urgent(now, requested_at)
                else:
                    self.waited.append(now - requested_at)

            if (pause_ := pause(Priority.URGENT, now)) > 0:
                self._at(now + max(pause_, 0.001), lambda now: urgent(now, requested_at))
            else:
                send(Priority.URGENT, now, finish_urgent)

        def send(priority: Priority, now: float, finish: Callable[[float, bool], None]) -> None:
            quota.promise(priority, self.cost, NOON + timedelta(seconds=now))
            self._at(now + half_latency(), lambda now: arrive(now, finish))

        def arrive(now: float, finish: Callable[[float, bool], None]) -> None:
            wait = server.room(self.cost, now)
            if wait > 0:
                self.refused[host] += 1
                self._at(now + half_latency(), lambda now: respond(now, math.ceil(wait), None, finish))
                return
            server.spend(self.cost, now)
            self.written[host] += self.cost
            self.times.append((now, host))
            share = float(f"{server.share:.{self.digits}f}") if server.share >= 0.8 else None
            self._at(now + half_latency(), lambda now: respond(now, 0, share, finish))

        def respond(now: float, retry_after: float, share: float | None, finish: Callable[[float, bool], None]) -> None:
            nonlocal closed_until
            moment = NOON + timedelta(seconds=now)
            quota.spend(self.cost, 0 if retry_after else self.cost, moment)
            if retry_after:
                quota.see_refusal(moment)
                closed_until = max(closed_until, now + retry_after)
            elif share is None:
                quota.see_room(moment)
            else:
                quota.see_share(share, moment)
            finish(now, retry_after > 0)

        return bulk, urgent


@pytest.mark.parametrize("cost", [1, 7])
def test_one_process_uses_all_but_the_reserve_and_is_never_refused(cost: int) -> None:
    run = Run([0.0], seconds=900, cost=cost)
    used = [run.used(end) for end in range(150, 900, 5)]
    assert mean(used) >= 0.95
    assert min(used) >= 0.93
    assert run.refused == [0, 0]


@pytest.mark.parametrize("cost", [1, 7])
def test_two_processes_share_the_quota_evenly_with_few_refusals(cost: int) -> None:
    run = Run([0.0, 0.0], seconds=1200, cost=cost)
    used = [run.used(end) for end in range(150, 1200, 5)]
    assert mean(used) >= 0.96
    assert min(used) >= 0.92
    assert run.refused_share() < 0.002
    assert min(run.written[:2]) >= 0.45 * sum(run.written)


@pytest.mark.parametrize("starts", [[0.0], [0.0, 0.0], [0.0, 300.0], [0.0] * 5])
@pytest.mark.parametrize("apart", [False, True])
def test_an_urgent_write_never_waits_for_bulk_writes(starts: list[float], apart: bool) -> None:
    run = Run(starts, seconds=1200, urgent_every=5.0, apart=apart)
    assert len(run.waited) == 239
    assert max(run.waited) <= 0.15 * 1.4
    assert run.refused_share() < 0.001
    assert run.used_share() >= 0.9


def test_urgent_writes_beyond_the_reserve_wait_and_are_done() -> None:
    run = Run([0.0], seconds=1200, urgent_every=0.2)
    assert max(run.waited) < 60
    assert len(run.waited) > 5900
    assert run.refused_share() < 0.002


@pytest.mark.parametrize("cost", [1, 7])
@pytest.mark.parametrize("start", [160.0, 217.0, 300.0, 340.0, 437.0])
def test_a_second_process_has_its_share_within_a_window_and_keeps_it(start: float, cost: int) -> None:
    """Whether it joins while the first spends its half at once, or while that spends evenly."""
    run = Run([0.0, start], seconds=start + 450, cost=cost)
    assert run.refused_share() < 0.002
    for windows in (1, 1.5, 2, 3):
        assert 0.4 <= run.share_of(1, start + windows * WRITES_WINDOW) <= 0.6
    used = [run.used(start + seconds) for seconds in range(0, 450, 5)]
    assert mean(used) >= 0.95
    assert min(used) >= 0.75


@pytest.mark.parametrize("starts", [[0.0], [0.0, 0.0], [0.0, 200.0], [0.0] * 5])
def test_a_share_that_graph_reports_exactly_is_as_good(starts: list[float]) -> None:
    """Graph does not document how it rounds."""
    run = Run(starts, seconds=600, digits=2)
    assert mean(run.used(end) for end in range(350, 600, 5)) >= 0.93
    assert run.refused_share() < 0.002


def test_a_process_has_all_again_within_two_windows_of_the_others_end() -> None:
    run = Run([0.0, 200.0], seconds=1000, ends=[1000.0, 450.0])
    assert run.share_of(1, 450) >= 0.4
    assert min(run.used(450 + seconds) for seconds in range(300, 550, 5)) >= 0.93


def test_half_of_the_quota_is_used_at_once_and_then_writes_continue_evenly() -> None:
    times = Run([0.0], seconds=400).times
    written = [bisect_left(times, (end, 0)) for end in range(30, 400, 10)]
    assert written[0] > 0.49 * WRITES
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
def test_few_writes_are_refused_for_any_number_of_processes(starts: list[float], latency: float) -> None:
    run = Run(starts, seconds=600, latency=latency)
    assert run.used_share() >= 0.9
    assert run.refused_share() < 0.03
    assert min(run.written[:-1]) > 100


def test_the_use_of_others_is_forgotten_after_a_window() -> None:
    quota = Quota(100, timedelta(seconds=10))
    quota.promise(Priority.BULK, 20, NOON)
    quota.spend(20, 20, NOON)
    quota.see_share(1.0, NOON)
    assert quota.wait(Priority.BULK, 1, NOON + timedelta(seconds=1)) > timedelta(0)
    assert quota.wait(Priority.BULK, 1, NOON + timedelta(seconds=10)) == timedelta(0)


@pytest.mark.parametrize(("answer", "least", "most"), [("share", 2_200, 2_400), ("refusal", 900, 930)])
def test_a_process_that_came_down_goes_up_while_graph_reports_nothing_and_had_reported(
    answer: str, least: int, most: int
) -> None:
    """Graph reports nothing below 80 %, so the others have ended. A refusal does not show that Graph reports at all."""
    quota, now = Quota(WRITES, timedelta(seconds=WRITES_WINDOW)), NOON
    quota.promise(Priority.BULK, 900, now)
    quota.spend(900, 900, now)
    quota.see_share(1.0, now) if answer == "share" else quota.see_refusal(now)
    for _ in range(1_400):
        now += timedelta(seconds=0.1)
        if quota.wait(Priority.BULK, 1, now) <= timedelta(0):
            quota.promise(Priority.BULK, 1, now)
            quota.spend(1, 1, now)
        quota.see_room(now)
    assert least <= quota.own(now) <= most


def test_own_use_is_not_counted_as_the_use_of_others() -> None:
    quota = Quota(100, timedelta(seconds=10))
    quota.promise(Priority.URGENT, 95, NOON)
    quota.spend(95, 95, NOON)
    quota.see_share(1.0, NOON)
    assert quota.wait(Priority.URGENT, 4, NOON + timedelta(seconds=5)) <= timedelta(seconds=5)
    quota.promise(Priority.URGENT, 4, NOON + timedelta(seconds=5))
    assert quota.own(NOON + timedelta(seconds=5)) == 99


@given(
    others=st.lists(st.floats(0, 200), max_size=2),
    latency=st.floats(0.02, 0.5),
    cost=st.sampled_from([1, 7]),
    seed=st.integers(0, 99),
)
@settings(max_examples=10)
def test_processes_that_begin_at_any_time_use_the_quota_and_all_of_them_write(
    others: list[float], latency: float, cost: int, seed: int
) -> None:
    run = Run([0.0, *others], seconds=500, latency=latency, cost=cost, seed=seed)
    assert run.refused_share() < 0.12
    assert mean(run.used(end) for end in range(350, 500, 5)) >= 0.85
    assert min(run.share_of(process, 500) for process in range(len(others) + 1)) >= 0.04


@given(st.lists(st.tuples(st.floats(0, 20), st.one_of(st.none(), st.floats(0, 4_000))), max_size=60))
@settings(max_examples=100)
def test_whatever_graph_reports_bulk_work_goes_on_within_a_window_and_stays_in_the_limit(
    reports: list[tuple[float, float | None]],
) -> None:
    """None is a refusal. The answers to bulk writes may say anything, also what no server can know."""
    quota, now = Quota(100, timedelta(seconds=150)), NOON
    for pause, share in reports:
        now += timedelta(seconds=pause)
        if quota.wait(Priority.BULK, 1, now) <= timedelta(0):
            quota.promise(Priority.BULK, 1, now)
            quota.spend(1, 1, now)
        quota.see_refusal(now) if share is None else quota.see_share(share, now)
        assert quota.own(now) <= 99
    waited = timedelta(0)
    while (wait := quota.wait(Priority.BULK, 1, now + waited)) > timedelta(0):
        waited += wait
        assert waited <= timedelta(seconds=151)
