"""What a plan reads of the tables is read at one time, and only what it needs can fail it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.errors import Transient
from sync_core.sync.read_ahead import ReadAhead
from tests.builders import SCHOOL, TENANT, settings
from tests.fakes.memory_state import MemoryState

READS = ["accepted_statistics", "holds", "class_records", "class_requests", "pins", "choices", "accounts"]
Read = Callable[[Any], Coroutine[Any, Any, object]]


class Tables(MemoryState):
    """Tables that answer none of these reads before `awaited` of them have begun."""

    def __init__(self, failing: str = "", awaited: int = len(READS)) -> None:
        super().__init__()
        self.awaited = awaited
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.all_begun = asyncio.Event()
        for name in READS:
            setattr(self, name, self._awaited(name, getattr(self, name), name == failing))

    def _awaited(self, name: str, read: Read, fails: bool) -> Read:
        async def awaited(of: str) -> object:
            self.begun.append(name)
            if len(self.begun) == self.awaited:
                self.all_begun.set()
            try:
                await self.all_begun.wait()
                if fails:
                    raise Transient("the table is away", "wait")
                return await read(of)
            finally:
                self.ended.append(name)

        return awaited


async def read_one(reader: ReadAhead, name: str) -> object:
    return await getattr(reader, name)(TENANT if name == "accounts" else SCHOOL.id)


async def test_all_is_read_at_one_time() -> None:
    tables = Tables()
    await tables.save_school(settings())
    async with asyncio.timeout(10), ReadAhead(tables, True) as reader:
        assert await reader.school(SCHOOL.id) == settings()
        results = [await read_one(reader, name) for name in READS]
    assert results == [None, (), (), {}, {}, await MemoryState().choices(SCHOOL.id), None]
    assert sorted(tables.begun) == sorted(READS)


@pytest.mark.parametrize("name", READS)
async def test_a_failure_is_raised_only_where_its_result_is_needed(name: str) -> None:
    tables = Tables(failing=name)
    await tables.save_school(settings())
    async with asyncio.timeout(10), ReadAhead(tables, True) as reader:
        await reader.school(SCHOOL.id)
        for other in READS:
            if other != name:
                await read_one(reader, other)
        with pytest.raises(Transient):
            await read_one(reader, name)


async def test_what_nobody_needed_is_ended() -> None:
    tables = Tables(awaited=len(READS) + 1)
    await tables.save_school(settings())
    with pytest.raises(ZeroDivisionError):
        async with ReadAhead(tables, True) as reader:
            await reader.school(SCHOOL.id)
            await asyncio.sleep(0)
            raise ZeroDivisionError
    assert sorted(tables.ended) == sorted(READS)


@pytest.mark.parametrize("known", [True, False])
async def test_nothing_else_is_read_of_a_school_that_is_not_planned(known: bool) -> None:
    tables = Tables()
    if known:
        await tables.save_school(replace(settings(), enabled=False))
    async with ReadAhead(tables, True) as reader:
        await reader.school(SchoolId(SCHOOL.id))
        await asyncio.sleep(0)
    assert tables.begun == []


async def test_the_rows_of_all_classes_are_read_ahead_only_for_a_plan_that_needs_them() -> None:
    tables = Tables(awaited=len(READS) - 1)
    await tables.save_school(settings())
    async with asyncio.timeout(10), ReadAhead(tables, False) as reader:
        await reader.school(SCHOOL.id)
        assert await reader.class_record(SCHOOL.id, ClassKey("2026.teaching.T1")) is None
        assert await reader.holds(SCHOOL.id) == ()
        assert "class_records" not in tables.begun
        assert await reader.class_records(SCHOOL.id) == ()
