"""The semantics of a Service Bus queue, without any socket: sessions, locks, settlement, dead letters, schedules.

An owner is the receiving link that holds a lock. Callers pass the time as `now`, in seconds since 1970.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import count, islice
from uuid import UUID, uuid4

from local.servicebus.codec import Int, Long, Symbol, Timestamp
from local.servicebus.config import QueueProperties
from local.servicebus.message import BareMessage

LARGEST_MESSAGE = 256 * 1024
DEAD_LETTER_QUEUE = "$deadletterqueue"
_UNCHANGED: Mapping[str, object] = {}


class BrokerError(Exception):
    """A refusal, with the condition that Service Bus answers."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition = condition
        self.description = description


class State(Enum):
    """The state of a letter; the numbers are those of x-opt-message-state."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(eq=False, slots=True)
class Letter:
    """A message in a queue. `lock` is the token of the receiver that has it locked."""

    sequence: int
    message: BareMessage
    enqueued_at: float
    expires_at: float | None
    state: State = State.ACTIVE
    due_at: float = 0.0
    deliveries: int = 0
    lock: UUID | None = None
    locked_until: float = 0.0
    changed: dict[str, object] = field(default_factory=dict)
    """The application properties that a receiver changed when it gave the message back."""
    reason: dict[str, str] = field(default_factory=dict)
    source: str | None = None

    def encoded(self) -> bytes:
        annotations: dict[Symbol, object] = {
            Symbol("x-opt-sequence-number"): Long(self.sequence),
            Symbol("x-opt-enqueue-sequence-number"): Long(self.sequence),
            Symbol("x-opt-enqueued-time"): Timestamp(int(self.enqueued_at * 1000)),
            Symbol("x-opt-message-state"): Int(self.state.value),
        }
        if self.lock:
            annotations[Symbol("x-opt-locked-until")] = Timestamp(int(self.locked_until * 1000))
        if self.state is State.SCHEDULED:
            annotations[Symbol("x-opt-scheduled-enqueue-time")] = Timestamp(int(self.due_at * 1000))
        if self.source:
            annotations[Symbol("x-opt-deadletter-source")] = self.source
        return self.message.encoded(self.deliveries, annotations, self.changed | self.reason)


@dataclass(slots=True)
class SessionLock:
    owner: Hashable
    until: float


class Queue:
    """One queue, or the dead-letter queue of one (`dead` is None then)."""

    def __init__(self, name: str, properties: QueueProperties, *, is_dead_letter_queue: bool = False) -> None:
        self.name = name
        self.properties = properties
        self.sessionful = properties.requires_session and not is_dead_letter_queue
        self.dead = None if is_dead_letter_queue else Queue(name, properties, is_dead_letter_queue=True)
        self.counts: Counter[str] = Counter()
        self.session_states: dict[str, bytes] = {}
        self._lock_seconds = properties.lock_duration.total_seconds()
        self._sequences = count(1)
        self._letters: dict[int, Letter] = {}
        self._ready: OrderedDict[str | None, deque[Letter]] = OrderedDict()
        self._locked: dict[UUID, Letter] = {}
        self._sessions: dict[str, SessionLock] = {}
        self._seen: OrderedDict[str, float] = OrderedDict()

    # --- sending

    def send(self, message: BareMessage, now: float) -> int:
        """Returns the sequence number, or 0 for a duplicate, which is discarded but accepted. Raises BrokerError."""
        if self.sessionful and message.session_id is None:
            raise BrokerError("amqp:not-allowed", "A sessionful queue takes no message without a session id.")
        if len(message.body) > LARGEST_MESSAGE:
            raise BrokerError("amqp:link:message-size-exceeded", "The message is larger than 256 KB.")
        self.counts["sent"] += 1
        if self._is_duplicate(message.message_id, now):
            self.counts["duplicates"] += 1
            return 0
        ttls = [] if message.ttl is None else [message.ttl]
        if self.properties.default_message_time_to_live is not None:
            ttls.append(self.properties.default_message_time_to_live.total_seconds())
        due_at = max(message.scheduled_at or now, now)
        letter = Letter(
            sequence=next(self._sequences),
            message=message,
            enqueued_at=due_at,
            expires_at=due_at + min(ttls) if ttls else None,
            due_at=due_at,
        )
        self._letters[letter.sequence] = letter
        if due_at > now:
            letter.state = State.SCHEDULED
        else:
            self._queue(letter)
        return letter.sequence

    def cancel(self, sequence: int) -> None:
        letter = self._letters.get(sequence)
        if letter is None or letter.state is not State.SCHEDULED:
            raise BrokerError("com.microsoft:message-not-found", f"No scheduled message {sequence}.")
        del self._letters[sequence]

    # --- sessions

    def accept_session(self, wanted: str | None, owner: Hashable, now: float) -> str | None:
        """Lock session `wanted`, or the next one with messages; None if there is none. Raises BrokerError."""
        if not self.sessionful:
            raise BrokerError("amqp:not-allowed", "The queue does not use sessions.")
        if wanted is None:
            wanted = next((name for name in self._ready if name is not None and name not in self._sessions), None)
            if wanted is None:
                return None
        elif wanted in self._sessions:
            raise BrokerError("com.microsoft:session-cannot-be-locked", "The session is locked by another receiver.")
        self._sessions[wanted] = SessionLock(owner, now + self._lock_seconds)
        return wanted

    def hand_over(self, session: str, before: Hashable, after: Hashable) -> None:
        """Give a session that was accepted for an attach to the link of that attach."""
        self.session_locked_until(session, before)
        self._sessions[session].owner = after

    def session_locked_until(self, session: str, owner: Hashable) -> float:
        """Raises BrokerError if `owner` does not hold the session, or no longer."""
        lock = self._sessions.get(session)
        if lock is None or lock.owner is not owner:
            raise BrokerError("com.microsoft:session-lock-lost", "The session lock has expired.")
        return lock.until

    def session_owner(self, session: str) -> Hashable | None:
        lock = self._sessions.get(session)
        return lock.owner if lock else None

    def renew_session(self, session: str, owner: Hashable, now: float) -> float:
        self.session_locked_until(session, owner)
        until = now + self._lock_seconds
        self._sessions[session].until = until
        for letter in self._locked.values():
            if letter.message.session_id == session:
                letter.locked_until = until
        return until

    def close_session(self, session: str, owner: Hashable) -> None:
        """Release the session and its locked messages; this does not count as a delivery."""
        lock = self._sessions.get(session)
        if lock and lock.owner is owner:
            self._end_session(session, counts=False)

    def sessions(self) -> list[str]:
        return [name for name in self._ready if name is not None]

    # --- receiving and settling

    def receive(self, session: str | None, now: float, *, delete: bool = False) -> Letter | None:
        """The next message of `session` (None: of a queue without sessions), locked, or gone if `delete`."""
        waiting = self._ready.get(session)
        if not waiting:
            return None
        letter = waiting.popleft()
        if not waiting:
            del self._ready[session]
        if delete:
            del self._letters[letter.sequence]
            self.counts["completed"] += 1
        else:
            self._lock(letter, session, now)
        return letter

    def receive_deferred(self, sequence: int, now: float) -> Letter:
        letter = self._letters.get(sequence)
        if letter is None or letter.state is not State.DEFERRED or letter.lock:
            raise BrokerError("com.microsoft:message-not-found", f"No deferred message {sequence}.")
        self._lock(letter, letter.message.session_id if self.sessionful else None, now)
        return letter

    def renew(self, lock: UUID, now: float) -> float:
        letter = self._locked_letter(lock)
        letter.locked_until = now + self._lock_seconds
        return letter.locked_until

    def complete(self, lock: UUID) -> None:
        letter = self._unlock(lock)
        del self._letters[letter.sequence]
        self.counts["completed"] += 1

    def abandon(self, lock: UUID, changed: Mapping[str, object] = _UNCHANGED, *, counts: bool = True) -> None:
        """Give the message back. This, `defer` and `dead_letter` change these application properties."""
        letter = self._unlock(lock)
        letter.changed.update(changed)
        self.counts["abandoned"] += 1
        self._requeue(letter, counts=counts)

    def defer(self, lock: UUID, changed: Mapping[str, object] = _UNCHANGED) -> None:
        letter = self._unlock(lock)
        letter.changed.update(changed)
        letter.state = State.DEFERRED

    def dead_letter(
        self, lock: UUID, reason: str, description: str, changed: Mapping[str, object] = _UNCHANGED
    ) -> None:
        letter = self._unlock(lock)
        letter.changed.update(changed)
        self._move_to_dead_letters(letter, reason, description)

    def peek(self, start: int, most: int, session: str | None = None) -> list[Letter]:
        """Messages from sequence number `start` on, whatever their state; nothing is locked."""
        following = (letter for number, letter in sorted(self._letters.items()) if number >= start)
        matching = (letter for letter in following if session in (None, letter.message.session_id))
        return list(islice(matching, most))

    # --- time

    def tick(self, now: float) -> None:
        """Queue the scheduled messages that are due, release expired locks, and remove expired messages."""
        for session, lock in list(self._sessions.items()):
            if lock.until <= now:
                self._end_session(session, counts=True)
        if not self.sessionful:
            for token, letter in list(self._locked.items()):
                if letter.locked_until <= now:
                    self._requeue(self._unlock(token), counts=True)
        for letter in list(self._waiting_for_time()):
            if letter.state is State.SCHEDULED and letter.due_at <= now:
                letter.state = State.ACTIVE
                self._queue(letter)
            if letter.expires_at is not None and letter.expires_at <= now and not letter.lock:
                self._expire(letter)
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)
        if self.dead:
            self.dead.tick(now)

    @property
    def is_settled(self) -> bool:
        """Whether no message waits, is locked or is scheduled."""
        unsettled = (State.ACTIVE, State.SCHEDULED)
        return not any(letter.lock or letter.state in unsettled for letter in self._letters.values())

    def status(self) -> dict[str, int]:
        states = [letter.state for letter in self._letters.values() if not letter.lock]
        return {
            "active": states.count(State.ACTIVE),
            "locked": len(self._locked),
            "scheduled": states.count(State.SCHEDULED),
            "deferred": states.count(State.DEFERRED),
            "dead_lettered": len(self.dead._letters) if self.dead else 0,
            **{name: self.counts[name] for name in ("sent", "completed", "abandoned", "duplicates")},
        }

    # --- within

    def _is_duplicate(self, message_id: str | None, now: float) -> bool:
        if not self.properties.requires_duplicate_detection or message_id is None:
            return False
        if self._seen.get(message_id, 0.0) > now:
            return True
        self._seen[message_id] = now + self.properties.duplicate_detection_history_time_window.total_seconds()
        self._seen.move_to_end(message_id)
        return False

    def _queue(self, letter: Letter, *, first: bool = False) -> None:
        waiting = self._ready.setdefault(letter.message.session_id if self.sessionful else None, deque())
        if first:
            waiting.appendleft(letter)
        else:
            waiting.append(letter)

    def _lock(self, letter: Letter, session: str | None, now: float) -> None:
        letter.lock = uuid4()
        lock = self._sessions.get(session) if session is not None else None
        letter.locked_until = lock.until if lock else now + self._lock_seconds
        self._locked[letter.lock] = letter

    def _locked_letter(self, lock: UUID) -> Letter:
        letter = self._locked.get(lock)
        if letter is None:
            condition = "session-lock-lost" if self.sessionful else "message-lock-lost"
            raise BrokerError(f"com.microsoft:{condition}", "The lock supplied is invalid: it expired, or was settled.")
        return letter

    def _unlock(self, lock: UUID) -> Letter:
        letter = self._locked_letter(lock)
        del self._locked[lock]
        letter.lock = None
        return letter

    def _requeue(self, letter: Letter, *, counts: bool) -> None:
        letter.deliveries += counts
        if letter.state is State.DEFERRED:
            return
        if self.dead and letter.deliveries >= self.properties.max_delivery_count:
            self._move_to_dead_letters(
                letter,
                "MaxDeliveryCountExceeded",
                f"Message could not be consumed after {self.properties.max_delivery_count} delivery attempts.",
            )
        else:
            self._queue(letter, first=True)

    def _end_session(self, session: str, *, counts: bool) -> None:
        del self._sessions[session]
        locked = [letter for letter in self._locked.values() if letter.message.session_id == session]
        for letter in sorted(locked, key=lambda letter: letter.sequence, reverse=True):
            assert letter.lock is not None
            self._requeue(self._unlock(letter.lock), counts=counts)
        if session in self._ready:
            self._ready.move_to_end(session)

    def _move_to_dead_letters(self, letter: Letter, reason: str, description: str) -> None:
        if self.dead is None:
            self._queue(letter, first=True)
            return
        del self._letters[letter.sequence]
        letter.reason = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        letter.source, letter.state, letter.expires_at = self.name, State.ACTIVE, None
        letter.sequence = next(self.dead._sequences)
        self.dead._letters[letter.sequence] = letter
        self.dead._queue(letter)

    def _waiting_for_time(self) -> Iterator[Letter]:
        return (
            letter
            for letter in self._letters.values()
            if letter.state is State.SCHEDULED or letter.expires_at is not None
        )

    def _expire(self, letter: Letter) -> None:
        key = letter.message.session_id if self.sessionful else None
        if letter in self._ready.get(key, ()):
            self._ready[key].remove(letter)
            if not self._ready[key]:
                del self._ready[key]
        if self.properties.dead_lettering_on_message_expiration and self.dead:
            self._move_to_dead_letters(letter, "TTLExpiredException", "The message expired and was dead lettered.")
        else:
            del self._letters[letter.sequence]
