"""Where blocking work on files is done: on a thread beside the event loop, or at once where no loop runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class InThread(Protocol):
    """Does blocking work and returns its result, as `asyncio.to_thread` does."""

    async def __call__(self, work: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...


async def at_once(work: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Implements InThread for a caller with nothing else to do, such as a command line: no loop is needed."""
    return work(*args, **kwargs)
