"""A transport of the tables' client that records the requests."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport

_KEYS = re.compile(r"\(.+\)")


class Wire(AsyncHttpTransport[Any, Any]):
    """The client's transport. Records each request, and calls `before_request` before sending it."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.before_request: Callable[[int], Awaitable[object]] | None = None
        self._transport = AioHttpTransport()

    async def send(self, request: Any, **options: Any) -> Any:
        path = urlsplit(request.url).path.split("/", 2)[2]
        self.requests.append(f"{request.method} {_KEYS.sub(' row', path).removesuffix('()')}")
        if self.before_request:
            await self.before_request(len(self.requests))
        return await self._transport.send(request, **options)

    async def open(self) -> None:
        await self._transport.open()

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> Wire:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def record(self, work: Awaitable[object]) -> list[str]:
        """The requests that awaiting `work` sends."""
        self.requests = []
        await work
        return self.requests
