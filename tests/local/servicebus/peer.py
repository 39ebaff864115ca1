"""A peer that speaks AMQP to the stand-in frame by frame, for what no client library can be made to do."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from local.servicebus.broker import Queue
from local.servicebus.codec import Described, Symbol, UInt, decode, encode, frame
from local.servicebus.config import QueueProperties
from local.servicebus.connection import Connection
from local.servicebus.performatives import ATTACH, BEGIN, CLOSE, FLOW, OPEN, SOURCE, TARGET
from local.servicebus.session import Shared

_HEADER = b"AMQP\x00\x01\x00\x00"
NOW = 1_000.0


@dataclass(frozen=True, slots=True)
class Frame:
    """What the stand-in sent; `code` is None for a heartbeat."""

    channel: int
    code: int | None
    fields: list[Any]
    payload: bytes


class _Writer:
    """The sending half of a socket, without a socket."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None: ...

    def close(self) -> None:
        self.closed = True


@dataclass(slots=True)
class Bus:
    """Queues and the connections to them. `monotonic` is the time by which heartbeats are due, in seconds."""

    queues: dict[str, Queue] = field(default_factory=lambda: {"plain": Queue("plain", QueueProperties())})
    monotonic: float = 0.0

    def connect(self) -> Peer:
        writer = _Writer()
        reader = asyncio.StreamReader()
        shared = Shared(self.queues, lambda: NOW, lambda: None, lambda _: None)
        streams = (reader, cast(asyncio.StreamWriter, writer))
        return Peer(reader, writer, Connection(streams, shared, lambda: self.monotonic))


@dataclass(slots=True)
class Peer:
    """The other end of one connection."""

    reader: asyncio.StreamReader
    writer: _Writer
    connection: Connection

    async def talk(self, *sent: bytes) -> list[Frame]:
        """What `feed` does. Returns the frames that the stand-in sent."""
        await self.feed(*sent)
        return self.frames()

    async def feed(self, *sent: bytes) -> None:
        """Send these bytes, let the stand-in read and deliver until nothing changes, and disconnect."""
        serving = asyncio.create_task(self.connection.serve())
        self.reader.feed_data(b"".join(sent))
        await _until_idle(lambda: len(self.writer.data))
        self.connection.pump()
        self.reader.feed_eof()
        await serving

    def frames(self) -> list[Frame]:
        found = []
        data = bytes(self.writer.data)
        while data:
            if data.startswith(b"AMQP"):
                data = data[len(_HEADER) :]
                continue
            size, offset, _, channel = struct.unpack_from(">IBBH", data)
            body, data = data[offset * 4 : size], data[size:]
            performative, end = decode(body) if body else (Described(None, []), 0)
            found.append(Frame(channel, performative.descriptor, performative.value, body[end:]))
        return found


async def _until_idle(measure: Callable[[], int]) -> None:
    """Let tasks run until the measure has not changed for some turns of the loop."""
    still = 0
    while still < 5:
        before = measure()
        await asyncio.sleep(0)
        still = still + 1 if measure() == before else 0


def opening(*, max_frame: int = 65_536, idle_time_out: int | None = None) -> bytes:
    """A header, an open and a begin."""
    limits = [UInt(max_frame), None, None if idle_time_out is None else UInt(idle_time_out)]
    return _HEADER + performative(OPEN, "peer", None, *limits) + begin()


def begin(channel: int = 0, window: int = 100) -> bytes:
    return performative(BEGIN, None, UInt(0), UInt(window), UInt(100), channel=channel)


def attach(address: str, handle: int = 0, *, receives: bool = False) -> bytes:
    ends = [Described(SOURCE, [address if receives else "me"]), Described(TARGET, ["me" if receives else address])]
    first = [] if receives else [None, None, UInt(0)]
    return performative(ATTACH, f"{address}-{handle}", UInt(handle), receives, None, None, *ends, *first)


def credit(amount: int, handle: int = 0, *, window: int = 100, drain: bool = False, echo: bool = False) -> bytes:
    grant = [UInt(handle), UInt(0), UInt(amount), None, drain, echo]
    return performative(FLOW, UInt(0), UInt(window), UInt(0), UInt(100), *grant)


def performative(code: int, *fields: Any, payload: bytes = b"", channel: int = 0) -> bytes:
    return frame(channel, Described(code, list(fields)), payload)


def message(*sections: tuple[int, Any]) -> bytes:
    return b"".join(encode(Described(code, value)) for code, value in sections)


def condition(frames: list[Frame]) -> Symbol | None:
    """The condition of the error in the close that ended the connection, if there was one."""
    (closed,) = [one for one in frames if one.code == CLOSE]
    error = closed.fields[0]
    return error.value[0] if error else None
