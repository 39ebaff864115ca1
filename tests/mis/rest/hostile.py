"""A server whose answers are bytes that a test chooses, as slow and as long as it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

Parts = Iterable[bytes | None]
"""The parts of an answer with its head. None waits until the client has gone."""


def head(length: int | None = None, *headers: str, status: str = "200 OK") -> bytes:
    """Without a length, the answer ends when the connection does."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", "Connection: close", *headers]
    return "\r\n".join([*lines, *([f"Content-Length: {length}"] if length is not None else []), "", ""]).encode()


def whole(body: str | bytes, *headers: str, status: str = "200 OK") -> Parts:
    content = body.encode() if isinstance(body, str) else body
    return [head(len(content), *headers, status=status), content]


@asynccontextmanager
async def serve_bytes(answer: Callable[[str], Parts], requests: list[str] | None = None) -> AsyncIterator[str]:
    """The URL of a server that gives each path with its query an answer. `requests` gets these paths."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).split()
            path = request[1].decode()
            if requests is not None:
                requests.append(path)
            for part in answer(path):
                if part is None:
                    await reader.read()
                else:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)  # the client may be in this loop
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
