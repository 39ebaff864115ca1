"""Tables, queues and sources that can be used, or that fail as a test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sync_core.domain.school.settings import SchoolSettings


async def nothing() -> None:
    """What a check that succeeds does."""


@dataclass
class MemoryChecks:
    """Implements TableCheck, QueueCheck and SourceCheck. Each check by name is awaited; a queue is named `send Q`."""

    missing: tuple[str, ...] = ()
    works: dict[str, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    async def missing_tables(self) -> tuple[str, ...]:
        await self._work("tables")
        return self.missing

    async def check_write(self) -> None:
        await self._work("write")

    async def check_send(self, queue: str) -> None:
        await self._work(f"send {queue}")

    async def reach(self, settings: SchoolSettings) -> str:
        await self._work(f"source {settings.school}")
        return "the server signs the app in and has the school"

    async def _work(self, name: str) -> None:
        self.made.append(name)
        await self.works.get(name, nothing)()
