"""Where blocking work on files is done: on a thread beside the event loop, unless a caller has no loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class InThread(Protocol):
    """Does blocking work and returns its result, as `asyncio.to_thread` does."""

    async def __call__(self, work: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
