"""Requests other than messages: `$cbs` accepts any token, `$management` renews, peeks, schedules, settles, lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from local.servicebus.broker import BrokerError, Letter, Queue
from local.servicebus.codec import Array, Described, Long, ProtocolError, Symbol, Timestamp, encode
from local.servicebus.message import (
    APPLICATION_PROPERTIES,
    PROPERTIES,
    VALUE,
    BareMessage,
    Request,
    parse_messages,
)

_Answer = dict[str, Any] | None


def answer_cbs(request: Request) -> bytes:
    """Accepts every token: the client always sends one, and on one machine there is nothing to check."""
    return _reply(request, {"status-code": 202, "status-description": "Accepted"}, None)


class Management:
    """One queue's `$management`. `owner_of_link` finds the receiving link that a request names, on any connection."""

    def __init__(self, queue: Queue, owner_of_link: Callable[[str], Any], now: float) -> None:
        self._queue = queue
        self._owner_of_link = owner_of_link
        self._now = now

    def answer(self, request: Request) -> bytes:
        """The encoded reply to one request. One that cannot be read is answered with an error too."""
        operation = str(request.application.get("operation", "")).removeprefix("com.microsoft:")
        operations: dict[str, Callable[[dict[str, Any], Mapping[str, Any]], _Answer]] = {
            "renew-lock": self._renew_lock,
            "renew-session-lock": self._renew_session_lock,
            "peek-message": self._peek,
            "schedule-message": self._schedule,
            "cancel-scheduled-message": self._cancel,
            "receive-by-sequence-number": self._receive_deferred,
            "update-disposition": self._update_disposition,
            "get-session-state": self._get_session_state,
            "set-session-state": self._set_session_state,
            "get-message-sessions": self._list_sessions,
        }
        try:
            if operation not in operations:
                raise BrokerError("amqp:not-implemented", f"Operation {operation or '(none)'} is not supported here.")
            body = {str(key): value for key, value in (request.body or {}).items()}
            answer = operations[operation](body, request.application)
        except BrokerError as error:
            return _refusal(request, error)
        except (LookupError, TypeError, ValueError, AttributeError, ProtocolError) as error:
            text = f"The request {operation} cannot be read ({type(error).__name__})."
            return _refusal(request, BrokerError("com.microsoft:argument-error", text))
        if answer is None:
            return _reply(request, {"statusCode": 204, "statusDescription": "No content"}, None)
        return _reply(request, {"statusCode": 200, "statusDescription": "OK"}, answer)

    def _renew_lock(self, request: dict[str, Any], _: Mapping[str, Any]) -> _Answer:
        tokens = _uuids(request["lock-tokens"])
        return {"expirations": Array(Timestamp(int(self._queue.renew(token, self._now) * 1000)) for token in tokens)}

    def _renew_session_lock(self, request: dict[str, Any], application: Mapping[str, Any]) -> _Answer:
        session = request["session-id"]
        until = self._queue.renew_session(session, self._holder(session, application), self._now)
        return {"expiration": Timestamp(int(until * 1000))}

    def _peek(self, request: dict[str, Any], _: Mapping[str, Any]) -> _Answer:
        letters = self._queue.peek(request["from-sequence-number"], request["message-count"], request.get("session-id"))
        return {"messages": [{"message": letter.encoded()} for letter in letters]} if letters else None

    def _schedule(self, request: dict[str, Any], _: Mapping[str, Any]) -> _Answer:
        messages: list[BareMessage] = [
            message for entry in request["messages"] for message in parse_messages(entry["message"], 0)
        ]
        return {"sequence-numbers": Array(Long(self._queue.send(message, self._now)) for message in messages)}

    def _cancel(self, request: dict[str, Any], _: Mapping[str, Any]) -> _Answer:
        for sequence in request["sequence-numbers"]:
            self._queue.cancel(sequence)
        return {}

    def _receive_deferred(self, request: dict[str, Any], _: Mapping[str, Any]) -> _Answer:
        letters: list[Letter] = [
            self._queue.receive_deferred(sequence, self._now) for sequence in request["sequence-numbers"]
        ]
        return {"messages": [{"lock-token": letter.lock, "message": letter.encoded()} for letter in letters]}

    def _update_disposition(self, request: dict[str, Any], _: Mapping[str, Any]) -> _Answer:
        changed = {str(key): value for key, value in (request.get("properties-to-modify") or {}).items()}
        for token in _uuids(request["lock-tokens"]):
            match request["disposition-status"]:
                case "completed":
                    self._queue.complete(token)
                case "abandoned":
                    self._queue.abandon(token, changed)
                case "defered":
                    self._queue.defer(token, changed)
                case "suspended":
                    self._queue.dead_letter(
                        token,
                        request.get("deadletter-reason") or "",
                        request.get("deadletter-description") or "",
                        changed,
                    )
                case other:
                    raise BrokerError("com.microsoft:argument-error", f"Unknown disposition {other}.")
        return {}

    def _get_session_state(self, request: dict[str, Any], application: Mapping[str, Any]) -> _Answer:
        self._holder(request["session-id"], application)
        return {"session-state": self._queue.session_states.get(request["session-id"])}

    def _set_session_state(self, request: dict[str, Any], application: Mapping[str, Any]) -> _Answer:
        session, state = request["session-id"], request["session-state"]
        self._holder(session, application)
        if state is None:
            self._queue.session_states.pop(session, None)
        else:
            self._queue.session_states[session] = state
        return {}

    def _list_sessions(self, request: dict[str, Any], _: Mapping[str, Any]) -> _Answer:
        skip, top = request.get("skip") or 0, request.get("top") or 100
        sessions = self._queue.sessions()[skip : skip + top]
        return {"sessions-ids": Array(sessions), "skip": skip + len(sessions)} if sessions else None

    def _holder(self, session: str, application: Mapping[str, Any]) -> Any:
        """The requesting link, which must hold the session: a worker that lost it must not renew another's lock."""
        name = application.get("associated-link-name")
        owner = self._owner_of_link(name) if name else self._queue.session_owner(session)
        self._queue.session_locked_until(session, owner)
        return owner


def _uuids(tokens: Iterable[Any]) -> list[UUID]:
    return [token if isinstance(token, UUID) else UUID(str(token)) for token in tokens]


def _refusal(request: Request, error: BrokerError) -> bytes:
    status = 410 if error.condition.endswith("lock-lost") else 404 if "not-found" in error.condition else 400
    answer = {"statusCode": status, "statusDescription": error.description, "errorCondition": Symbol(error.condition)}
    return _reply(request, answer, None)


def _reply(request: Request, application: dict[str, Any], value: Any) -> bytes:
    properties = [None, None, None, None, None, request.message_id, None, None, None, None, None, None, None]
    return b"".join(
        (
            encode(Described(PROPERTIES, properties)),
            encode(Described(APPLICATION_PROPERTIES, application)),
            encode(Described(VALUE, value)),
        )
    )
