"""The queues in memory: the messages in the order sent, and the priority of each change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sync_core.messaging.messages import Change, Priority, Request
from tests.fakes.steps import Step, no_step


class MemoryOutbox:
    """`step` is awaited before and after each message, so that a crash may leave only the first of them."""

    def __init__(self, step: Step = no_step) -> None:
        self._step = step
        self.requests: list[tuple[Request, datetime | None]] = []
        self.changes: list[Change] = []
        self.priorities: list[Priority] = []
        self.scheduled: list[tuple[datetime, Change, Priority]] = []

    async def send_requests(self, requests: Sequence[Request]) -> None:
        await self._send([(None, request) for request in requests])

    async def schedule_requests(self, requests: Sequence[tuple[datetime, Request]]) -> None:
        await self._send(requests)

    async def schedule_once(self, at: datetime, request: Request) -> None:
        scheduled = {(queued.kind, queued.session, due) for queued, due in self.requests if due}
        await self._send([] if (request.kind, request.session, at) in scheduled else [(at, request)])

    async def _send(self, requests: Sequence[tuple[datetime | None, Request]]) -> None:
        for at, request in requests:
            await self._step("send_requests")
            self.requests.append((request, at))
        await self._step("send_requests answered")

    async def send_changes(self, changes: Sequence[Change], priority: Priority) -> None:
        for change in changes:
            await self._step("send_changes")
            self.changes.append(change)
            self.priorities.append(priority)
        await self._step("send_changes answered")

    async def schedule_changes(self, changes: Sequence[tuple[datetime, Change]], priority: Priority) -> None:
        for at, change in changes:
            await self._step("send_changes")
            self.scheduled.append((at, change, priority))
        await self._step("send_changes answered")
