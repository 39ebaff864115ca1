"""The stand-in as an AMQP peer: windows, credit, settlement, defaults, and errors that stay on their own connection."""

from __future__ import annotations

import asyncio
import struct
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.servicebus.codec import Array, Described, Long, Symbol, Timestamp, UInt, decode
from local.servicebus.message import APPLICATION_PROPERTIES, DATA, PROPERTIES, VALUE, parse_messages
from local.servicebus.performatives import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    CLOSE,
    COORDINATOR,
    DETACH,
    DISPOSITION,
    END,
    FLOW,
    OPEN,
    REJECTED,
    SASL_INIT,
    SASL_MECHANISMS,
    SASL_OUTCOME,
    TRANSFER,
)
from tests.local.servicebus.peer import (
    NOW,
    Bus,
    Frame,
    attach,
    begin,
    condition,
    credit,
    message,
    opening,
    performative,
)

_TEXT = message((DATA, b"x"))


def _transfer(payload: bytes, *fields: Any, delivery: int = 0, handle: int = 0) -> bytes:
    return performative(TRANSFER, UInt(handle), UInt(delivery), b"tag", UInt(0), *fields, payload=payload)


def _of(frames: list[Frame], code: int | None) -> list[Frame]:
    return [frame for frame in frames if frame.code == code]


def _filled(bus: Bus, *payloads: bytes) -> Bus:
    for payload in payloads:
        (parsed,) = parse_messages(payload, 0)
        bus.queues["plain"].send(parsed, NOW)
    return bus


def _active(bus: Bus) -> int:
    return bus.queues["plain"].status()["active"]


# --- errors


async def _fed(data: bytes, before: bytes) -> None:
    bus = Bus()
    other = bus.connect()
    broken = bus.connect()
    await broken.feed(before, data)
    assert broken.writer.closed
    assert _of(await other.talk(opening(), attach("plain"), _transfer(_TEXT)), DISPOSITION)


_torn = st.binary(max_size=80)
_framed = st.builds(
    lambda body, kind, channel: struct.pack(">IBBH", len(body) + 8, 2, kind, channel) + body,
    st.binary(max_size=60),
    st.integers(0, 2),
    st.integers(0, 2),
)
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3).map(UInt), st.text(max_size=3), st.binary(max_size=3), st.just([])
)
_performatives = st.builds(
    lambda code, fields, payload, channel: performative(code, *fields, payload=payload, channel=channel),
    st.one_of(st.integers(OPEN, CLOSE), st.sampled_from(["amqp:flow:list", 7, None, True])),
    st.lists(st.one_of(_scalars, st.builds(Described, st.integers(0x23, 0x30), st.lists(_scalars, max_size=4)))),
    st.binary(max_size=20),
    st.integers(0, 1),
)


@given(
    st.sampled_from([b"", opening(), opening() + attach("plain") + attach("/plain/$management", 1)]),
    st.lists(st.one_of(_torn, _framed, _performatives), max_size=6).map(b"".join),
)
def test_whatever_a_client_sends_ends_its_own_connection_only(before: bytes, data: bytes) -> None:
    asyncio.run(_fed(data, before))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (struct.pack(">IBBH", 70_000, 2, 0, 0), "amqp:connection:framing-error"),
        (struct.pack(">IBBH", 8, 1, 0, 0), "amqp:connection:framing-error"),
        (struct.pack(">IBBHB", 9, 2, 0, 0, 0xFF), "amqp:decode-error"),
        (performative(OPEN, "again"), "amqp:not-allowed"),
        (begin(), "amqp:not-allowed"),
        (performative(ATTACH, "name"), "amqp:invalid-field"),
        (performative(ATTACH, "name", "0", True), "amqp:invalid-field"),
        (attach("plain") + attach("plain"), "amqp:session:handle-in-use"),
        (_transfer(_TEXT, handle=9), "amqp:session:unattached-handle"),
        (performative(0x99), "amqp:not-implemented"),
        (b"AMQP\x02\x01\x00\x00", "amqp:not-implemented"),
    ],
)
async def test_a_frame_against_the_rules_closes_the_connection_with_its_condition(sent: bytes, expected: str) -> None:
    assert condition(await Bus().connect().talk(opening(), sent)) == expected


async def test_a_failure_to_deliver_closes_the_connection_that_receives_and_no_other() -> None:
    bus = _filled(Bus(), _TEXT)
    (letter,) = bus.queues["plain"].peek(1, 1)
    letter.changed["unsendable"] = object()
    first, second = bus.connect(), bus.connect()
    assert condition(await first.talk(opening(), attach("plain", receives=True), credit(1))) == "amqp:decode-error"
    assert _of(await second.talk(opening(), attach("plain")), ATTACH)


@pytest.mark.parametrize(
    "payload", [b"\x00", message((PROPERTIES, {})), message((PROPERTIES, [None] * 10 + [5])), message((0x99, []))]
)
async def test_a_delivery_that_is_no_message_is_rejected(payload: bytes) -> None:
    frames = await Bus().connect().talk(opening(), attach("plain"), _transfer(payload))
    (disposition,) = _of(frames, DISPOSITION)
    assert disposition.fields[4].descriptor == REJECTED
    assert not _of(frames, CLOSE)


async def test_a_delivery_without_an_end_detaches_its_link() -> None:
    part = _transfer(b"x" * 60_000, False, True)
    frames = await Bus().connect().talk(opening(), attach("plain"), part * 9)
    (detach,) = _of(frames, DETACH)
    assert detach.fields[2].value[0] == "amqp:link:message-size-exceeded"


async def test_transactions_are_refused_on_the_link() -> None:
    ends = [Described(0x28, []), Described(COORDINATOR, [Array((Symbol("amqp:local-transactions"),))])]
    frames = await Bus().connect().talk(opening(), performative(ATTACH, "tx", UInt(0), False, None, None, *ends))
    (detach,) = _of(frames, DETACH)
    assert detach.fields[2].value[0] == "amqp:not-implemented"


# --- connections and sessions


async def test_the_mechanisms_are_an_array_and_an_unknown_one_is_refused() -> None:
    init = Described(SASL_INIT, [Symbol("PLAIN"), b"\0u\0p"])
    peer = Bus().connect()
    body = performative(SASL_INIT, *init.value)
    await peer.feed(b"AMQP\x03\x01\x00\x00", body[:5] + b"\x01" + body[6:])
    data = bytes(peer.writer.data).removeprefix(b"AMQP\x03\x01\x00\x00")
    mechanisms, end = decode(data, 8)
    outcome, _ = decode(data, end + 8)
    assert mechanisms == Described(SASL_MECHANISMS, [Array(("ANONYMOUS", "MSSBCBS"))])
    assert outcome == Described(SASL_OUTCOME, [1, None])


async def test_heartbeats_are_sent_within_half_the_idle_time_out() -> None:
    bus = Bus()
    peer = bus.connect()
    serving = asyncio.create_task(peer.connection.serve())
    peer.reader.feed_data(opening(idle_time_out=10_000))
    await asyncio.sleep(0)
    for second in (4.9, 5.0, 9.9, 10.0):
        bus.monotonic = second
        peer.connection.pump()
    peer.reader.feed_eof()
    await serving
    assert len(_of(peer.frames(), None)) == 2


async def test_performatives_may_be_described_by_symbols() -> None:
    frames = (
        await Bus()
        .connect()
        .talk(
            b"AMQP\x00\x01\x00\x00",
            performative(Symbol("amqp:open:list"), "peer"),  # type: ignore[arg-type]
            performative(Symbol("amqp:begin:list"), None, UInt(0), UInt(1), UInt(1)),  # type: ignore[arg-type]
            performative(END),
            performative(CLOSE),
        )
    )
    assert [frame.code for frame in frames] == [OPEN, BEGIN, END, CLOSE]


@pytest.mark.parametrize("address", ["plain", "/plain", "amqps://host/plain", "PLAIN", "/plain/$DeadLetterQueue"])
async def test_an_address_is_found_in_each_form(address: str) -> None:
    frames = await Bus().connect().talk(opening(), attach(address, receives=True))
    assert not _of(frames, DETACH)
    assert _of(frames, ATTACH)


async def test_settlement_modes_that_the_client_leaves_out_have_the_defaults() -> None:
    (attached,) = _of(await Bus().connect().talk(opening(), attach("plain")), ATTACH)
    assert attached.fields[3:5] == [2, 0]


# --- transfers


async def test_a_large_message_is_sent_in_frames_of_the_size_that_the_client_accepts() -> None:
    payload = message((DATA, b"x" * 2_000))
    peer = _filled(Bus(), payload).connect()
    frames = await peer.talk(opening(max_frame=512), attach("plain", receives=True), credit(1))
    transfers = _of(frames, TRANSFER)
    assert len(transfers) > 4
    assert all(len(frame.payload) + 128 <= 512 for frame in transfers)
    assert [frame.fields[5] for frame in transfers] == [True] * (len(transfers) - 1) + [False]
    assert b"".join(frame.payload for frame in transfers).endswith(payload)


async def test_no_transfer_exceeds_the_incoming_window_of_the_client() -> None:
    bus = _filled(Bus(), *[_TEXT] * 5)
    frames = await bus.connect().talk(opening(), attach("plain", receives=True), credit(5, window=2))
    assert len(_of(frames, TRANSFER)) == 2


async def test_drain_uses_up_the_credit_that_has_no_messages() -> None:
    bus = _filled(Bus(), _TEXT)
    frames = await bus.connect().talk(opening(), attach("plain", receives=True), credit(10, drain=True))
    assert len(_of(frames, TRANSFER)) == 1
    (flow,) = _of(frames, FLOW)
    assert (flow.fields[5], flow.fields[6], flow.fields[8]) == (10, 0, True)


async def test_drain_is_answered_on_a_link_for_answers_too() -> None:
    frames = await Bus().connect().talk(opening(), attach("$cbs", receives=True), credit(3, drain=True))
    (flow,) = _of(frames, FLOW)
    assert flow.fields[5:7] == [3, 0]


async def test_a_flow_with_echo_is_answered() -> None:
    frames = await Bus().connect().talk(opening(), attach("plain", receives=True), credit(3, echo=True))
    (flow,) = _of(frames, FLOW)
    assert flow.fields[6] == 3


async def test_an_aborted_delivery_is_forgotten_and_the_next_one_is_whole() -> None:
    bus = Bus()
    torn = _transfer(b"torn", False, True)
    aborted = performative(TRANSFER, UInt(0), None, None, None, None, True, None, None, None, True)
    frames = await bus.connect().talk(opening(), attach("plain"), torn, aborted, _transfer(_TEXT, delivery=1))
    (disposition,) = _of(frames, DISPOSITION)
    assert disposition.fields[1] == 1
    assert _active(bus) == 1


async def test_a_settled_transfer_is_not_answered() -> None:
    bus = Bus()
    frames = await bus.connect().talk(opening(), attach("plain"), _transfer(_TEXT, True))
    assert not _of(frames, DISPOSITION)
    assert _active(bus) == 1


@pytest.mark.parametrize("settled", [True, False])
async def test_a_range_of_deliveries_is_settled_at_once(settled: bool) -> None:
    bus = _filled(Bus(), *[_TEXT] * 3)
    peer = bus.connect()
    serving = asyncio.create_task(peer.connection.serve())
    peer.reader.feed_data(opening() + attach("plain", receives=True) + credit(3))
    for _ in range(5):
        await asyncio.sleep(0)
        peer.connection.pump()
    whole = [UInt(0), UInt(2**32 - 1), settled]
    # A disposition of the sender is about the client's own deliveries.
    peer.reader.feed_data(performative(DISPOSITION, False, *whole, Described(REJECTED, [])))
    peer.reader.feed_data(performative(DISPOSITION, True, *whole, Described(ACCEPTED, [])))
    peer.reader.feed_eof()
    await serving
    assert bus.queues["plain"].status()["completed"] == 3
    assert len(_of(peer.frames(), DISPOSITION)) == (0 if settled else 3)


async def test_values_of_a_clients_own_types_come_back_as_they_were() -> None:
    values = {
        "moment": Described(Symbol("com.microsoft:datetime-offset"), Long(638_000_000_000_000_000)),
        "link": Described(Symbol("com.microsoft:uri"), "https://example.org"),
        "number": UInt(5),
        "id": UUID(int=7),
    }
    payload = message((APPLICATION_PROPERTIES, values), (DATA, b"x"))
    sent = Bus()
    await sent.connect().talk(opening(), attach("plain"), _transfer(payload))
    frames = await sent.connect().talk(opening(), attach("plain", receives=True), credit(1))
    (transfer,) = _of(frames, TRANSFER)
    assert transfer.payload.endswith(payload)


async def _requested(bus: Bus, operation: str, body: object) -> tuple[int, Any]:
    """The status and the body of a management request's answer."""
    request = message(
        (PROPERTIES, ["id", None, None, None, "me"]), (APPLICATION_PROPERTIES, {"operation": operation}), (VALUE, body)
    )
    links = attach("plain/$management") + attach("plain/$management", 1, receives=True) + credit(1, 1)
    (answer,) = _of(await bus.connect().talk(opening(), links, _transfer(request)), TRANSFER)
    _, at = decode(answer.payload)
    application, at = decode(answer.payload, at)
    return application.value["statusCode"], decode(answer.payload, at)[0].value


async def test_sequence_numbers_and_expirations_are_arrays() -> None:
    bus = _filled(Bus(), _TEXT)
    letter = bus.queues["plain"].receive(None, NOW)
    assert letter is not None
    status, renewed = await _requested(bus, "com.microsoft:renew-lock", {"lock-tokens": Array((letter.lock,))})
    assert (status, renewed) == (200, {"expirations": Array((Timestamp((NOW + 60) * 1000),))})
    assert isinstance(renewed["expirations"], Array)
    status, sent = await _requested(bus, "com.microsoft:schedule-message", {"messages": [{"message": _TEXT}] * 2})
    assert (status, sent) == (200, {"sequence-numbers": Array((2, 3))})
    assert isinstance(sent["sequence-numbers"], Array)


async def test_a_management_request_that_cannot_be_read_is_answered() -> None:
    assert (await _requested(Bus(), "com.microsoft:renew-lock", None))[0] == 400
