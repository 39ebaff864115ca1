"""A limit on the bytes of an answer of Graph. The SDK reads an answer whole before anybody sees it."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import httpx

from sync_core.errors import Transient
from sync_core.graph.answers import unreadable

MAX_GRAPH_ANSWER = 16_000_000
"""Bytes of one answer of Graph, unpacked. A page of 999 accounts takes 500,000."""
_STEP = 65_536


async def limit_answer(response: httpx.Response) -> None:
    """Have the body of the response read up to MAX_GRAPH_ANSWER: an httpx event hook, called before it is read.

    Reading raises Transient past the limit, and for a body that is compressed in another way than gzip.
    """
    encoding = response.headers.pop("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise unreadable()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    unpacked = _unpack(response.stream) if encoding == "gzip" else response.stream
    response.stream = _LimitedStream(unpacked, response.stream)


class _LimitedStream(httpx.AsyncByteStream):
    def __init__(self, parts: AsyncIterator[bytes] | httpx.AsyncByteStream, wire: httpx.AsyncByteStream) -> None:
        self._parts, self._wire = parts, wire

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._parts:
            size += len(part)
            if size > MAX_GRAPH_ANSWER:
                raise Transient(
                    f"an answer of Graph has more than {MAX_GRAPH_ANSWER:,} bytes and was not read to its end, so "
                    "nothing is known of it",
                    "it is retried; if it stays, ask Microsoft's support about the request in the trace",
                )
            yield part

    async def aclose(self) -> None:
        await self._wire.aclose()


async def _unpack(stream: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
    """The bytes of a gzip stream in small parts: a part of it may unpack to a thousand times its size."""
    gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    begun = False
    async for raw in stream:
        part = raw
        begun = begun or bool(raw)
        while part and not gzip.eof:
            try:
                part = gzip.decompress(raw, _STEP)
            except zlib.error:
                raise unreadable() from None
            raw = gzip.unconsumed_tail
            yield part
    if begun and not gzip.eof:
        raise unreadable()
