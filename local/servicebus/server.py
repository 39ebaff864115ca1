"""The server: AMQP connections on one port, and the counts of the queues as JSON on another."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from local.servicebus.broker import Queue
from local.servicebus.config import QueueProperties
from local.servicebus.connection import Connection
from local.servicebus.links import ReceivingClient
from local.servicebus.session import Shared

_TICK = 0.2


@dataclass(slots=True)
class Clock:
    """The broker's time in seconds since 1970. It can be moved ahead, so that locks expire without waiting."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


class Server:
    """All queues and the connections to them."""

    def __init__(self, queues: Mapping[str, QueueProperties], clock: Clock) -> None:
        self.queues = {name.lower(): Queue(name, properties) for name, properties in queues.items()}
        self.clock = clock
        self._connections: set[Connection] = set()
        self._awake = asyncio.Event()
        self._pumped = asyncio.Condition()
        self._shared = Shared(self.queues, clock.now, self._awake.set, self._link_named)

    async def run(self, port: int, status_port: int, ready: asyncio.Future[tuple[int, int]]) -> None:
        """Serve until cancelled; `ready` gets both ports."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        runner = web.AppRunner(self._status_app(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", status_port)
        await site.start()
        ready.set_result((server.sockets[0].getsockname()[1], runner.addresses[0][1]))
        try:
            await self._pump_forever()
        finally:
            server.close()
            await runner.cleanup()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection((reader, writer), self._shared)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)

    def _link_named(self, name: str) -> ReceivingClient | None:
        return next((link for connection in self._connections if (link := connection.link_named(name))), None)

    async def _pump_forever(self) -> None:
        while True:
            for queue in self.queues.values():
                queue.tick(self.clock.now())
            for connection in list(self._connections):
                connection.pump()
            async with self._pumped:
                self._pumped.notify_all()
            self._awake.clear()
            # Not wait_for, which on Python 3.11 swallows a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._awake.wait()

    # --- the status port

    def _status_app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/status", self._status)
        app.router.add_post("/clock", self._advance)
        return app

    async def _status(self, request: web.Request) -> web.Response:
        """The counts of the queues: now, or as soon as every message is settled, within `settled_within` seconds."""
        try:
            wait = float(request.query.get("settled_within", 0))
        except ValueError:
            return web.json_response({"error": "send a number as settled_within"}, status=400)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait), self._pumped:
                await self._pumped.wait_for(lambda: all(queue.is_settled for queue in self.queues.values()))
        return web.json_response({"queues": {queue.name: queue.status() for queue in self.queues.values()}})

    async def _advance(self, request: web.Request) -> web.Response:
        try:
            seconds = float((await request.json())["advance_seconds"])
        except (json.JSONDecodeError, KeyError, TypeError, ValueError):
            return web.json_response({"error": 'send {"advance_seconds": number}'}, status=400)
        self.clock.advance(seconds)
        for queue in self.queues.values():
            queue.tick(self.clock.now())
        self._awake.set()
        return web.json_response({"ahead": self.clock.ahead})
