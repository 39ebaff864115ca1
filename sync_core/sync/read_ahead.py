"""What a plan reads of the tables, read all at one time and while the MIS is read: one by one, it takes 0.2 s."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, Self, TypeVar, cast

from sync_core.domain.accounts import Account
from sync_core.domain.classes.choices import Choices
from sync_core.domain.classes.desired import ClassRequest, Pin
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.state.port import SchoolReader

T = TypeVar("T")


class ReadAhead:
    """Implements the port SchoolReader for one plan of one school, over another reader.

    All else begins to be read once the settings are there, if the school is enabled; the rows of classes only if the
    plan needs `all_rows`, and one row when it is asked for. Each result is given out once, and
    a failure is raised where its result is needed. Leaving the context ends what nobody needed.
    """

    def __init__(self, reader: SchoolReader, all_rows: bool) -> None:
        self._reader = reader
        self._all_rows = all_rows
        self._begun: dict[object, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._begun.values():
            task.cancel()
        await asyncio.gather(*self._begun.values(), return_exceptions=True)

    async def school(self, school: SchoolId) -> SchoolSettings | None:
        settings = await self._reader.school(school)
        if settings and settings.enabled:
            reader = self._reader
            self._begin(reader.accepted_statistics, school)
            self._begin(reader.holds, school)
            if self._all_rows:
                self._begin(reader.class_records, school)
            self._begin(reader.class_requests, school)
            self._begin(reader.pins, school)
            self._begin(reader.choices, school)
            self._begin(reader.accounts, settings.tenant)
        return settings

    async def runs(self, school: SchoolId, since: datetime | None = None) -> tuple[RunRecord, ...]:
        return await self._reader.runs(school, since)

    async def class_record(self, school: SchoolId, key: ClassKey) -> ClassRecord | None:
        return await self._reader.class_record(school, key)

    async def accepted_statistics(self, school: SchoolId) -> FeedStatistics | None:
        return await self._result(self._reader.accepted_statistics, school)

    async def holds(self, school: SchoolId) -> tuple[Hold, ...]:
        return await self._result(self._reader.holds, school)

    async def class_records(self, school: SchoolId) -> tuple[ClassRecord, ...]:
        return await self._result(self._reader.class_records, school)

    async def class_requests(self, school: SchoolId) -> Mapping[ClassKey, ClassRequest]:
        return await self._result(self._reader.class_requests, school)

    async def pins(self, school: SchoolId) -> Mapping[ClassKey, Pin]:
        return await self._result(self._reader.pins, school)

    async def choices(self, school: SchoolId) -> Choices:
        return await self._result(self._reader.choices, school)

    async def accounts(self, tenant: str) -> tuple[Account, ...] | None:
        return await self._result(self._reader.accounts, tenant)

    def _begin(self, read: Callable[[Any], Coroutine[Any, Any, object]], of: str) -> None:
        self._begun[read, of] = asyncio.create_task(read(of))

    async def _result(self, read: Callable[[Any], Coroutine[Any, Any, T]], of: str) -> T:
        begun = self._begun.pop((read, of), None)
        return cast(T, await begun) if begun else await read(of)
