"""Dead letters in memory, and the ones that were replayed."""

from __future__ import annotations

from collections.abc import Set

from sync_core.messaging.port import DeadLetter


class MemoryDeadLetters:
    """Implements the port DeadLetters."""

    def __init__(self) -> None:
        self.dead: list[DeadLetter] = []
        self.replayed: list[DeadLetter] = []

    async def listed(self, queue: str) -> tuple[DeadLetter, ...]:
        of_queue = (letter for letter in self.dead if letter.queue == queue)
        return tuple(sorted(of_queue, key=lambda letter: letter.number))

    async def replay(self, queue: str, numbers: Set[int]) -> frozenset[int]:
        wanted = [letter for letter in await self.listed(queue) if letter.number in numbers]
        self.replayed += wanted
        self.dead = [letter for letter in self.dead if letter not in wanted]
        return frozenset(letter.number for letter in wanted)
