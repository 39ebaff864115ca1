"""Webhook events in memory: waiting ones, planned ones, and the times of plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sync_core.domain.ids import SchoolId
from sync_core.domain.webhooks import WebhookEvent
from tests.fakes.steps import Step, no_step


class MemoryWebhookInbox:
    """`step` is awaited before and after each effect."""

    def __init__(self, step: Step = no_step) -> None:
        self._step = step
        self._waiting: dict[tuple[SchoolId, str], WebhookEvent] = {}
        self._planned: dict[tuple[SchoolId, str], datetime] = {}
        self._plan_times: dict[SchoolId, tuple[datetime, ...]] = {}

    async def add(self, school: SchoolId, event: WebhookEvent) -> bool:
        await self._step("add")
        key = (school, event.id)
        if key in self._planned:
            return False
        new = not self._waiting.setdefault(key, replace(event, sent=False)).sent
        await self._step("add answered")
        return new

    async def mark_sent(self, school: SchoolId, id: str) -> None:
        await self._step("mark_sent")
        if event := self._waiting.get((school, id)):
            self._waiting[school, id] = replace(event, sent=True)
        await self._step("mark_sent answered")

    async def waiting(self, school: SchoolId) -> tuple[WebhookEvent, ...]:
        await self._step("waiting")
        return tuple(event for (of, _), event in sorted(self._waiting.items()) if of == school)

    async def others_wait(self, school: SchoolId, id: str) -> bool:
        await self._step("others_wait")
        return any(of == school and waiting != id for of, waiting in self._waiting)

    async def mark_planned(self, school: SchoolId, ids: Sequence[str], at: datetime) -> None:
        for id_ in ids:
            await self._step("mark_planned")
            self._waiting.pop((school, id_), None)
            self._planned[school, id_] = at
        await self._step("mark_planned answered")

    async def plan_times(self, school: SchoolId) -> tuple[datetime, ...]:
        await self._step("plan_times")
        return self._plan_times.get(school, ())

    async def write_plan_times(self, school: SchoolId, moments: Sequence[datetime]) -> None:
        await self._step("write_plan_times")
        self._plan_times[school] = tuple(moments)

    async def forget(self, school: SchoolId, before: datetime) -> None:
        await self._step("forget")
        self._planned = {key: at for key, at in self._planned.items() if key[0] != school or at >= before}
