"""The points at which a driver may take over from a fake: before each effect, and between the effect and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Step = Callable[[str], Awaitable[None]]


async def no_step(_: str) -> None:
    """For tests that let everything run through."""
