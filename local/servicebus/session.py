"""An AMQP session of a connection: its links, and the messages and settlements that pass over them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from local.servicebus.broker import LARGEST_MESSAGE, BrokerError, Letter, Queue
from local.servicebus.codec import Described, Long, ProtocolError, Symbol, UByte, UInt, ULong, UShort
from local.servicebus.links import (
    CBS,
    MANAGEMENT,
    SESSION_FILTER,
    Attach,
    ReceivingClient,
    SendingClient,
    find_queue,
    settle,
)
from local.servicebus.management import Management, answer_cbs
from local.servicebus.message import parse_messages, parse_request
from local.servicebus.performatives import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    DETACH,
    DISPOSITION,
    FLOW,
    REJECTED,
    TRANSFER,
    AttachFields,
    Begin,
    Detach,
    Disposition,
    Flow,
    Transfer,
    code_of,
    error,
)

_WINDOW = 2**31 - 1
_SERIALS = 2**32
_LAST_HANDLE = 65_535
_CREDIT = 1000
_NEXT_SESSION_WAIT = 60.0
_TICKS_1970 = 621_355_968_000_000_000
# A batch of the largest size, and what its messages are wrapped in.
_LARGEST_DELIVERY = 2 * LARGEST_MESSAGE
_ROOM_FOR_TRANSFER = 128


@dataclass(frozen=True, slots=True)
class Shared:
    """What connections share. `wake` is called when a queue may have something to deliver."""

    queues: dict[str, Queue]
    now: Callable[[], float]
    wake: Callable[[], None]
    owner_of_link: Callable[[str], ReceivingClient | None]


class Send(Protocol):
    """Sends one frame on the session's channel."""

    def __call__(self, code: int, fields: list[Any], payload: bytes = b"") -> None: ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An attach for the next session, not answered until there is one."""

    attach: Attach
    queue: Queue
    until: float


class Session:
    """Links by the client's handle, and deliveries to the client that are not settled yet.

    What the client does wrong on a link is answered on the link; anything worse raises ProtocolError.
    """

    def __init__(self, channel: int, begin: Begin, max_frame: int, shared: Shared, send: Send) -> None:
        self._shared = shared
        self._send = send
        self._room = max_frame - _ROOM_FOR_TRANSFER
        self._links: dict[int, SendingClient | ReceivingClient] = {}
        self._waiting: list[_Waiting] = []
        self._unsettled: dict[int, tuple[Queue, UUID]] = {}
        self._outgoing: deque[tuple[ReceivingClient, list[Any], bytes]] = deque()
        self._window = begin.incoming_window
        self._next_incoming = begin.next_outgoing_id
        self._next_transfer = self._next_delivery = 0
        send(BEGIN, [UShort(channel), UInt(0), UInt(_WINDOW), UInt(_WINDOW), UInt(_LAST_HANDLE), None, None, None])

    def link_named(self, name: str) -> ReceivingClient | None:
        links = (link for link in self._links.values() if isinstance(link, ReceivingClient))
        return next((link for link in links if link.name == name), None)

    def handle(self, code: int, values: Any, payload: bytes) -> None:
        """Do what one performative of the client says. Raises ProtocolError."""
        match code:
            case 0x12:
                self._attach(Attach(AttachFields.read(values)))
            case 0x13:
                self._flow(Flow.read(values))
            case 0x14:
                self._transfer(Transfer.read(values), payload)
            case 0x15:
                self._disposition(Disposition.read(values))
            case 0x16:
                self._detach(Detach.read(values))
            case _:
                raise ProtocolError(f"unknown performative {code}", "amqp:not-implemented")
        self._shared.wake()

    def pump(self) -> None:
        """Deliver what can be delivered, and answer waiting attaches that have a session now or have timed out."""
        now = self._shared.now()
        for waiting in list(self._waiting):
            session_id = waiting.queue.accept_session(None, waiting.attach, now)
            if session_id is not None:
                self._waiting.remove(waiting)
                self._attach_receiver(waiting.attach, waiting.queue, session_id)
            elif now >= waiting.until:
                self._waiting.remove(waiting)
                timeout = BrokerError("com.microsoft:timeout", "No session became available in time.")
                self._refuse(waiting.attach, timeout)
        for link in self._links.values():
            if isinstance(link, ReceivingClient):
                self._deliver(link)

    # --- links come and go

    def _attach(self, attach: Attach) -> None:
        if attach.handle in self._links or any(one.attach.handle == attach.handle for one in self._waiting):
            raise ProtocolError(f"handle {attach.handle} is in use", "amqp:session:handle-in-use")
        if attach.handle > _LAST_HANDLE:
            raise ProtocolError(f"handle {attach.handle} is too large", "amqp:connection:framing-error")
        try:
            address = attach.address
            queue = None if address == CBS else find_queue(self._shared.queues, address)
            if not attach.client_receives:
                link = SendingClient(attach, address, queue)
                self._links[attach.handle] = link
                self._answer_attach(attach, (attach.fields.source, attach.fields.target), {})
                self._send_flow(link.handle, link.received, _CREDIT)
            elif queue is None or address.lower().endswith(MANAGEMENT):
                self._links[attach.handle] = ReceivingClient(attach, address, None)
                self._answer_attach(attach, (attach.fields.source, attach.fields.target), {})
            else:
                self._attach_to_queue(attach, queue)
        except BrokerError as refusal:
            self._refuse(attach, refusal)

    def _attach_to_queue(self, attach: Attach, queue: Queue) -> None:
        asks_for_session, wanted = attach.session_filter
        if queue.sessionful and not asks_for_session:
            raise BrokerError(
                "amqp:not-allowed",
                "It is not possible for an entity that requires sessions to create a non-sessionful message receiver.",
            )
        if not asks_for_session:
            self._attach_receiver(attach, queue, None)
            return
        session_id = queue.accept_session(wanted, attach, self._shared.now())
        if session_id is None:
            until = self._shared.now() + (attach.timeout or _NEXT_SESSION_WAIT)
            self._waiting.append(_Waiting(attach, queue, until))
        else:
            self._attach_receiver(attach, queue, session_id)

    def _attach_receiver(self, attach: Attach, queue: Queue, session_id: str | None) -> None:
        link = ReceivingClient(attach, attach.address, queue, session_id)
        self._links[attach.handle] = link
        source = attach.fields.source
        properties: dict[Symbol, Any] = {}
        if session_id is not None and source is not None:
            queue.hand_over(session_id, attach, link)
            until = queue.session_locked_until(session_id, link)
            properties[Symbol("com.microsoft:locked-until-utc")] = Long(int(until * 10_000_000) + _TICKS_1970)
            echoed = (source.value + [None] * 11)[:11]
            echoed[7] = {SESSION_FILTER: session_id}
            source = Described(source.descriptor, echoed)
        self._answer_attach(attach, (source, attach.fields.target), properties)

    def _answer_attach(self, attach: Attach, ends: tuple[Any, Any], properties: dict[Symbol, Any]) -> None:
        """`ends` are source and target."""
        fields = attach.fields
        modes = [UByte(fields.snd_settle_mode), UByte(fields.rcv_settle_mode)]
        first_delivery = UInt(0) if attach.client_receives else None
        properties = {Symbol("com.microsoft:max-message-batch-size"): ULong(LARGEST_MESSAGE), **properties}
        rest = [*ends, None, None, first_delivery, ULong(LARGEST_MESSAGE), None, None, properties]
        self._send(ATTACH, [fields.name, UInt(fields.handle), not attach.client_receives, *modes, *rest])

    def _refuse(self, attach: Attach, refusal: BrokerError) -> None:
        """Answer with an attach without the requested end, then with a detach that has the error."""
        source, target = attach.fields.source, attach.fields.target
        ends = (None, target) if attach.client_receives else (source, None)
        self._answer_attach(attach, ends, {})
        self._close_link(attach.handle, refusal)

    def _close_link(self, handle: int, refusal: BrokerError) -> None:
        self._links.pop(handle, None)
        self._send(DETACH, [UInt(handle), True, error(refusal.condition, refusal.description)])

    def _detach(self, detach: Detach) -> None:
        self._waiting = [one for one in self._waiting if one.attach.handle != detach.handle]
        link = self._links.pop(detach.handle, None)
        if link is None:
            return
        if isinstance(link, ReceivingClient):
            self._outgoing = deque(one for one in self._outgoing if one[0] is not link)
            if link.queue and link.session is not None:
                link.queue.close_session(link.session, link)
        self._send(DETACH, [UInt(detach.handle), detach.closed, None])

    # --- messages in

    def _flow(self, flow: Flow) -> None:
        used = (self._next_transfer - (flow.next_incoming_id or 0)) % _SERIALS
        self._window = flow.incoming_window - used
        self._send_waiting_transfers()
        link = None if flow.handle is None else self._links.get(flow.handle)
        if isinstance(link, ReceivingClient):
            credit = ((flow.delivery_count or 0) + flow.link_credit - link.delivered) % _SERIALS
            link.credit = credit if credit < _SERIALS // 2 else 0
            link.drain = flow.drain
        if not flow.echo:
            return
        if link is None:
            self._send(FLOW, [*self._windows(), None, None, None, None, False, False, None])
        elif isinstance(link, ReceivingClient):
            self._send_flow(link.handle, link.delivered, link.credit)
        else:
            self._send_flow(link.handle, link.received, _CREDIT)

    def _windows(self) -> list[Any]:
        return [UInt(self._next_incoming), UInt(_WINDOW), UInt(self._next_transfer), UInt(_WINDOW)]

    def _send_flow(self, handle: int, count: int, credit: int, *, drain: bool = False) -> None:
        self._send(FLOW, [*self._windows(), UInt(handle), UInt(count), UInt(credit), None, drain, False, None])

    def _transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming = (self._next_incoming + 1) % _SERIALS
        link = self._links.get(transfer.handle)
        if not isinstance(link, SendingClient):
            raise ProtocolError("a transfer on a link that accepts none", "amqp:session:unattached-handle")
        first = link.first = link.first or transfer
        if first.delivery_id is None or transfer.delivery_id not in (None, first.delivery_id):
            raise ProtocolError("a transfer without the id of its delivery", "amqp:invalid-field")
        link.payload += payload
        if len(link.payload) > _LARGEST_DELIVERY:
            self._close_link(link.handle, BrokerError("amqp:link:message-size-exceeded", "The delivery is too large."))
            return
        if transfer.more and not transfer.aborted:
            return
        whole = bytes(link.payload)
        link.payload.clear()
        link.first = None
        link.received += 1
        if not transfer.aborted:
            state = self._take(link, whole, first.message_format)
            if not (first.settled or transfer.settled):
                delivery = UInt(first.delivery_id)
                self._send(DISPOSITION, [True, delivery, delivery, True, state, False])
        if link.received % (_CREDIT // 2) == 0:
            self._send_flow(link.handle, link.received, _CREDIT)

    def _take(self, link: SendingClient, payload: bytes, message_format: int) -> Described:
        try:
            if link.queue is None:
                request = parse_request(payload)
                self._reply(link.address, request.reply_to, answer_cbs(request))
            elif link.address.lower().endswith(MANAGEMENT):
                request = parse_request(payload)
                management = Management(link.queue, self._shared.owner_of_link, self._shared.now())
                self._reply(link.address, request.reply_to, management.answer(request))
            else:
                for message in parse_messages(payload, message_format):
                    link.queue.send(message, self._shared.now())
        except BrokerError as refusal:
            return Described(REJECTED, [error(refusal.condition, refusal.description)])
        except ProtocolError as refusal:
            return Described(REJECTED, [error(refusal.condition, str(refusal))])
        return Described(ACCEPTED, [])

    def _reply(self, address: str, reply_to: str, answer: bytes) -> None:
        links = [
            link
            for link in self._links.values()
            if isinstance(link, ReceivingClient) and link.queue is None and link.address == address
        ]
        named = [link for link in links if link.attach.reply_address == reply_to]
        for link in (named or links)[:1]:
            link.answers.append(answer)

    # --- messages out

    def _deliver(self, link: ReceivingClient) -> None:
        while link.credit > 0 and not self._outgoing and self._deliver_next(link):
            continue
        if link.drain and link.credit > 0 and not self._outgoing:
            link.delivered = (link.delivered + link.credit) % _SERIALS
            link.credit, link.drain = 0, False
            self._send_flow(link.handle, link.delivered, 0, drain=True)

    def _deliver_next(self, link: ReceivingClient) -> bool:
        """Deliver the next message or answer. False if there is none."""
        if link.queue is None:
            if link.answers:
                self._send_delivery(link, link.answers.popleft(), b"answer", settled=True)
                return True
            return False
        if link.session is not None and link.queue.session_owner(link.session) is not link:
            return False
        delete = link.attach.receive_and_delete
        letter = link.queue.receive(link.session, self._shared.now(), delete=delete)
        if letter is not None:
            self._send_letter(link, link.queue, letter, settled=delete)
        return letter is not None

    def _send_letter(self, link: ReceivingClient, queue: Queue, letter: Letter, *, settled: bool) -> None:
        tag = letter.lock.bytes_le if letter.lock else UUID(int=letter.sequence).bytes_le
        if letter.lock:
            self._unsettled[self._next_delivery] = (queue, letter.lock)
        self._send_delivery(link, letter.encoded(), tag, settled=settled)

    def _send_delivery(self, link: ReceivingClient, payload: bytes, tag: bytes, *, settled: bool) -> None:
        delivery = UInt(self._next_delivery)
        self._next_delivery = (self._next_delivery + 1) % _SERIALS
        link.credit -= 1
        link.delivered = (link.delivered + 1) % _SERIALS
        for at in range(0, len(payload), self._room):
            more = at + self._room < len(payload)
            fields = [UInt(link.handle), delivery, tag, UInt(0), settled, more, None, None, False, False, False]
            self._outgoing.append((link, fields, payload[at : at + self._room]))
        self._send_waiting_transfers()

    def _send_waiting_transfers(self) -> None:
        """Send what the client's incoming window has room for; the rest waits for its next flow."""
        while self._outgoing and self._window > 0:
            _, fields, payload = self._outgoing.popleft()
            self._window -= 1
            self._next_transfer = (self._next_transfer + 1) % _SERIALS
            self._send(TRANSFER, fields, payload)

    def _disposition(self, disposition: Disposition) -> None:
        if not disposition.by_receiver:
            return
        first, state = disposition.first, disposition.state
        last = first if disposition.last is None else disposition.last
        for delivery in [number for number in self._unsettled if first <= number <= last]:
            answer: Described | None = None
            if state is not None:
                answer = Described(state.descriptor, [None] if code_of(state) == REJECTED else [])
            try:
                settle(*self._unsettled.pop(delivery), state)
            except BrokerError as refusal:
                answer = Described(REJECTED, [error(refusal.condition, refusal.description)])
            if not disposition.settled:
                self._send(DISPOSITION, [False, UInt(delivery), UInt(delivery), True, answer, False])
