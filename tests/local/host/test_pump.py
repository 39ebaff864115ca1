"""The pump's decisions with scripted leases: settle, renew the lock, close, drain, survive an outage of the broker."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable

import pytest

from local.host.host_json import ServiceBusOptions
from local.host.session_pump import (
    BrokerDown,
    Delivery,
    Lease,
    LeaseLost,
    NothingWaiting,
    Pump,
    WorkerState,
    serve_lease,
)

OPTIONS = ServiceBusOptions(max_auto_lock_renewal=5.0, max_concurrent_sessions=4, session_idle_timeout=0.05)


def _delivery(name: str) -> Delivery:
    return Delivery(b"", {"MessageId": name})


class ScriptedLease:
    """A session with these messages. Records what happens to them. `lock` is in seconds."""

    sessionful = True

    def __init__(self, *names: str, lock: float = 60.0, lost: bool = False) -> None:
        self._messages = [_delivery(name) for name in names]
        self._lock = lock
        self._lost = lost
        self._until = time.monotonic() + lock
        self.done: list[str] = []
        self.renewed = asyncio.Event()
        self.closed = asyncio.Event()

    def lock_left(self, delivery: Delivery | None) -> float:
        return self._until - time.monotonic()

    async def receive(self, wait: float) -> Delivery | None:
        if self._messages:
            return self._messages.pop(0)
        await asyncio.sleep(wait)
        return None

    async def complete(self, delivery: Delivery) -> None:
        if self._lost:
            raise LeaseLost("gone")
        self.done.append(f"complete {delivery.message_id}")

    async def abandon(self, delivery: Delivery) -> None:
        self.done.append(f"abandon {delivery.message_id}")
        if self.done.count(self.done[-1]) < 3:
            self._messages.insert(0, delivery)

    async def renew(self, delivery: Delivery | None) -> None:
        if self._lost:
            raise LeaseLost("gone")
        self._until = time.monotonic() + self._lock
        self.done.append("renew")
        self.renewed.set()

    async def close(self) -> None:
        self.closed.set()


class ScriptedSource:
    """Returns these leases, or raises these errors, in turn; then nothing waits."""

    def __init__(self, *turns: Lease | Exception) -> None:
        self._turns = list(turns)
        self.accepts = 0
        self.empty = asyncio.Event()

    async def accept(self) -> Lease:
        self.accepts += 1
        if not self._turns:
            self.empty.set()
            await asyncio.Event().wait()
        turn = self._turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return turn


@contextlib.asynccontextmanager
async def _run_pump(source: ScriptedSource, run: Callable[[Delivery], object]) -> AsyncIterator[Pump]:
    async def handle(delivery: Delivery) -> bool:
        result = run(delivery)
        return await result if asyncio.iscoroutine(result) else bool(result)

    pump = Pump("q", source, handle, OPTIONS, workers=4)
    pump.start()
    async with asyncio.timeout(10):
        yield pump
        await pump.drain(1.0)


async def test_a_session_completes_its_messages_in_order_and_is_closed() -> None:
    lease = ScriptedLease("1", "2", "3")
    source = ScriptedSource(lease)
    async with _run_pump(source, lambda delivery: True):
        await lease.closed.wait()
    assert lease.done == ["complete 1", "complete 2", "complete 3"]


async def test_a_failed_message_is_abandoned_and_redelivered_before_the_next() -> None:
    lease = ScriptedLease("poison", "2")
    async with _run_pump(ScriptedSource(lease), lambda delivery: delivery.message_id != "poison"):
        await lease.closed.wait()
    assert lease.done == ["abandon poison"] * 3 + ["complete 2"]


async def test_the_lock_is_renewed_while_the_function_runs() -> None:
    lease = ScriptedLease("slow", lock=0.2)

    async def until_renewed(delivery: Delivery) -> bool:
        await lease.renewed.wait()
        return True

    async with _run_pump(ScriptedSource(lease), until_renewed):
        await lease.closed.wait()
    assert lease.done[:2] == ["renew", "complete slow"]


async def test_the_lock_is_not_renewed_beyond_the_limit_of_host_json() -> None:
    lease = ScriptedLease("endless", lock=0.1)
    lost = asyncio.Event()

    async def until_the_lock_is_out(delivery: Delivery) -> bool:
        left = lease.lock_left(delivery)
        while left > 0:
            await asyncio.sleep(left)
            left = lease.lock_left(delivery)
        lost.set()
        return True

    options = ServiceBusOptions(max_auto_lock_renewal=0.3, session_idle_timeout=0.05)
    started = time.monotonic()
    async with asyncio.timeout(5):
        await serve_lease(lease, until_the_lock_is_out, options, WorkerState())
    assert lost.is_set()
    assert 0.3 <= time.monotonic() - started < 2.0
    assert "renew" in lease.done


async def test_a_lost_lock_ends_the_session_and_the_pump_continues(caplog: pytest.LogCaptureFixture) -> None:
    gone, other = ScriptedLease("1", lost=True), ScriptedLease("2")
    async with _run_pump(ScriptedSource(gone, other), lambda delivery: True):
        await gone.closed.wait()
        await other.closed.wait()
    assert other.done == ["complete 2"]
    assert "a lock was lost, the message comes again" in caplog.text


async def test_an_idle_session_with_a_short_lock_is_renewed() -> None:
    lease = ScriptedLease(lock=0.2)
    options = ServiceBusOptions(session_idle_timeout=0.5)
    async with asyncio.timeout(5):
        await serve_lease(lease, lambda delivery: asyncio.sleep(0, True), options, WorkerState())
    assert set(lease.done) == {"renew"}


async def test_an_outage_is_logged_once_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "host.servicebus")
    lease = ScriptedLease("1")
    source = ScriptedSource(BrokerDown("refused"), BrokerDown("refused"), BrokerDown("refused"), lease)
    async with _run_pump(source, lambda delivery: True):
        await lease.closed.wait()
    assert lease.done == ["complete 1"]
    assert caplog.text.count("the broker is away") == 1
    assert caplog.text.count("the broker is back") == 1


async def test_an_empty_queue_keeps_one_accept_waiting() -> None:
    source = ScriptedSource(NothingWaiting())
    async with _run_pump(source, lambda delivery: True):
        await source.empty.wait()
        # By now, any task that would start more accepts has run.
        for _ in range(50):
            await asyncio.sleep(0)
        assert source.accepts == 2


async def test_the_next_accept_waits_while_one_that_found_nothing_closes() -> None:
    """A message that came meanwhile would wait for the closing, which takes the client a second."""
    next_waits = asyncio.Event()

    class SlowToClose(ScriptedLease):
        async def close(self) -> None:
            await next_waits.wait()
            await super().close()

    unused = SlowToClose()
    source = ScriptedSource(NothingWaiting(unused))
    async with _run_pump(source, lambda delivery: True):
        await source.empty.wait()
        next_waits.set()
        await unused.closed.wait()


async def test_draining_finishes_the_current_message_and_receives_no_other() -> None:
    lease = ScriptedLease("1", "2")
    started, resume = asyncio.Event(), asyncio.Event()

    async def wait(delivery: Delivery) -> bool:
        started.set()
        await resume.wait()
        return True

    async with _run_pump(ScriptedSource(lease), wait) as pump:
        await started.wait()
        draining = asyncio.create_task(pump.drain(5.0))
        await asyncio.sleep(0)
        resume.set()
        await draining
    assert lease.done == ["complete 1"]
    assert lease.closed.is_set()


async def test_draining_cancels_a_message_after_the_grace_period_without_settling_it() -> None:
    lease = ScriptedLease("1")
    started = asyncio.Event()

    async def hang(delivery: Delivery) -> bool:
        started.set()
        await asyncio.Event().wait()
        return True

    async with _run_pump(ScriptedSource(lease), hang) as pump:
        await started.wait()
        await pump.drain(0.05)
    assert lease.done == []
    assert lease.closed.is_set()


async def test_draining_is_not_stopped_by_a_client_that_swallows_a_cancellation() -> None:
    waiting = asyncio.Event()

    class UncancellableSource:
        async def accept(self) -> Lease:
            with contextlib.suppress(asyncio.CancelledError):
                waiting.set()
                await asyncio.Event().wait()
            await asyncio.Event().wait()
            raise NothingWaiting

    pump = Pump("q", UncancellableSource(), lambda delivery: asyncio.sleep(0, True), OPTIONS, workers=1)
    pump.start()
    await waiting.wait()
    async with asyncio.timeout(10):
        await pump.drain(grace=30.0)
