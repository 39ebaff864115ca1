"""A queue without a socket: order, locks, deliveries, dead letters, duplicates, schedules."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from local.servicebus.broker import BrokerError, Letter, Queue
from local.servicebus.codec import Described, Symbol, Timestamp, encode
from local.servicebus.config import QueueProperties
from local.servicebus.message import ANNOTATIONS, DATA, HEADER, PROPERTIES, BareMessage, parse_messages

NOW = 1_000.0
LOCK = 60.0


def make_message(
    text: str, session: str | None = None, due: float | None = None, ttl: float | None = None
) -> BareMessage:
    properties = [text, None, None, None, None, None, None, None, None, None, session, None, None]
    parts = [Described(PROPERTIES, properties), Described(DATA, text.encode())]
    if due is not None:
        annotations = {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(int(due * 1000))}
        parts.insert(0, Described(ANNOTATIONS, annotations))
    if ttl is not None:
        parts.insert(0, Described(HEADER, [True, None, int(ttl * 1000), None, None]))
    (parsed,) = parse_messages(b"".join(encode(part) for part in parts), 0)
    return parsed


def make_queue(**properties: object) -> Queue:
    return Queue("q", QueueProperties.model_validate(properties))


def receive(queue: Queue, session: str | None = None, now: float = NOW) -> Letter:
    letter = queue.receive(session, now)
    assert letter is not None
    assert letter.lock is not None
    return letter


def test_messages_are_first_in_first_out_and_gone_when_completed() -> None:
    q = make_queue()
    for text in "abc":
        q.send(make_message(text), NOW)
    for text in "abc":
        letter = receive(q)
        assert letter.message.message_id == text
        assert letter.lock is not None
        q.complete(letter.lock)
    assert q.receive(None, NOW) is None
    assert q.status()["completed"] == 3


def test_an_abandoned_message_is_redelivered_first_until_dead_lettered() -> None:
    q = make_queue(max_delivery_count=3)
    q.send(make_message("bad"), NOW)
    q.send(make_message("good"), NOW)
    for deliveries in range(3):
        letter = receive(q)
        assert (letter.message.message_id, letter.deliveries) == ("bad", deliveries)
        assert letter.lock is not None
        q.abandon(letter.lock)
    assert receive(q).message.message_id == "good"
    assert q.dead is not None
    dead = receive(q.dead)
    assert dead.reason["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert dead.source == "q"


def test_a_message_lock_that_expires_counts_as_a_delivery() -> None:
    q = make_queue()
    q.send(make_message("a"), NOW)
    letter = receive(q)
    lock = letter.lock
    assert lock is not None
    q.tick(NOW + LOCK - 1)
    assert q.receive(None, NOW) is None
    q.renew(lock, NOW + LOCK - 1)
    q.tick(NOW + LOCK + 1)
    assert q.receive(None, NOW) is None
    q.tick(NOW + 2 * LOCK)
    assert receive(q).deliveries == 1
    with pytest.raises(BrokerError, match="lock supplied is invalid"):
        q.complete(lock)


def test_a_session_belongs_to_one_owner_and_keeps_its_order() -> None:
    q = make_queue(requires_session=True)
    for text, session in (("a1", "A"), ("b1", "B"), ("a2", "A")):
        q.send(make_message(text, session), NOW)
    assert q.accept_session(None, "me", NOW) == "A"
    assert q.accept_session(None, "you", NOW) == "B"
    assert q.accept_session(None, "third", NOW) is None
    with pytest.raises(BrokerError, match="locked by another"):
        q.accept_session("A", "third", NOW)
    assert receive(q, "A").message.message_id == "a1"
    assert receive(q, "A").message.message_id == "a2"


def test_an_expired_session_counts_as_a_delivery_and_a_closed_one_does_not() -> None:
    q = make_queue(requires_session=True)
    q.send(make_message("a", "A"), NOW)
    q.accept_session("A", "me", NOW)
    receive(q, "A")
    q.close_session("A", "you")
    with pytest.raises(BrokerError, match="locked by another"):
        q.accept_session("A", "you", NOW)
    q.close_session("A", "me")
    q.accept_session("A", "you", NOW)
    assert receive(q, "A").deliveries == 0
    q.tick(NOW + LOCK)
    q.accept_session("A", "third", NOW + LOCK)
    assert receive(q, "A", NOW + LOCK).deliveries == 1
    with pytest.raises(BrokerError, match="session lock has expired"):
        q.renew_session("A", "you", NOW + LOCK)


def test_renewing_a_session_keeps_its_messages() -> None:
    q = make_queue(requires_session=True)
    q.send(make_message("a", "A"), NOW)
    q.accept_session("A", "me", NOW)
    letter = receive(q, "A")
    assert q.renew_session("A", "me", NOW + 50) == NOW + 50 + LOCK
    q.tick(NOW + LOCK + 1)
    assert letter.lock is not None
    q.complete(letter.lock)


def test_duplicates_are_discarded_only_within_the_window() -> None:
    q = make_queue(requires_duplicate_detection=True, duplicate_detection_history_time_window=timedelta(seconds=20))
    assert q.send(make_message("a"), NOW)
    assert q.send(make_message("a"), NOW + 19) == 0
    q.tick(NOW + 20)
    assert q.send(make_message("a"), NOW + 20)
    assert q.status()["duplicates"] == 1


def test_scheduled_messages_wait_and_can_be_cancelled() -> None:
    q = make_queue()
    q.send(make_message("later", due=NOW + 10), NOW)
    cancelled = q.send(make_message("never", due=NOW + 10), NOW)
    assert q.receive(None, NOW) is None
    assert q.status()["scheduled"] == 2
    q.cancel(cancelled)
    q.tick(NOW + 10)
    assert receive(q, now=NOW + 10).message.message_id == "later"
    assert q.receive(None, NOW + 10) is None
    with pytest.raises(BrokerError, match="No scheduled message"):
        q.cancel(cancelled)


@pytest.mark.parametrize("dead_lettered", [True, False])
def test_messages_expire(dead_lettered: bool) -> None:
    q = make_queue(
        dead_lettering_on_message_expiration=dead_lettered, default_message_time_to_live=timedelta(seconds=100)
    )
    q.send(make_message("short", ttl=5), NOW)
    q.send(make_message("long"), NOW)
    q.tick(NOW + 6)
    assert q.status()["dead_lettered"] == dead_lettered
    assert receive(q).message.message_id == "long"


def test_peek_sees_everything_and_locks_nothing() -> None:
    q = make_queue()
    for text in "abc":
        q.send(make_message(text), NOW)
    first = receive(q)
    assert [letter.message.message_id for letter in q.peek(1, 2)] == ["a", "b"]
    assert [letter.message.message_id for letter in q.peek(first.sequence + 1, 9)] == ["b", "c"]
    assert q.status()["locked"] == 1


def test_deferred_messages_are_received_only_by_number() -> None:
    q = make_queue()
    number = q.send(make_message("a"), NOW)
    letter = receive(q)
    assert letter.lock is not None
    q.defer(letter.lock)
    assert q.receive(None, NOW) is None
    deferred = q.receive_deferred(number, NOW)
    assert deferred.lock is not None
    q.complete(deferred.lock)
    with pytest.raises(BrokerError, match="No deferred message"):
        q.receive_deferred(number, NOW)


def test_invalid_messages_and_sessions_are_rejected() -> None:
    with pytest.raises(BrokerError, match="without a session id"):
        make_queue(requires_session=True).send(make_message("a"), NOW)
    with pytest.raises(BrokerError, match="does not use sessions"):
        make_queue().accept_session("A", "me", NOW)
    with pytest.raises(BrokerError, match="larger than 256 KB"):
        make_queue().send(make_message("x" * 300_000), NOW)


class NothingIsLost(RuleBasedStateMachine):
    """Every message is always in exactly one place, and each session keeps the order of sending."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.queue = make_queue(requires_session=True, max_delivery_count=4)
        self.sent = 0
        self.received: dict[str, list[Letter]] = {}
        self.done: dict[str, list[int]] = {}

    @rule(session=st.sampled_from("ABC"))
    def send(self, session: str) -> None:
        self.queue.send(make_message(str(self.sent), session), self.now)
        self.sent += 1

    @rule()
    def accept(self) -> None:
        session = self.queue.accept_session(None, self, self.now)
        if session:
            self.received[session] = []

    @precondition(lambda self: self.received)
    @rule(data=st.data())
    def receive(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(sorted(self.received)))
        if not self.received[session] and (letter := self.queue.receive(session, self.now)):
            self.received[session].append(letter)

    @precondition(lambda self: any(self.received.values()))
    @rule(data=st.data(), complete=st.booleans())
    def settle(self, data: st.DataObject, complete: bool) -> None:
        session = data.draw(st.sampled_from(sorted(name for name, letters in self.received.items() if letters)))
        letter = self.received[session].pop()
        assert letter.lock is not None
        if complete:
            self.queue.complete(letter.lock)
            self.done.setdefault(session, []).append(letter.sequence)
        else:
            self.queue.abandon(letter.lock)

    @precondition(lambda self: self.received)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(sorted(self.received)))
        del self.received[session]
        self.queue.close_session(session, self)

    @rule()
    def locks_expire(self) -> None:
        self.now += LOCK
        self.queue.tick(self.now)
        self.received.clear()

    @invariant()
    def all_are_somewhere(self) -> None:
        status = self.queue.status()
        assert status["active"] + status["locked"] + status["dead_lettered"] + status["completed"] == self.sent

    @invariant()
    def order_is_kept(self) -> None:
        assert all(numbers == sorted(numbers) for numbers in self.done.values())


TestNothingIsLost = NothingIsLost.TestCase
TestNothingIsLost.settings = settings(max_examples=100, stateful_step_count=30)
