"""The lock of a session while messages keep coming: the pump and the stand-in's broker, in virtual time.

In Azure a session's lock is renewed for a time that counts from the acceptance of the session, not of the message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from local.host.host_json import HostOptions, ServiceBusOptions, load_host_json
from local.host.session_pump import Delivery, Lease, LeaseLost, NothingWaiting, Pump
from local.servicebus.broker import BrokerError, Letter, Queue
from local.servicebus.codec import Described, encode
from local.servicebus.config import QueueProperties, read_config
from local.servicebus.message import DATA, PROPERTIES, parse_messages
from sync_core.applying.attempt import _LAG_WAITS
from sync_core.backoff import seconds_before_redelivery
from sync_core.graph.rate_limiter import WAITING_BUDGET
from tests.local.host.sessions.virtual_time import run_in_virtual_time

_ROOT = Path(__file__).parents[4]
_SCHOOL = "school"
_DAY = 86_400.0
_ACCEPT_SECONDS = 5.0
_SILENCE = 45.0
"""Seconds for which a request to Graph may stay without an answer after the wait budget was checked (ADR 14)."""


def _now() -> float:
    return asyncio.get_running_loop().time()


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except BrokerError as error:
        raise LeaseLost(error.description) from error


class _SessionLease:
    """A session of the broker, held as the real client holds it."""

    sessionful = True

    def __init__(self, queue: Queue, session: str) -> None:
        self._queue = queue
        self._session = session
        self._until = 0.0

    async def open(self) -> None:
        self._queue.hand_over(self._session, self._queue, self)
        self._until = self._queue.session_locked_until(self._session, self)

    def lock_left(self, delivery: Delivery | None) -> float:
        return self._until - _now()

    async def receive(self, wait: float) -> Delivery | None:
        self._queue.tick(_now())
        if self._queue.session_owner(self._session) is not self:
            raise LeaseLost("the session is another's")
        letter = self._queue.receive(self._session, _now())
        if letter is None:
            await asyncio.sleep(wait)
            return None
        metadata = {"MessageId": letter.message.message_id, "DeliveryCount": letter.deliveries + 1}
        return Delivery(b"", metadata, received=letter)

    async def complete(self, delivery: Delivery) -> None:
        self._settle(delivery, self._queue.complete)

    async def abandon(self, delivery: Delivery) -> None:
        self._settle(delivery, self._queue.abandon)

    def _settle(self, delivery: Delivery, outcome: Callable[..., None]) -> None:
        self._queue.tick(_now())
        assert isinstance(delivery.received, Letter)
        with _lost():
            self._queue.session_locked_until(self._session, self)
            outcome(delivery.received.lock)

    async def renew(self, delivery: Delivery | None) -> None:
        self._queue.tick(_now())
        with _lost():
            self._until = self._queue.renew_session(self._session, self, _now())

    async def close(self) -> None:
        self._queue.close_session(self._session, self)


@dataclass(frozen=True, slots=True)
class _Sessions:
    """The sessions of a queue. `empty` is set when an accept finds the queue without messages."""

    queue: Queue
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    async def accept(self) -> Lease:
        self.queue.tick(_now())
        session = self.queue.accept_session(None, self.queue, _now())
        if session is None:
            if not self.queue.sessions() and not self.queue.status()["locked"]:
                self.empty.set()
            await asyncio.sleep(_ACCEPT_SECONDS)
            raise NothingWaiting
        lease = _SessionLease(self.queue, session)
        await lease.open()
        return lease


@dataclass(slots=True)
class _Work:
    """What the function does: each delivery takes `seconds`, and only `last_delivery` of a message succeeds."""

    seconds: Callable[[str, int], float]
    last_delivery: int
    began: list[tuple[str, float]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    deliveries: Counter[str] = field(default_factory=Counter)

    async def __call__(self, delivery: Delivery) -> bool:
        name, count = str(delivery.message_id), int(str(delivery.metadata["DeliveryCount"]))
        self.began.append((name, _now()))
        self.deliveries[name] += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(self.seconds(name, count))
        self.running -= 1
        return count >= self.last_delivery


def _queue(properties: QueueProperties, names: list[str]) -> Queue:
    queue = Queue("q", properties)
    for name in names:
        fields = [name, *[None] * 9, _SCHOOL, None, None]
        parts = (Described(PROPERTIES, fields), Described(DATA, b""))
        (message,) = parse_messages(b"".join(map(encode, parts)), 0)
        queue.send(message, 0.0)
    return queue


async def _pump(queue: Queue, work: _Work, options: ServiceBusOptions) -> float:
    """Pump the queue with several workers until it is empty. Returns the second at which that was."""
    sessions = _Sessions(queue)
    pump = Pump("q", sessions, work, options, workers=2)
    pump.start()
    await sessions.empty.wait()
    ended = _now()
    await pump.drain(60.0)
    return ended


def _configured() -> tuple[HostOptions, QueueProperties]:
    return load_host_json(_ROOT / "host.json"), read_config(_ROOT / "local" / "Config.json")["class-changes"]


def _longest_delivery(count: int) -> float:
    """Seconds that delivery `count` may take: its wait budgets, one silence, and the pause after a failure."""
    return WAITING_BUDGET.total_seconds() + sum(_LAG_WAITS) + _SILENCE + seconds_before_redelivery(count)


def test_the_renewal_counts_from_the_acceptance_of_the_session(caplog: pytest.LogCaptureFixture) -> None:
    """What was measured with .NET's session processor: renewal 12 s, lock 5 s, a second message from second 8 to 22."""
    caplog.set_level(logging.WARNING, "host.servicebus")
    queue = _queue(QueueProperties(lock_duration=timedelta(seconds=5), requires_session=True), ["first", "second"])
    work = _Work(lambda name, count: 8.0 if name == "first" else 14.0 if count == 1 else 1.0, last_delivery=1)
    options = ServiceBusOptions(max_auto_lock_renewal=12.0, max_concurrent_sessions=4, session_idle_timeout=0.5)
    run_in_virtual_time(_pump(queue, work, options))
    assert [name for name, _ in work.began] == ["first", "second", "second"]
    assert [round(at) for _, at in work.began[:2]] == [0, 8]
    # The lock ends at second 15; an accept that waits sees that within its five seconds.
    assert 15.0 <= work.began[2][1] <= 15.0 + _ACCEPT_SECONDS
    assert work.most_running == 2
    assert caplog.text.count("a lock was lost, the message comes again") == 1


def test_one_school_is_never_worked_on_twice_on_a_hostile_day(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody lets go of the session all day: each message is in it before the last has failed for the ninth time."""
    options, properties = _configured()
    most = properties.max_delivery_count
    one_message = sum(_longest_delivery(count) for count in range(1, most + 1))
    names = [str(number) for number in range(int(_DAY / one_message))]
    work = _Work(lambda _, count: _longest_delivery(count), last_delivery=most)
    ended = run_in_virtual_time(_pump(_queue(properties, names), work, options.service_bus))
    assert _DAY - one_message < ended < _DAY
    assert work.most_running == 1
    assert work.deliveries == Counter(dict.fromkeys(names, most))
    assert [name for name, _ in work.began] == [name for name in names for _ in range(most)]
    assert "lost" not in caplog.text


def test_the_configured_times_fit_the_longest_delivery() -> None:
    options, properties = _configured()
    longest = [_longest_delivery(count) for count in range(1, properties.max_delivery_count + 1)]
    assert options.function_timeout == 1_800.0
    assert max(longest) < options.function_timeout
    # One message that fails each time holds its session for longer than a function may run.
    assert options.function_timeout < sum(longest) < options.service_bus.max_auto_lock_renewal
    assert properties.lock_duration.total_seconds() < options.service_bus.max_auto_lock_renewal
