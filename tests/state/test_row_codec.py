"""Lists of any length in rows that Azure Tables accepts: split, joined, and merged without mixing two writes."""

from __future__ import annotations

from dataclasses import replace
from string import printable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.classes.desired import DesiredClass, Reason, Rule
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.teams import ActualTeam, TeamState
from sync_core.domain.ids import ClassId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.errors import RowTooLarge, SyncError
from sync_core.state.class_rows import ACTUAL_COLUMNS, DESIRED_COLUMNS, desired_rows, history_rows
from sync_core.state.overflow_rows import (
    PARTS_IN_ROW,
    Torn,
    grouped_by_row,
    has_overflow,
    overflow_prefix,
    split,
    whole,
)
from sync_core.state.row_codec import CHUNK, Entity, chunked, encode_key, joined
from sync_core.state.table import batches, entity_size, group_size, upserts
from tests.builders import NOON, desired, entra_ids, synced

LISTS = (
    "desired_members",
    "desired_owners",
    "desired_reasons",
    "desired_expired_owners",
    "desired_group_teachers",
    "desired_year_end_pupils",
    "actual_members",
    "actual_owners",
    "actual_granted",
    "actual_team_members",
    "actual_team_owners",
    "actual_team_refused",
    "previous_ids",
)
IN_ROW = PARTS_IN_ROW * CHUNK
MIB = 1_048_576

texts = st.builds(
    lambda seed, length: (seed * (length // len(seed) + 1))[:length],
    st.text(printable, min_size=1, max_size=50),
    st.sampled_from([0, 1, CHUNK, CHUNK + 1, IN_ROW, IN_ROW + 1, 15 * CHUNK, 15 * CHUNK + 1, 800_000]),
)
imitations = st.just("in overflow rows: c:K,members,… parts 1 sha256 0123456789abcdef")
lists = st.dictionaries(st.sampled_from(LISTS), texts | imitations)
scalars = st.dictionaries(
    st.sampled_from(["class_key", "at", "stale", "actual_members_count"]), st.text(printable) | st.booleans()
)


def entity(lists: dict[str, str], scalars: Entity | None = None) -> Entity:
    row: Entity = {"PartitionKey": "S1", "RowKey": "c:K", **(scalars or {})}
    for name, text in lists.items():
        row |= chunked(name, text)
    return row


@given(lists, scalars)
def test_split_rows_fit_and_survive_a_round_trip(lists: dict[str, str], scalars: Entity) -> None:
    rows = split(entity(lists, scalars))
    for row in rows:
        assert entity_size(row) < MIB
        assert len(row) <= 252
        assert all(len(value) <= CHUNK for value in row.values() if isinstance(value, str))
    assert len({row["RowKey"] for row in rows}) == len(rows)
    assert has_overflow(rows[0]) == (len(rows) > 1)
    (read_back,) = whole(reversed(rows))
    assert {name: joined(read_back, name) for name in lists} == lists
    assert {name: read_back[name] for name in scalars} == scalars


@given(st.dictionaries(st.sampled_from(LISTS), st.sampled_from(["", "a b", "x" * IN_ROW])), scalars)
def test_an_ordinary_row_is_not_split(lists: dict[str, str], scalars: Entity) -> None:
    assert split(entity(lists, scalars)) == [entity(lists, scalars)]


@given(st.lists(lists, min_size=1, max_size=6))
def test_repeated_merges_fit_in_a_row_and_the_last_one_is_read(writes: list[dict[str, str]]) -> None:
    stored: dict[str, Entity] = {}
    last: dict[str, str] = {}
    for write in writes:
        row, *overflow = split(entity(write))
        stored["c:K"] = stored.get("c:K", {}) | row
        stored |= {row["RowKey"]: row for row in overflow}
        last |= write
        assert entity_size(stored["c:K"]) < MIB
    (read_back,) = whole([dict(row) for row in stored.values()])
    assert {name: joined(read_back, name) for name in last} == last


@given(st.lists(lists, min_size=2, max_size=2), st.data())
def test_rows_of_two_writes_are_never_mixed(writes: list[dict[str, str]], data: st.DataObject) -> None:
    """Each row may be of either write, or missing: the read returns the write that the main row refers to, or fails."""
    rows_by_write = [{row["RowKey"]: row for row in split(entity(write))} for write in writes]
    chosen = data.draw(st.sampled_from([0, 1]))
    rows = [rows_by_write[chosen]["c:K"]]
    for key in sorted((rows_by_write[0].keys() | rows_by_write[1].keys()) - {"c:K"}):
        row = data.draw(st.sampled_from([rows_by_write[0].get(key), rows_by_write[1].get(key)]))
        rows += [dict(row)] if row else []
    try:
        (read_back,) = whole(rows)
    except Torn:
        assert writes[0] != writes[1]
    else:
        assert {name: joined(read_back, name) for name in writes[chosen]} == writes[chosen]


def test_a_part_of_another_write_is_detected() -> None:
    row, first, second = split(entity({"members": "a" * 16 * CHUNK}))
    _, other, _ = split(entity({"members": "b" * 16 * CHUNK}))
    for rows in ([row, other, second], [row, first], [row]):
        with pytest.raises(Torn):
            whole([dict(each) for each in rows])
    assert whole([first, second]) == []


def test_overflow_rows_have_keys_that_no_other_row_has() -> None:
    row, *overflow = split(entity({"members": "a" * 16 * CHUNK}, {"at": "noon"}), "at")
    prefix = overflow_prefix("c:K")
    assert [each["RowKey"] for each in overflow] == ["c:K,members,1", "c:K,members,2"]
    assert {each["at"] for each in (row, *overflow)} == {"noon"}
    assert all(each["RowKey"].startswith(prefix) for each in overflow)
    for key in ("K", "K,members,1", "K-", "K!2C", "K.", "K ", "K+", "K~"):
        assert not f"c:{encode_key(key)}".startswith(prefix)
    assert grouped_by_row(["h:K:1", "h:K:1,members,1", "h:K:2"]) == [["h:K:1", "h:K:1,members,1"], ["h:K:2"]]


def test_the_largest_possible_row_of_a_class_fits() -> None:
    """Guards PARTS_IN_ROW: this fails if another list is added to a class."""
    crowd = entra_ids(f"p{number}" for number in range(IN_ROW // 37))
    some = sorted(crowd)[: IN_ROW // 84]
    wanted = replace(
        desired("K"),
        members=crowd,
        owners=crowd,
        reasons={person: Reason(Rule.STUDENT, MisId(person)) for person in some},
    )
    team = ActualTeam(state=TeamState.OPEN, members=crowd, owners=crowd, refused=crowd)
    record = synced(wanted)
    assert record.actual is not None
    record = replace(record, actual=replace(record.actual, team=team), previous_ids=frozenset(map(ClassId, crowd)))
    row: Entity = {"PartitionKey": "S" * 400, "RowKey": "c:K"}
    row |= DESIRED_COLUMNS.columns(wanted) | ACTUAL_COLUMNS.columns(record)
    assert split(row) == [row]
    assert sum(1 for column in row if column.endswith("_count")) == len(LISTS)
    full_lists = {name: "x" * CHUNK for name in row if name.endswith("_0")}
    assert len(full_lists) == PARTS_IN_ROW * len(LISTS)
    assert entity_size(row | full_lists) < MIB


sizes = st.sampled_from([1, 30_000, 250_000, 480_000])


@given(st.lists(st.lists(sizes, min_size=1, max_size=3), min_size=4, max_size=20))
def test_rows_that_belong_together_share_a_transaction(lengths: list[list[int]]) -> None:
    groups = [
        upserts(
            {"PartitionKey": "S", "RowKey": f"{at}.{part}", **chunked("x", "x" * length)}
            for part, length in enumerate(parts)
        )
        for at, parts in enumerate(lengths)
    ]
    transactions = list(batches(groups))
    assert [operation for batch in transactions for operation in batch] == [each for group in groups for each in group]
    assert all(sum(entity_size(row) for _, row, _ in batch) < 4 * MIB for batch in transactions)
    transaction_of = {row["RowKey"]: at for at, batch in enumerate(transactions) for _, row, _ in batch}
    assert all(len({transaction_of[row["RowKey"]] for _, row, _ in group}) == 1 for group in groups)


AT_MOST = {"PartitionKey": "S" * 512, "RowKey": "😀" * 256, "x": "é" * 32_768, "y": "😀" * 16_384}


def test_a_text_and_a_key_are_as_long_as_azure_takes_them() -> None:
    assert entity_size(AT_MOST) > 2 * 64 * 1024


@pytest.mark.parametrize("name", AT_MOST)
def test_a_text_or_a_key_that_azure_refuses_is_too_large(name: str) -> None:
    with pytest.raises(RowTooLarge, match=rf"has \d+ bytes in {name} and does not fit"):
        entity_size(AT_MOST | {name: AT_MOST[name] + "é"})


def test_a_transaction_has_at_most_a_hundred_rows() -> None:
    rows = [{"PartitionKey": "S", "RowKey": str(number)} for number in range(201)]
    assert [len(batch) for batch in batches([[each] for each in upserts(rows)])] == [100, 100, 1]
    threes = [upserts(rows[at : at + 3]) for at in range(0, 201, 3)]
    assert [len(batch) for batch in batches(threes)] == [99, 99, 3]


def make_crowd(people: int, record: str) -> DesiredClass:
    crowd = entra_ids(f"p{number}" for number in range(people))
    return replace(
        desired("K"), members=crowd, reasons={person: Reason(Rule.STUDENT, MisId(record)) for person in crowd}
    )


@pytest.mark.parametrize(("largest_size", "record"), [(7_500, "x" * 36), (10_700, "")])
def test_the_largest_class_of_a_plan_can_be_recorded_by_apply(largest_size: int, record: str) -> None:
    """All members of the largest class were added at once, and as many others removed."""
    largest, others = make_crowd(largest_size, record), entra_ids(f"q{number}" for number in range(largest_size))
    assert desired_rows(SchoolId("S"), largest)
    delta = AppliedDelta(
        run=RunId("run"),
        cause=Cause.NIGHTLY,
        at=NOON,
        members_added=largest.members,
        members_removed=others,
        reasons=largest.reasons,
    )
    actual: Entity = {"PartitionKey": "S", "RowKey": "c:K", **ACTUAL_COLUMNS.columns(synced(largest))}
    group_size([*split(actual), *history_rows(SchoolId("S"), ClassKey("K"), delta)])
    larger = make_crowd(largest_size + 300, record)
    with pytest.raises(SyncError, match="split the group in the MIS"):
        desired_rows(SchoolId("S"), larger)
