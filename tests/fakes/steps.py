"""The points at which a test may take control of a fake: before each effect, and between effect and response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Step = Callable[[str], Awaitable[None]]


async def no_step(_: str) -> None:
    """For tests that run without interruption."""
