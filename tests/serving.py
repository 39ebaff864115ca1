"""An aiohttp app on a port of this machine, for as long as a test needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(app: web.Application) -> AsyncIterator[str]:
    """The URL at which the app is served."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serve_all(handle: Handle) -> AsyncIterator[str]:
    """The URL of a server that gives every request to `handle`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with serve(app) as url:
        yield url
