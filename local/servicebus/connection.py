"""One client's connection: SASL, frames, sessions and links, between the socket and the broker."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from local.servicebus.broker import LARGEST_MESSAGE, BrokerError, Letter, Queue
from local.servicebus.clock import Clock
from local.servicebus.codec import Described, ProtocolError, Symbol, decode, frame, long, ubyte, uint, ulong, ushort
from local.servicebus.links import (
    ACCEPTED,
    CBS,
    MANAGEMENT,
    REJECTED,
    SESSION_FILTER,
    Attach,
    ReceivingClient,
    SendingClient,
    find_queue,
    settle,
)
from local.servicebus.management import Management, answer_cbs
from local.servicebus.message import parse_messages, read_value

_LOG = logging.getLogger(__name__)

_SASL_HEADER, _AMQP_HEADER = b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x01\x00\x00"
_OPEN, _BEGIN, _ATTACH, _FLOW, _TRANSFER, _DISPOSITION, _DETACH, _END, _CLOSE = range(0x10, 0x19)
_SASL_MECHANISMS, _SASL_INIT, _SASL_OUTCOME = 0x40, 0x41, 0x44
_MAX_FRAME = 65_536
_WINDOW = 2**31 - 1
_CREDIT = 1000
_NEXT_SESSION_WAIT = 60.0
_TICKS_1970 = 621_355_968_000_000_000


@dataclass(eq=False, slots=True)
class _Session:
    """An AMQP session: its links by the client's handle, and deliveries to the client that are not settled yet."""

    channel: int
    links: dict[int, SendingClient | ReceivingClient] = field(default_factory=dict)
    next_outgoing: int = 0
    next_incoming: int = 0
    unsettled: dict[int, tuple[Queue, UUID]] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _Waiting:
    """An attach for the next session, not answered until there is one."""

    session: _Session
    attach: Attach
    queue: Queue
    until: float


class Connection:
    """`wake` is called when a queue may have something to deliver; the server then pumps every connection."""

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        queues: dict[str, Queue],
        clock: Clock,
        wake: Callable[[], None],
        owner_of_link: Callable[[str], ReceivingClient | None],
    ) -> None:
        self._reader, self._writer = streams
        self._queues = queues
        self._clock = clock
        self._wake = wake
        self._owner_of_link = owner_of_link
        self._sessions: dict[int, _Session] = {}
        self._waiting: list[_Waiting] = []
        self._peer_max_frame = _MAX_FRAME

    async def serve(self) -> None:
        """Serve until the client disconnects. Its locks stay until they expire: a killed worker cannot release them."""
        try:
            while True:
                head = await self._reader.readexactly(8)
                if head in (_SASL_HEADER, _AMQP_HEADER):
                    self._writer.write(head)
                    if head == _SASL_HEADER:
                        self._send(0, _SASL_MECHANISMS, [[Symbol("ANONYMOUS"), Symbol("MSSBCBS")]], kind=1)
                    continue
                size, offset, _, channel = struct.unpack(">IBBH", head)
                if not 8 <= size <= 16 * _MAX_FRAME:
                    raise ProtocolError(f"frame of {size} bytes")
                body = await self._reader.readexactly(size - 8)
                if body and not self._handle(channel, body[offset * 4 - 8 :]):
                    break
                await self._writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except ProtocolError as error:
            _LOG.warning("connection closed: %s", error)
        finally:
            self._waiting.clear()
            self._sessions.clear()
            self._writer.close()

    def link_named(self, name: str) -> ReceivingClient | None:
        links = (link for session in self._sessions.values() for link in session.links.values())
        return next((link for link in links if isinstance(link, ReceivingClient) and link.name == name), None)

    def pump(self) -> None:
        """Deliver what can be delivered, and answer waiting attaches that have a session now or have timed out."""
        now = self._clock.now()
        for waiting in list(self._waiting):
            session_id = waiting.queue.accept_session(None, waiting.attach, now)
            if session_id is not None:
                self._waiting.remove(waiting)
                self._attach_receiver(waiting.session, waiting.attach, waiting.queue, session_id)
            elif now >= waiting.until:
                self._waiting.remove(waiting)
                error = BrokerError("com.microsoft:timeout", "No session became available in time.")
                self._refuse(waiting.session, waiting.attach, error)
        for session in self._sessions.values():
            for link in session.links.values():
                if isinstance(link, ReceivingClient):
                    self._deliver(session, link)

    # --- frames in

    def _handle(self, channel: int, body: bytes) -> bool:
        """Returns False if the connection must end."""
        performative, end = decode(body)
        fields = performative.value
        match performative.code:
            case 0x41:
                self._send(0, _SASL_OUTCOME, [ubyte(0), None], kind=1)
            case 0x10:
                self._peer_max_frame = min(fields[2] or _MAX_FRAME, _MAX_FRAME) if len(fields) > 2 else _MAX_FRAME
                limits = [uint(_MAX_FRAME), ushort(65_535)]
                answer: list[Any] = ["local-servicebus", None, *limits, None, None, None, None, None, {}]
                self._send(0, _OPEN, answer)
            case 0x11:
                self._sessions[channel] = _Session(channel, next_incoming=fields[1])
                answer = [ushort(channel), uint(0), uint(_WINDOW), uint(_WINDOW), uint(65_535), None, None, None]
                self._send(channel, _BEGIN, answer)
            case 0x17:
                self._sessions.pop(channel, None)
                self._send(channel, _END, [None])
            case 0x18:
                self._send(0, _CLOSE, [None])
                return False
            case code:
                # Frames of a session that has ended are ignored.
                if session := self._sessions.get(channel):
                    self._handle_in_session(session, code, fields, body[end:])
        return True

    def _handle_in_session(self, session: _Session, code: int, fields: list[Any], payload: bytes) -> None:
        match code:
            case 0x12:
                self._attach(session, Attach(fields + [None] * (14 - len(fields))))
            case 0x13:
                self._flow(session, fields)
            case 0x14:
                self._transfer(session, fields, payload)
            case 0x15:
                self._disposition(session, fields)
            case 0x16:
                self._detach(session, fields)
            case _:
                raise ProtocolError(f"unknown performative {code:#x}")
        self._wake()

    # --- links come and go

    def _attach(self, session: _Session, attach: Attach) -> None:
        address = attach.address
        try:
            queue = None if address == CBS else find_queue(self._queues, address)
            if not attach.client_receives:
                link = SendingClient(attach, attach.handle, address, queue)
                session.links[attach.handle] = link
                self._answer_attach(session, attach, (attach.fields[5], attach.fields[6]), {})
                self._send_flow(session, link.handle, link.received, _CREDIT)
            elif queue is None or address.lower().endswith(MANAGEMENT):
                session.links[attach.handle] = ReceivingClient(attach, attach.handle, address, None)
                self._answer_attach(session, attach, (attach.fields[5], attach.fields[6]), {})
            else:
                self._attach_to_queue(session, attach, queue)
        except BrokerError as error:
            self._refuse(session, attach, error)

    def _attach_to_queue(self, session: _Session, attach: Attach, queue: Queue) -> None:
        asks_for_session, wanted = attach.session_filter
        if queue.sessionful and not asks_for_session:
            raise BrokerError(
                "amqp:not-allowed",
                "It is not possible for an entity that requires sessions to create a non-sessionful message receiver.",
            )
        if not asks_for_session:
            self._attach_receiver(session, attach, queue, None)
            return
        session_id = queue.accept_session(wanted, attach, self._clock.now())
        if session_id is None:
            until = self._clock.now() + (attach.timeout or _NEXT_SESSION_WAIT)
            self._waiting.append(_Waiting(session, attach, queue, until))
        else:
            self._attach_receiver(session, attach, queue, session_id)

    def _attach_receiver(self, session: _Session, attach: Attach, queue: Queue, session_id: str | None) -> None:
        link = ReceivingClient(attach, attach.handle, attach.address, queue, session_id)
        session.links[attach.handle] = link
        source, properties = attach.fields[5], {}
        if session_id is not None:
            queue.hand_over(session_id, attach, link)
            until = queue.session_locked_until(session_id, link)
            properties[Symbol("com.microsoft:locked-until-utc")] = long(int(until * 10_000_000) + _TICKS_1970)
            echoed = (source.value + [None] * 11)[:11]
            echoed[7] = {SESSION_FILTER: session_id}
            source = Described(source.code, echoed)
        self._answer_attach(session, attach, (source, attach.fields[6]), properties)

    def _answer_attach(
        self, session: _Session, attach: Attach, ends: tuple[Any, Any], properties: dict[Symbol, Any]
    ) -> None:
        """`ends` are source and target."""
        name, handle, receives, sender_settles, receiver_settles = attach.fields[:5]
        head = [name, uint(handle), not receives, ubyte(sender_settles or 0), ubyte(receiver_settles or 0)]
        first_delivery = uint(0) if receives else None
        properties = {Symbol("com.microsoft:max-message-batch-size"): ulong(LARGEST_MESSAGE), **properties}
        rest = [*ends, None, None, first_delivery, ulong(LARGEST_MESSAGE), None, None, properties]
        self._send(session.channel, _ATTACH, head + rest)

    def _refuse(self, session: _Session, attach: Attach, error: BrokerError) -> None:
        """Answer with an attach without the requested end, then with a detach that has the error."""
        source, target = attach.fields[5:7]
        ends = (None, target) if attach.client_receives else (source, None)
        self._answer_attach(session, attach, ends, {})
        self._send(session.channel, _DETACH, [uint(attach.handle), True, _error(error)])

    def _detach(self, session: _Session, fields: list[Any]) -> None:
        handle = fields[0]
        self._waiting = [one for one in self._waiting if one.session is not session or one.attach.handle != handle]
        link = session.links.pop(handle, None)
        if link is None:
            return
        if isinstance(link, ReceivingClient) and link.queue and link.session is not None:
            link.queue.close_session(link.session, link)
        self._send(session.channel, _DETACH, [uint(handle), bool(len(fields) > 1 and fields[1]), None])

    # --- messages in

    def _flow(self, session: _Session, fields: list[Any]) -> None:
        handle = fields[4] if len(fields) > 4 else None
        link = session.links.get(handle) if handle is not None else None
        if isinstance(link, ReceivingClient):
            link.credit = (fields[5] or 0) + (fields[6] or 0) - link.delivered
            link.drain = bool(len(fields) > 8 and fields[8])

    def _send_flow(self, session: _Session, handle: int, count: int, credit: int, *, drain: bool = False) -> None:
        window = [uint(session.next_incoming), uint(_WINDOW), uint(session.next_outgoing), uint(_WINDOW)]
        grant = [uint(handle), uint(count), uint(credit), None, drain, False, None]
        self._send(session.channel, _FLOW, window + grant)

    def _transfer(self, session: _Session, fields: list[Any], payload: bytes) -> None:
        session.next_incoming += 1
        link = session.links.get(fields[0])
        if not isinstance(link, SendingClient):
            raise ProtocolError("a transfer on a link that accepts none")
        if not link.payload:
            link.first = fields
        link.payload += payload
        if len(fields) > 5 and fields[5]:
            return
        whole, first = bytes(link.payload), link.first
        link.payload.clear()
        link.received += 1
        state = self._take(session, link, whole, first[3] or 0)
        if not first[4]:
            delivery = uint(first[1])
            self._send(session.channel, _DISPOSITION, [True, delivery, delivery, True, state, False])
        if link.received % (_CREDIT // 2) == 0:
            self._send_flow(session, link.handle, link.received, _CREDIT)

    def _take(self, session: _Session, link: SendingClient, payload: bytes, message_format: int) -> Described:
        try:
            if link.queue is None:
                self._reply(session, link.address, answer_cbs(read_value(payload)[0]))
            elif link.address.lower().endswith(MANAGEMENT):
                management = Management(link.queue, self._owner_of_link, self._clock.now())
                self._reply(session, link.address, management.answer(*read_value(payload)))
            else:
                for message in parse_messages(payload, message_format):
                    link.queue.send(message, self._clock.now())
        except BrokerError as error:
            return Described(REJECTED, [_error(error)])
        return Described(ACCEPTED, [])

    def _reply(self, session: _Session, address: str, answer: bytes) -> None:
        for link in session.links.values():
            if isinstance(link, ReceivingClient) and link.queue is None and link.address == address:
                link.answers.append(answer)
                return

    # --- messages out

    def _deliver(self, session: _Session, link: ReceivingClient) -> None:
        while link.credit > 0:
            if link.queue is None:
                if not link.answers:
                    return
                self._send_transfer(session, link, link.answers.popleft(), b"answer", settled=True)
                continue
            delete = link.attach.receive_and_delete
            if link.session is not None and link.queue.session_owner(link.session) is not link:
                return
            letter = link.queue.receive(link.session, self._clock.now(), delete=delete)
            if letter is None:
                break
            self._send_letter(session, link, letter, settled=delete)
        if link.drain and link.credit > 0:
            link.delivered += link.credit
            link.credit, link.drain = 0, False
            self._send_flow(session, link.handle, link.delivered, 0, drain=True)

    def _send_letter(self, session: _Session, link: ReceivingClient, letter: Letter, *, settled: bool) -> None:
        tag = letter.lock.bytes_le if letter.lock else UUID(int=letter.sequence).bytes_le
        if letter.lock and link.queue:
            session.unsettled[session.next_outgoing] = (link.queue, letter.lock)
        self._send_transfer(session, link, letter.encoded(), tag, settled=settled)

    def _send_transfer(
        self, session: _Session, link: ReceivingClient, payload: bytes, tag: bytes, *, settled: bool
    ) -> None:
        delivery = uint(session.next_outgoing)
        session.next_outgoing += 1
        link.credit -= 1
        link.delivered += 1
        room = self._peer_max_frame - 512
        for at in range(0, len(payload), room):
            more = at + room < len(payload)
            fields = [uint(link.handle), delivery, tag, uint(0), settled, more, None, None, False, False, False]
            self._send(session.channel, _TRANSFER, fields, payload[at : at + room])

    def _disposition(self, session: _Session, fields: list[Any]) -> None:
        first, last = fields[1], fields[2] if len(fields) > 2 and fields[2] is not None else fields[1]
        state = fields[4] if len(fields) > 4 else None
        for delivery in range(first, last + 1):
            locked = session.unsettled.pop(delivery, None)
            if not locked:
                continue
            answer = Described(state.code, [] if state.code != REJECTED else [None]) if state else None
            try:
                settle(*locked, state)
            except BrokerError as error:
                answer = Described(REJECTED, [_error(error)])
            self._send(session.channel, _DISPOSITION, [False, uint(delivery), uint(delivery), True, answer, False])

    def _send(self, channel: int, code: int, fields: list[Any], payload: bytes = b"", kind: int = 0) -> None:
        self._writer.write(frame(channel, Described(code, fields), payload, kind))


def _error(error: BrokerError) -> Described:
    return Described(0x1D, [Symbol(error.condition), error.description, None])
