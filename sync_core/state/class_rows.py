"""A school's partition of the table of classes: `c:…` a class, `h:…` its history, `q:…` its request, `p:…` its pin.

A class and its history share a partition, so that a change and its record are written in one transaction.
"""

from __future__ import annotations

from uuid import uuid4

from azure.data.tables import TableEntity

from sync_core.domain.classes import AppliedDelta, ClassRecord, ClassRequest, DesiredClass, Pin
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.state.overflow_rows import split
from sync_core.state.row_codec import Entity, RowCodec
from sync_core.state.table import entity, etag, group_size

CLASS, HISTORY, REQUEST, PIN = "c:", "h:", "q:", "p:"

# The plan writes DESIRED_COLUMNS, and apply writes ACTUAL_COLUMNS.
DESIRED_COLUMNS = RowCodec(DesiredClass, "desired_")
ACTUAL_COLUMNS = RowCodec(ClassRecord, elsewhere=("school", "desired", "etag"))
DELTA_COLUMNS = RowCodec(AppliedDelta)
REQUEST_COLUMNS = RowCodec(ClassRequest)
PIN_COLUMNS = RowCodec(Pin)

LARGEST_CLASS = 1_800_000
"""The most bytes of a class's desired columns. Where everybody joins at once and as many others leave, apply's record
is twice as large, and must still fit into one transaction.
"""


def desired_rows(school: SchoolId, wanted: DesiredClass) -> list[Entity]:
    """The row of the class as the plan writes it, and its overflow rows. Raises RowTooLarge past LARGEST_CLASS."""
    rows = split(entity(school, CLASS + wanted.key, DESIRED_COLUMNS.columns(wanted)))
    group_size(rows, LARGEST_CLASS)
    return rows


def read_class(school: SchoolId, row: TableEntity) -> ClassRecord:
    record = ACTUAL_COLUMNS.read(row, school=school, desired=DESIRED_COLUMNS.read(row), etag=etag(row))
    return record.in_wanted_tenant()


def history_rows(school: SchoolId, key: ClassKey, delta: AppliedDelta) -> list[Entity]:
    """Every row has the time, because history is deleted by time together with its overflow rows."""
    moment = f"{delta.at:%Y%m%dT%H%M%S%f}Z-{uuid4().hex[:8]}"
    row = entity(school, f"{HISTORY}{key}:{moment}", {"class_key": key, **DELTA_COLUMNS.columns(delta)})
    return split(row, "at")
