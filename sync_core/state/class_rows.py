"""A school's partition of the table of classes: `c:…` a class, `h:…` its history, `q:…` its request, `p:…` its pin.

`o:c:…` is what an admin chose for a class, and `o:r:…` an owner rule of the school.

A class and its history share a partition, so that a change and its record are written in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from azure.data.tables import TableEntity

from sync_core.domain.classes.choices import ClassChoice, OwnerRule
from sync_core.domain.classes.desired import ClassRequest, DesiredClass, Pin
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassOutline, ClassRecord
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.domain.roster import GroupType
from sync_core.state.overflow_rows import split
from sync_core.state.row_codec import Entity, RowCodec
from sync_core.state.table import entity, etag, group_size

CLASS, HISTORY, REQUEST, PIN, CHOICE = "c:", "h:", "q:", "p:", "o:"
OF_CLASS, OF_RULE = f"{CHOICE}c:", f"{CHOICE}r:"

# The plan writes DESIRED_COLUMNS, and apply writes ACTUAL_COLUMNS.
DESIRED_COLUMNS = RowCodec(DesiredClass, "desired_")
ACTUAL_COLUMNS = RowCodec(ClassRecord, elsewhere=("school", "desired", "etag"))
DELTA_COLUMNS = RowCodec(AppliedDelta)
REQUEST_COLUMNS = RowCodec(ClassRequest)
PIN_COLUMNS = RowCodec(Pin)
CHOICE_COLUMNS = RowCodec(ClassChoice)
RULE_COLUMNS = RowCodec(OwnerRule)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutlineRow:
    """The columns of a class row, by their names, from which its outline is made."""

    desired_key: ClassKey
    desired_tenant: str
    desired_group_name: str = ""
    desired_group_type: GroupType
    desired_academic_year: int = 0
    desired_name_display_name: str
    desired_members_count: int
    desired_owners_count: int
    desired_ended: bool = False
    desired_deleted: bool = False
    desired_pinned: bool = False
    desired_year_end_known: bool = False
    desired_year_end_taken_back: bool = False
    desired_generation: int = 0
    tenant: str = ""
    actual_known: bool = False
    actual_name_display_name: str = ""
    intent: str = ""
    stale: bool = False
    gone: bool = False
    generation: int = 0
    error_known: bool = False


_OUTLINE = RowCodec(_OutlineRow)
OUTLINE_COLUMNS = ["RowKey", *_OUTLINE.signs]


def read_outline(row: TableEntity) -> ClassOutline:
    """The outline of the record that `read_class` reads. `row` needs OUTLINE_COLUMNS alone."""
    known = _OUTLINE.read(row)
    here = known.tenant in ("", known.desired_tenant)
    made = here and known.actual_known
    return ClassOutline(
        key=known.desired_key,
        group_name=known.desired_group_name,
        group_type=known.desired_group_type,
        academic_year=known.desired_academic_year,
        display_name=known.actual_name_display_name if made else known.desired_name_display_name,
        members=known.desired_members_count,
        owners=known.desired_owners_count,
        ended=known.desired_ended,
        deleted=known.desired_deleted,
        pinned=known.desired_pinned,
        retired=known.desired_year_end_known and not known.desired_year_end_taken_back,
        begun=here and bool(known.intent),
        made=made,
        stale=here and known.stale,
        gone=here and known.gone,
        renewed=known.desired_generation > (known.generation if here else 0),
        refused=here and known.error_known,
    )


def history_rows(school: SchoolId, key: ClassKey, delta: AppliedDelta) -> list[Entity]:
    """Every row has the time, because history is deleted by time together with its overflow rows."""
    moment = f"{delta.at:%Y%m%dT%H%M%S%f}Z-{uuid4().hex[:8]}"
    row = entity(school, f"{HISTORY}{key}:{moment}", {"class_key": key, **DELTA_COLUMNS.columns(delta)})
    return split(row, "at")
