"""Every stored record survives a round trip through its columns, also over older values and from older rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime, timedelta, timezone
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from sync_core.domain.classes.desired import ClassRequest, DesiredClass, Pin, Reason, Rule
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Cause, HeldClass, Hold, HoldKind, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.webhooks import WebhookEvent
from sync_core.errors import SyncError, one_line, without_addresses
from sync_core.messaging.port import MessageFault
from sync_core.state import class_rows, school_rows
from sync_core.state.row_codec import CHUNK, RowCodec
from sync_core.state.webhook_inbox import EVENT_COLUMNS
from tests import builders
from tests.builders import NOON, desired, entra_id, synced


@dataclass(frozen=True)
class Stored:
    """A codec with its record. `elsewhere` are the fields that have no columns."""

    codec: RowCodec[Any]
    record: type
    elsewhere: tuple[str, ...] = ()
    prefix: str = ""

    def read(self, row: Mapping[str, Any], record: Any) -> Any:
        return self.codec.read(row, **{name: getattr(record, name) for name in self.elsewhere})

    def field_of(self, column: str) -> str:
        """The field with the longest name that is a prefix of the column's name."""
        names = [field.name for field in fields(self.record) if field.name not in self.elsewhere]
        return max((name for name in names if f"{column}_".startswith(f"{self.prefix}{name}_")), key=len)


STORED = [
    Stored(class_rows.DESIRED_COLUMNS, DesiredClass, prefix="desired_"),
    Stored(class_rows.ACTUAL_COLUMNS, ClassRecord, ("school", "desired", "etag")),
    Stored(class_rows.DELTA_COLUMNS, AppliedDelta),
    Stored(class_rows.REQUEST_COLUMNS, ClassRequest),
    Stored(class_rows.PIN_COLUMNS, Pin),
    Stored(school_rows.SETTINGS_COLUMNS, SchoolSettings),
    Stored(school_rows.STATISTICS_COLUMNS, FeedStatistics),
    Stored(school_rows.HOLD_COLUMNS, Hold, ("classes",)),
    Stored(school_rows.HELD_CLASS_COLUMNS, HeldClass),
    Stored(school_rows.RUN_COLUMNS, RunRecord),
    Stored(school_rows.FAULT_COLUMNS, MessageFault),
    Stored(EVENT_COLUMNS, WebhookEvent),
]
each_stored = pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored.record.__name__)

ODD = [" ", "a b", "a/b\\c", "#?%!", "%", "%20", "!20", ":", "a:b:c", "\n\t", "é 数 \u2028", "in overflow rows: x"]
filled_texts = st.text(min_size=1, max_size=8) | st.sampled_from(ODD)
texts = st.text(max_size=8) | st.sampled_from(["", *ODD])
zones = st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(0, 2**31 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    datetime: times,
}
# Restricted to the values that the domain creates: the columns cannot represent the others.
SPECIAL: dict[tuple[type, str], st.SearchStrategy[Any]] = {
    (RunRecord, "notes"): st.lists(
        texts.map(lambda text: without_addresses(one_line(text))).filter(bool), max_size=3
    ).map(tuple),
    # The sentences of these records are stored without addresses.
    **{(Hold, name): texts.map(without_addresses) for name in ("what", "remedy", "why")},
    **{(MessageFault, name): texts.map(without_addresses) for name in ("message", "remedy")},
    (HeldClass, "what"): texts.map(without_addresses),
}


@cache
def records(record: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(record)
    special = {name: strategy for (of, name), strategy in SPECIAL.items() if of is record}
    ordinary = {field.name: values(hints[field.name]) for field in fields(record)}

    def make(named: dict[str, Any]) -> Any:
        try:
            return record(**named)
        except ValueError:
            # An invalid combination of fields, such as a single zip file that is to be archived.
            reject()

    return st.fixed_dictionaries(ordinary | special).map(make)


def values(type_: Any) -> st.SearchStrategy[Any]:
    type_ = getattr(type_, "__supertype__", type_)
    arguments = get_args(type_)
    match get_origin(type_):
        case None if hasattr(type_, "__dataclass_fields__"):
            return records(type_)
        case None:
            return SCALARS[type_] if type_ in SCALARS else st.from_type(type_)
        case origin if origin in (Union, UnionType):
            either = [values(each) for each in arguments]
            if NoneType in arguments:
                # None is stored as an empty text.
                either = [filled_texts if each is texts else each for each in either]
            return st.one_of(either)
        case origin if origin is Literal:
            return st.sampled_from(arguments)
        case origin if origin is tuple:
            return st.lists(values(arguments[0]), max_size=3).map(tuple)
        case origin if origin is frozenset:
            return st.frozensets(values(arguments[0]), max_size=3)
        case _:
            return st.dictionaries(*map(values, arguments), max_size=3)


@each_stored
@settings(max_examples=50)
@given(st.data())
def test_a_record_survives_a_round_trip_through_its_columns(stored: Stored, data: st.DataObject) -> None:
    record = data.draw(records(stored.record))
    row = stored.codec.columns(record)
    assert {type(value) for value in row.values()} <= {str, int, float, bool}
    assert stored.read(row, record) == record


@each_stored
@settings(max_examples=50)
@given(st.data())
def test_a_record_merged_into_a_row_replaces_the_one_before(stored: Stored, data: st.DataObject) -> None:
    before, record = data.draw(records(stored.record)), data.draw(records(stored.record))
    assert stored.read(stored.codec.columns(before) | stored.codec.columns(record), record) == record
    empty = stored.codec.columns(None)
    first = {name for name in stored.codec.columns(record) if not name[-1].isdigit() or name.endswith("_0")}
    assert stored.record is SchoolSettings or first == empty.keys()


@each_stored
@settings(max_examples=50)
@given(st.data())
def test_a_field_that_is_not_in_the_row_has_its_default(stored: Stored, data: st.DataObject) -> None:
    record = data.draw(records(stored.record))
    row = stored.codec.columns(record)
    fields_of_columns = {column: stored.field_of(column) for column in row}
    for field in fields(stored.record):
        if field.name in stored.elsewhere or field.default is field.default_factory is MISSING:
            continue
        older_row = {column: value for column, value in row.items() if fields_of_columns[column] != field.name}
        assert len(older_row) < len(row)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        assert stored.read(older_row, record) == replace(record, **{field.name: default})


def test_plan_and_apply_write_different_columns() -> None:
    record = synced(desired("K1", ["amy"], ["main"]))
    wanted = class_rows.DESIRED_COLUMNS.columns(record.desired)
    assert not wanted.keys() & class_rows.ACTUAL_COLUMNS.columns(record).keys()


@given(times, times)
def test_times_compare_as_text(one: datetime, other: datetime) -> None:
    first, second = (
        FeedStatistics(
            dfe_code="", academic_year=0, groups=0, students=0, staff=0, enrolments=0, domain="", taken_at=at
        )
        for at in (one, other)
    )
    columns = school_rows.STATISTICS_COLUMNS.columns
    assert (columns(first)["taken_at"] < columns(second)["taken_at"]) == (one < other)


def test_a_nested_field_that_is_not_in_the_row_has_its_default() -> None:
    record = synced(desired("K1", ["amy"], ["main"]))
    row = class_rows.ACTUAL_COLUMNS.columns(record)
    older_row = {
        name: value for name, value in row.items() if not name.startswith(("actual_granted", "actual_members"))
    }
    actual = class_rows.ACTUAL_COLUMNS.read(older_row, school="S", desired=record.desired).actual
    assert record.actual
    assert actual == replace(record.actual, granted=frozenset(), members=None)


def test_an_admin_can_read_a_row() -> None:
    wanted = replace(
        desired("2026.teaching.T!2F1", ["amy"]), reasons={entra_id("amy"): Reason(Rule.STUDENT, MisId("p 1"))}
    )
    row = class_rows.DESIRED_COLUMNS.columns(wanted)
    assert (row["desired_key"], row["desired_group_type"]) == (wanted.key, "teaching")
    assert (row["desired_members_count"], row["desired_members_0"]) == ("1", entra_id("amy"))
    assert row["desired_reasons_0"] == f"{entra_id('amy')}:student:p%201"
    run = RunRecord(
        school=SchoolId("S1"),
        id=RunId("r1"),
        cause=Cause.NIGHTLY,
        at=NOON,
        outcome=RunOutcome.PLANNED,
        held=(wanted.key, ClassKey("K2")),
        notes=("one, two", "three"),
    )
    row = school_rows.RUN_COLUMNS.columns(run)
    assert (row["held_0"], row["notes_0"]) == ("2026.teaching.T!2F1 K2", "one, two\nthree")
    assert (row["at"], row["outcome"]) == ("2026-09-07T12:00:00+00:00", "planned")
    row = school_rows.SETTINGS_COLUMNS.columns(builders.settings(admin_owners=["a.b-c@d.org"]))
    assert (row["source_kind"], row["source_path"], row["students_mis"]) == (
        "folder",
        "feed",
        builders.settings().students.mis,
    )
    assert row["admin_owners_0"] == "a.b-c@d.org"


def test_long_messages_of_a_hold_and_a_fault_are_cut() -> None:
    long = "x" * (CHUNK + 1)
    hold = school_rows.HOLD_COLUMNS.columns(
        Hold(digest="d", kind=HoldKind.TURNOVER, classes=(), what=long, remedy=long, run=RunId("r"), at=NOON)
    )
    fault = school_rows.FAULT_COLUMNS.columns(
        MessageFault(queue="q", message_id="m", session="s", deliveries=1, message=long, remedy=long, at=NOON)
    )
    assert {len(row[name]) for row, name in ((hold, "what"), (hold, "remedy"), (fault, "message"))} == {CHUNK}


def test_a_source_of_a_newer_version_is_rejected_with_a_remedy() -> None:
    row = school_rows.SETTINGS_COLUMNS.columns(builders.settings()) | {"source_kind": "Abacus"}
    with pytest.raises(SyncError, match=r"school S1 is read from Abacus.*deploy the version of the app that saved"):
        school_rows.read_school(row)


def test_a_field_of_an_unsupported_type_is_rejected() -> None:
    @dataclass
    class Odd:
        value: bytes

    with pytest.raises(TypeError, match="the field value of type"):
        RowCodec(Odd)
