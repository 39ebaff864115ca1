"""One client's connection: SASL, frames and sessions, between the socket and the sessions' links.

Whatever a client sends, only its own connection ends, and with an error that says why.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from local.servicebus.codec import (
    HEARTBEAT,
    Array,
    Described,
    ProtocolError,
    Symbol,
    UByte,
    UInt,
    UShort,
    decode,
    frame,
)
from local.servicebus.links import ReceivingClient
from local.servicebus.performatives import (
    CLOSE,
    END,
    OPEN,
    SASL_INIT,
    SASL_MECHANISMS,
    SASL_OUTCOME,
    Begin,
    Open,
    SaslInit,
    code_of,
    error,
)
from local.servicebus.session import Session, Shared

_LOG = logging.getLogger(__name__)

_SASL_HEADER, _AMQP_HEADER = b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x01\x00\x00"
_AMQP, _SASL = 0, 1
_MECHANISMS = Array((Symbol("ANONYMOUS"), Symbol("MSSBCBS")))
_REFUSED = 1
_MAX_FRAME, _LEAST_MAX_FRAME = 65_536, 512
_LAST_CHANNEL = 65_535


class Connection:
    """A connection that the server accepted. `monotonic` is the time in seconds by which heartbeats are due."""

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        shared: Shared,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader, self._writer = streams
        self._shared = shared
        self._monotonic = monotonic
        self._sessions: dict[int, Session] = {}
        self._open: Open | None = None
        self._ended = False
        self._sent_at = monotonic()

    async def serve(self) -> None:
        """Serve until the client disconnects. Its locks stay until they expire: a killed worker cannot release them."""
        try:
            while not self._ended:
                head = await self._reader.readexactly(8)
                if head[:4] == b"AMQP":
                    self._answer_header(head)
                else:
                    await self._read_frame(head)
                await self._writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as failure:
            self._fail(failure)
        finally:
            self._ended = True
            self._sessions.clear()
            self._writer.close()

    def link_named(self, name: str) -> ReceivingClient | None:
        links = (session.link_named(name) for session in self._sessions.values())
        return next((link for link in links if link), None)

    def pump(self) -> None:
        """Deliver what can be delivered, and send a heartbeat that is due. A failure ends this connection only."""
        try:
            for session in self._sessions.values():
                session.pump()
            idle = self._open.idle_time_out if self._open else None
            if idle and not self._ended and self._monotonic() - self._sent_at >= idle / 2000:
                self._write(HEARTBEAT)
        except Exception as failure:
            self._fail(failure)
            self._writer.close()

    # --- frames in

    def _answer_header(self, head: bytes) -> None:
        if head not in (_SASL_HEADER, _AMQP_HEADER):
            self._write(_AMQP_HEADER)
            raise ProtocolError("a protocol other than AMQP 1.0", "amqp:not-implemented")
        self._write(head)
        if head == _SASL_HEADER:
            self._send(0, SASL_MECHANISMS, [_MECHANISMS], kind=_SASL)

    async def _read_frame(self, head: bytes) -> None:
        size, offset, kind, channel = struct.unpack(">IBBH", head)
        if not 8 <= size <= _MAX_FRAME or not 8 <= offset * 4 <= size or kind not in (_AMQP, _SASL):
            raise ProtocolError("a frame that is too large or torn", "amqp:connection:framing-error")
        body = (await self._reader.readexactly(size - 8))[offset * 4 - 8 :]
        if not body:
            return
        performative, end = decode(body)
        if not isinstance(performative, Described):
            raise ProtocolError("a frame without a performative")
        if kind == _SASL:
            self._handle_sasl(code_of(performative), performative.value)
        else:
            self._handle(channel, code_of(performative), performative.value, body[end:])

    def _handle_sasl(self, code: int, values: Any) -> None:
        if code != SASL_INIT:
            raise ProtocolError("a SASL frame other than an init", "amqp:not-allowed")
        known = SaslInit.read(values).mechanism in _MECHANISMS
        self._send(0, SASL_OUTCOME, [UByte(0 if known else _REFUSED), None], kind=_SASL)

    def _handle(self, channel: int, code: int, values: Any, payload: bytes) -> None:
        match code:
            case 0x10:
                self._handle_open(Open.read(values))
            case _ if self._open is None:
                raise ProtocolError("a frame before the connection is open", "amqp:not-allowed")
            case 0x11:
                if channel in self._sessions:
                    raise ProtocolError(f"channel {channel} is in use", "amqp:not-allowed")
                max_frame = min(self._open.max_frame_size, _MAX_FRAME)
                send = partial(self._send, channel)
                self._sessions[channel] = Session(channel, Begin.read(values), max_frame, self._shared, send)
            case 0x17:
                if self._sessions.pop(channel, None):
                    self._send(channel, END, [None])
            case 0x18:
                self._send(0, CLOSE, [None])
                self._ended = True
            case _:
                # Frames of a session that has ended are ignored.
                if session := self._sessions.get(channel):
                    session.handle(code, values, payload)

    def _handle_open(self, request: Open) -> None:
        if self._open is not None:
            raise ProtocolError("the connection is open already", "amqp:not-allowed")
        if request.max_frame_size < _LEAST_MAX_FRAME:
            raise ProtocolError("max-frame-size is below 512", "amqp:invalid-field")
        self._open = request
        self._send_open()

    # --- frames out

    def _send_open(self) -> None:
        limits = [UInt(_MAX_FRAME), UShort(_LAST_CHANNEL)]
        self._send(0, OPEN, ["local-servicebus", None, *limits, None, None, None, None, None, {}])

    def _fail(self, failure: Exception) -> None:
        """Tell the client why its connection ends. A close may follow an open only."""
        if self._ended:
            return
        condition = failure.condition if isinstance(failure, ProtocolError) else "amqp:internal-error"
        text = str(failure) if isinstance(failure, ProtocolError) else type(failure).__name__
        _LOG.warning("connection closed: %s", text, exc_info=None if isinstance(failure, ProtocolError) else failure)
        if self._open is None:
            self._send_open()
        self._send(0, CLOSE, [error(condition, text)])
        self._ended = True

    def _send(self, channel: int, code: int, fields: list[Any], payload: bytes = b"", kind: int = _AMQP) -> None:
        self._write(frame(channel, Described(code, fields), payload, kind))

    def _write(self, data: bytes) -> None:
        self._sent_at = self._monotonic()
        self._writer.write(data)
