"""The part of the store with a school's classes: their rows, history, requests and pins, and the choices for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from azure.core import MatchConditions

from sync_core.domain.classes.choices import Choices, ClassChoice, OwnerRule
from sync_core.domain.classes.desired import ClassRequest, DesiredClass, Pin
from sync_core.domain.classes.outcomes import AppliedDelta, FirstChange
from sync_core.domain.classes.record import ClassOutline, ClassRecord
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.errors import RowTooLarge
from sync_core.state import class_rows
from sync_core.state.class_rows import CHOICE, CLASS, HISTORY, OF_CLASS, OF_RULE, PIN, REQUEST
from sync_core.state.overflow_rows import is_overflow, split
from sync_core.state.row_codec import Entity, encode_key, encode_time
from sync_core.state.table import MERGE, Operation, Table, entity, upserts


class ClassTables:
    """Implements ClassStore, but for the history that is forgotten with other tables."""

    def __init__(self, classes: Table) -> None:
        self._classes = classes

    async def class_record(self, school: SchoolId, key: ClassKey) -> ClassRecord | None:
        row = await self._classes.get_whole(school, CLASS + key)
        return class_rows.read_class(school, row) if row else None

    async def class_records(self, school: SchoolId) -> tuple[ClassRecord, ...]:
        found = [class_rows.read_class(school, row) for row in await self._classes.query_whole(school, CLASS)]
        return tuple(sorted(found, key=lambda record: record.key))

    async def class_outlines(self, school: SchoolId) -> tuple[ClassOutline, ...]:
        rows = self._classes.query(school, CLASS, select=class_rows.OUTLINE_COLUMNS)
        found = [class_rows.read_outline(row) async for row in rows if not is_overflow(row["RowKey"])]
        return tuple(sorted(found, key=lambda outline: outline.key))

    async def write_desired(self, school: SchoolId, classes: Sequence[DesiredClass]) -> tuple[ClassKey, ...]:
        groups: list[list[Operation]] = []
        too_large: list[ClassKey] = []
        for wanted in classes:
            try:
                row, *overflow = class_rows.desired_rows(school, wanted)
            except RowTooLarge:
                too_large.append(wanted.key)
            else:
                groups.append([*upserts([row], MERGE), *upserts(overflow)])
        await self._classes.transact(groups)
        return tuple(too_large)

    async def class_requests(self, school: SchoolId) -> Mapping[ClassKey, ClassRequest]:
        found = [class_rows.REQUEST_COLUMNS.read(row) async for row in self._classes.query(school, REQUEST)]
        return {request.key: request for request in found}

    async def write_class_request(self, school: SchoolId, request: ClassRequest) -> None:
        await self._classes.put(entity(school, REQUEST + request.key, class_rows.REQUEST_COLUMNS.columns(request)))

    async def write_drift(self, school: SchoolId, drifts: Sequence[Drift]) -> None:
        rows: dict[ClassKey, Entity] = {}
        for drift in drifts:
            columns = {"stale": drift.stale, "gone": drift.gone}
            row = rows.setdefault(drift.key, entity(school, CLASS + drift.key))
            row.update({name: value for name, value in columns.items() if value is not None})
        await self._classes.merge_all_found(rows.values())

    async def write_actual(self, record: ClassRecord, delta: AppliedDelta | None = None) -> ClassRecord:
        school, key = record.school, record.key
        row, *overflow = split(entity(school, CLASS + key, class_rows.ACTUAL_COLUMNS.columns(record)))
        condition = {**MERGE, "etag": record.etag, "match_condition": MatchConditions.IfNotModified}
        history = class_rows.history_rows(school, key, delta) if delta else []
        results = await self._classes.transact(
            [[("update", row, condition), *upserts(overflow), *(("create", row) for row in history)]]
        )
        return replace(record, etag=results[0]["etag"])

    async def history(self, school: SchoolId, key: ClassKey) -> tuple[AppliedDelta, ...]:
        rows = await self._classes.query_whole(school, f"{HISTORY}{encode_key(key)}:")
        return tuple(class_rows.DELTA_COLUMNS.read(row) for row in rows)

    async def histories(
        self, school: SchoolId, keys: Collection[ClassKey], since: datetime
    ) -> Mapping[ClassKey, tuple[AppliedDelta, ...]]:
        found: dict[ClassKey, list[AppliedDelta]] = {key: [] for key in keys}
        starts = sorted(f"{HISTORY}{encode_key(key)}:" for key in keys)
        within = "RowKey ge @from and RowKey lt @to and at ge @since"
        bounds = {"from": starts[0], "to": f"{starts[-1]}~", "since": encode_time(since)} if starts else None
        for row in await self._classes.query_whole(school, HISTORY, within, **bounds) if bounds else ():
            if row["class_key"] in found:
                found[row["class_key"]].append(class_rows.DELTA_COLUMNS.read(row))
        return {key: tuple(deltas) for key, deltas in found.items()}

    async def classes_of_run(self, school: SchoolId, run: RunId) -> Mapping[ClassKey, FirstChange]:
        times: dict[ClassKey, datetime] = {}
        made: set[ClassKey] = set()
        async for row in self._classes.query(school, HISTORY, "run eq @run", ["class_key", "at", "created"], run=run):
            times.setdefault(ClassKey(row["class_key"]), datetime.fromisoformat(row["at"]))
            made |= {ClassKey(row["class_key"])} if row["created"] else set()
        return {key: FirstChange(at, key in made) for key, at in sorted(times.items())}

    async def pins(self, school: SchoolId) -> Mapping[ClassKey, Pin]:
        found = [class_rows.PIN_COLUMNS.read(row) for row in await self._classes.query_whole(school, PIN)]
        return {pin.key: pin for pin in found}

    async def pinned(self, school: SchoolId) -> frozenset[ClassKey]:
        rows = self._classes.query(school, PIN, select=["RowKey", "key"])
        return frozenset([ClassKey(row["key"]) async for row in rows if not is_overflow(row["RowKey"])])

    async def write_pins(self, school: SchoolId, pins: Sequence[Pin]) -> None:
        rows = [entity(school, PIN + pin.key, class_rows.PIN_COLUMNS.columns(pin)) for pin in pins]
        await self._classes.transact(upserts(split(row)) for row in rows)

    async def forget_pin(self, school: SchoolId, key: ClassKey) -> None:
        await self._classes.delete_whole(school, PIN + key)

    async def choices(self, school: SchoolId) -> Choices:
        rows = await self._classes.query_whole(school, CHOICE)
        classes = [class_rows.CHOICE_COLUMNS.read(row) for row in rows if row["RowKey"].startswith(OF_CLASS)]
        rules = [class_rows.RULE_COLUMNS.read(row) for row in rows if row["RowKey"].startswith(OF_RULE)]
        return Choices({choice.key: choice for choice in classes}, tuple(sorted(rules, key=lambda rule: rule.id)))

    async def write_choice(self, school: SchoolId, choice: ClassChoice) -> None:
        row = entity(school, OF_CLASS + choice.key, class_rows.CHOICE_COLUMNS.columns(choice))
        await self._classes.transact([upserts(split(row))])

    async def forget_choice(self, school: SchoolId, key: ClassKey) -> None:
        await self._classes.delete_whole(school, OF_CLASS + key)

    async def write_owner_rule(self, school: SchoolId, rule: OwnerRule) -> None:
        await self._classes.put(entity(school, OF_RULE + rule.id, class_rows.RULE_COLUMNS.columns(rule)))

    async def forget_owner_rule(self, school: SchoolId, rule: str) -> None:
        await self._classes.delete(school, OF_RULE + rule)
