"""The server as a task: it ends when it is cancelled, whatever comes at the same moment."""

from __future__ import annotations

import asyncio

import pytest

from local.servicebus.server import Clock, Server


async def test_a_cancellation_that_comes_together_with_work_ends_the_server() -> None:
    """As when the host disconnects while the signal arrives, because what started both has ended."""
    server = Server({}, Clock())
    ready: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(server.run(0, 0, ready))
    await ready
    for _ in range(3):
        await asyncio.sleep(0)
    server._awake.set()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await running
