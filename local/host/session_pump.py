"""The message pump: takes sessions (or a plain queue's messages), runs the function, settles, renews the lock.

It knows Service Bus only through the protocols below; servicebus_leases.py holds the real client.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from local.host.host_json import ServiceBusOptions

_log = logging.getLogger("host.servicebus")
_BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
# Each pending accept is a connection that the client polls, so an idle queue keeps one.
_FEWEST_ACCEPTS = 1
_CANCEL_AGAIN_SECONDS = 2.0


class LeaseLost(Exception):
    """The lock is lost: another receiver may hold the session or the message now."""


class NothingWaiting(Exception):
    """No session had a message within the time that an accept waits. `unused`, if there is one, must be closed."""

    def __init__(self, unused: "Lease | None" = None) -> None:
        super().__init__()
        self.unused = unused


class BrokerDown(Exception):
    """The broker cannot be reached or refuses the call; the message says why."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A locked message. `metadata` has the host's key names; `received` is the object by which the lease settles it."""

    body: bytes
    metadata: Mapping[str, object]
    received: object = None

    @property
    def message_id(self) -> object:
        return self.metadata.get("MessageId")


class Lease(Protocol):
    """One accepted session, or one receiver of a queue without sessions. Used by one task at a time.

    Every call may raise LeaseLost or BrokerDown; times are seconds.
    """

    @property
    def sessionful(self) -> bool: ...

    def lock_left(self, delivery: Delivery | None) -> float: ...

    async def receive(self, wait: float) -> Delivery | None: ...

    async def complete(self, delivery: Delivery) -> None: ...

    async def abandon(self, delivery: Delivery) -> None: ...

    async def renew(self, delivery: Delivery | None) -> None: ...

    async def close(self) -> None: ...


class LeaseSource(Protocol):
    """Where leases come from. `accept` raises NothingWaiting or BrokerDown."""

    async def accept(self) -> Lease: ...


Run = Callable[[Delivery], Awaitable[bool]]


@dataclass(slots=True)
class WorkerState:
    """The state of one worker: `busy` while it handles a message, `closing` when it must not take another."""

    busy: bool = False
    closing: bool = False


async def serve_lease(lease: Lease, run: Run, options: ServiceBusOptions, worker: WorkerState) -> None:
    """Handle one message after another, until the session is idle for sessionIdleTimeout or the worker is closing.

    As in Azure, the lock of a session is renewed until maxAutoLockRenewalDuration after the session was accepted,
    whatever the number of its messages; the lock of a message without a session, until that time after its receipt
    (Azure.Messaging.ServiceBus, SessionReceiverManager and ReceiverManager). Raises LeaseLost or BrokerDown when the
    lock or the connection is lost.
    """
    now = asyncio.get_running_loop().time
    full_lock = lease.lock_left(None)
    renew_until = now() + options.max_auto_lock_renewal
    idle_until = now() + options.session_idle_timeout
    while not worker.closing:
        if lease.sessionful and now() < renew_until and lease.lock_left(None) <= _reserve(full_lock):
            await lease.renew(None)
        wait = idle_until - now()
        if wait <= 0:
            if lease.sessionful:
                return
            idle_until = now() + options.session_idle_timeout
            continue
        delivery = await lease.receive(min(wait, max(lease.lock_left(None) - _reserve(full_lock), 0.1)))
        if delivery is None:
            continue
        worker.busy = True
        try:
            await _handle(
                lease, delivery, run, renew_until if lease.sessionful else now() + options.max_auto_lock_renewal
            )
        finally:
            worker.busy = False
        idle_until = now() + options.session_idle_timeout


def _reserve(full_lock: float) -> float:
    """How long before its end a lock is renewed: half of it, but ten seconds at most."""
    return min(full_lock / 2, 10.0)


async def _handle(lease: Lease, delivery: Delivery, run: Run, renew_until: float) -> None:
    async with _lock_kept(lease, delivery, renew_until):
        ok = await run(delivery)
    if ok:
        await lease.complete(delivery)
    else:
        await lease.abandon(delivery)


@contextlib.asynccontextmanager
async def _lock_kept(lease: Lease, delivery: Delivery, renew_until: float) -> AsyncIterator[None]:
    done = asyncio.Event()
    renewing = asyncio.create_task(_renew(done, lease, delivery, renew_until))
    try:
        yield
    finally:
        done.set()
        # Let a renewal under way end: its answer must not overlap the settlement on the same connection.
        await renewing


async def _renew(done: asyncio.Event, lease: Lease, delivery: Delivery, until: float) -> None:
    now = asyncio.get_running_loop().time
    full_lock = lease.lock_left(delivery)
    while True:
        full_lock = max(full_lock, lease.lock_left(delivery))
        delay = max(lease.lock_left(delivery) - _reserve(full_lock), 0.05)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), min(delay, max(until - now(), 0.0)))
        if done.is_set() or now() >= until:
            return
        try:
            await lease.renew(delivery)
        except (LeaseLost, BrokerDown) as error:
            _log.warning("the lock of message %s could not be renewed: %s", delivery.message_id, error)
            return


@dataclass(slots=True)
class Pump:
    """Pumps one queue into one function with up to `workers` leases at once."""

    queue: str
    source: LeaseSource
    run: Run
    options: ServiceBusOptions
    workers: int
    _workers: dict[asyncio.Task[None], WorkerState] = field(default_factory=dict)
    _closing: set[asyncio.Task[None]] = field(default_factory=set)
    _failures: int = 0
    _accepts: "_AcceptGate" = field(init=False)

    def __post_init__(self) -> None:
        self._accepts = _AcceptGate(_FEWEST_ACCEPTS, self.workers)

    def start(self) -> None:
        for _ in range(self.workers):
            worker = WorkerState()
            self._workers[asyncio.create_task(self._work(worker))] = worker

    async def drain(self, grace: float) -> None:
        """Take no new messages, let running functions end within `grace` seconds, and stop; the rest is redelivered."""
        now = asyncio.get_running_loop().time
        end = now() + grace
        for worker in self._workers.values():
            worker.closing = True
        waiting = set(self._workers)
        while waiting and now() < end:
            for task in waiting:
                if not self._workers[task].busy:
                    task.cancel()
            # Repeated, because on Python 3.11 a wait_for inside the client can swallow a cancellation.
            timeout = min(_CANCEL_AGAIN_SECONDS, max(end - now(), 0.0))
            _, waiting = await asyncio.wait(waiting, timeout=timeout)
        for task in self._workers:
            task.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _work(self, worker: WorkerState) -> None:
        while not worker.closing:
            try:
                lease = await self._accept()
            except (NothingWaiting, BrokerDown):
                continue
            try:
                await serve_lease(lease, self.run, self.options, worker)
            except LeaseLost as error:
                _log.warning("queue %s: a lock was lost, the message comes again: %s", self.queue, error)
            except BrokerDown as error:
                self._report_down(error)
            finally:
                self._close_later(lease)

    def _close_later(self, lease: Lease) -> None:
        """The client takes about a second to close; the next session need not wait for that."""
        closing = asyncio.create_task(lease.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _accept(self) -> Lease:
        async with self._accepts:
            try:
                lease = await self.source.accept()
            except NothingWaiting as nothing:
                if nothing.unused:
                    self._close_later(nothing.unused)
                self._report_up()
                self._accepts.shrink()
                raise
            except BrokerDown as error:
                self._report_down(error)
                self._accepts.shrink()
                # Sleeping inside the gate: in an outage only a few workers try again, not all of them.
                await asyncio.sleep(_BACKOFF_SECONDS[min(self._failures, len(_BACKOFF_SECONDS)) - 1])
                raise
            self._report_up()
            self._accepts.grow()
            return lease

    def _report_down(self, error: BrokerDown) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning("queue %s: the broker is away, trying again until it is back: %s", self.queue, error)

    def _report_up(self) -> None:
        if self._failures:
            self._failures = 0
            _log.info("queue %s: the broker is back", self.queue)


class _AcceptGate:
    """Limits how many accepts wait at once. Each accepted session adds one; an accept without a session halves them."""

    def __init__(self, fewest: int, most: int) -> None:
        self._fewest = min(fewest, most)
        self._most = most
        self._limit = self._fewest
        self._waiting = 0
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting < self._limit)
            self._waiting += 1

    async def __aexit__(self, *_: object) -> None:
        self._waiting -= 1
        async with self._changed:
            self._changed.notify_all()

    def grow(self) -> None:
        self._limit = min(self._limit + 1, self._most)

    def shrink(self) -> None:
        self._limit = max(self._limit // 2, self._fewest)
