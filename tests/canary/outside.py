"""All that leaves the process: records of logs with their extras and tracebacks, rows, messages, and answers."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import LeftOut
from sync_core.domain.webhooks import WebhookEvent
from sync_core.http.admin.csv_files import csv_response
from sync_core.http.admin.left_out import left_out_body
from sync_core.messaging.messages import SYNC_REQUESTS, Priority, encode
from sync_core.state import class_rows, school_rows
from sync_core.state.webhook_inbox import EVENT_COLUMNS
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState

NAME, ADDRESS, BORN = "Anne Zyxcanary", "anne.zyxcanary@pupils.example", "1912-03-04"
MARKS = (NAME, ADDRESS, BORN)
_RECOGNISED = ("zyxcanary", BORN, "19120304")

MATCHING = {
    "classes": {"desired_group_id", "desired_group_name", "desired_name_", "name_", "actual_name_", "intent", "key"}
    | {"desired_key", "class_key", "external_id", "desired_reasons", "reasons", "desired_academic_year"}
    | {"desired_year_end_name"},
    "runs": {"people_", "created", "changed", "held", "gone", "ended", "expired", "ownerless", "numbered", "school"},
    "holds": {"key", "name", "group_name", "people", "what", "continues"},
    "webhookevents": {"id", "groups", "people"},
    "messagefaults": {"message_id", "session"},
    "schools statistics": {"dfe_code"},
}
"""The columns that hold ids of the MIS, or names of groups, because matching needs them: beginnings of their names.

docs/security.md has the same, table by table. A column that is not here has no mark, whatever goes in.
"""


@dataclass(eq=False)
class Outside(logging.Handler):
    """What was seen outside. `leaks` are the places that had a mark, each with what was put in."""

    put_in: str = ""
    fields: set[str] = field(default_factory=set)
    read: Counter[str] = field(default_factory=Counter)
    leaks: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(logging.INFO)

    def putting(self, edge: str, where: str) -> None:
        self.put_in = f"{edge}: {where}"
        self.fields.add(self.put_in)

    def see(self, place: str, text: object) -> None:
        self.read[place] += 1
        found = str(text)
        if any(mark in found.casefold() for mark in _RECOGNISED):
            self.leaks.setdefault(place, f"{self.put_in} -> {_around(found)}")

    def report(self) -> str:
        return "\n".join(f"{place}: {leak}" for place, leak in self.leaks.items())

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "asyncio":  # of the loop of the test
            return
        for name, value in vars(record).items():
            if name not in ("pathname", "filename", "exc_info", "msg", "args"):
                self.see(f"log {name}", value)
        self.see("log text", record.getMessage())

    def raised(self, place: str, error: BaseException) -> None:
        """An exception that reaches the host, which logs it with its traceback."""
        self.see(place, "".join(traceback.format_exception(error)))

    async def stored(self, state: MemoryState, school: SchoolId) -> None:
        """The rows as the tables get them."""
        for run in await state.runs(school):
            self._row("runs", school_rows.RUN_COLUMNS.columns(run))
        if left_out := await state.left_out(school):
            self._row("schools left out", school_rows.LEFT_OUT_COLUMNS.columns(left_out))
            self.see(
                "list of rows that were left out",
                bytes(csv_response(LeftOut, left_out_body(left_out).rows).body).decode(),
            )
        if statistics := await state.accepted_statistics(school):
            self._row("schools statistics", school_rows.STATISTICS_COLUMNS.columns(statistics))
        for hold in await state.holds(school):
            for _, columns in school_rows.rows_of_hold(hold):
                self._row("holds", columns)
        for record in await state.class_records(school):
            self._row("classes", class_rows.DESIRED_COLUMNS.columns(record.desired))
            self._row("classes", class_rows.ACTUAL_COLUMNS.columns(record))
            for delta in await state.history(school, record.key):
                self._row("classes", class_rows.DELTA_COLUMNS.columns(delta))
        for queue in (SYNC_REQUESTS, *Priority):
            for fault in await state.message_faults(queue):
                self._row("messagefaults", school_rows.FAULT_COLUMNS.columns(fault))

    def waiting(self, events: Iterable[WebhookEvent]) -> None:
        for event in events:
            self._row("webhookevents", EVENT_COLUMNS.columns(event))

    def _row(self, table: str, columns: Mapping[str, object]) -> None:
        for name, value in columns.items():
            if not name.startswith(tuple(MATCHING.get(table, ()))):
                self.see(f"table {table}, column {name}", value)

    def queued(self, outbox: MemoryOutbox) -> None:
        """Messages have Entra ids, keys of classes, and, in a scope, the ids that a webhook or an admin named."""
        for change in outbox.changes:
            if "zyxcanary" not in change.key.casefold():
                self.see("queue message", encode(change).decode())


def _around(text: str) -> str:
    """A leak with what is beside it."""
    at = min(place for mark in _RECOGNISED if (place := text.casefold().find(mark)) >= 0)
    return text[max(0, at - 120) : at + 60]
