"""The rows of a feed's tables, in one form for the lines of files and the records of servers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sync_core.domain.ids import may_be_personal
from sync_core.mis.budget import MAX_ITEMS, Budget


@dataclass(slots=True)
class Row:
    """One record: its location, and its stripped cells, at the places of `columns`. Not frozen: a feed has millions.

    `source` is the file or the collection. `at` is the line in the file, or says which record of the
    collection. `fault` says why the row could not be read. If it is the fault of one `column`, the cell there is empty.
    Otherwise all cells are a guess.
    """

    source: str
    at: int | str
    columns: Mapping[str, int] = field(default_factory=dict)
    cells: Sequence[str] = ()
    fault: str = ""
    column: str = ""

    def __getitem__(self, column: str) -> str:
        return self.cells[self.columns[column]]

    @property
    def is_guess(self) -> bool:
        return bool(self.fault) and not self.column

    @property
    def place(self) -> str:
        return f"line {self.at}" if isinstance(self.at, int) else self.at

    @property
    def location(self) -> str:
        return f"{self.source} {self.place}"

    def ids(self, column: str) -> list[str]:
        """The ids in a column that lists them with commas, or with the separator of the file."""
        return split_ids(self[column])


def record_place(id_: str, number: int) -> str:
    """What a record of a collection is called in messages: its id, or its number if the id is empty or personal."""
    return f"number {number}" if not id_ or may_be_personal(id_) else id_


def split_ids(text: str) -> list[str]:
    """The ids in a cell that lists them. Some exporters write the list as JSON or Python does: `["T1","T2"]`."""
    parts = text.replace(";", ",").replace("\t", ",").split(",")
    if _WRITTEN_LIST.fullmatch(text):
        parts = [part.strip("[]\"' ") for part in parts]
    return [id_ for id_ in map(str.strip, parts) if id_]


_WRITTEN_LIST = re.compile(r"\[\s*(?:([\"']).*\1)?\s*\]", re.DOTALL)


LIST_COLUMNS = frozenset(
    ("orgSourcedIds", "termSourcedIds", "sessionSourcedIds", "grades", "School DfE Number", "School SIS ID")
)
"""The columns that may list ids, in any of the formats."""

LeaveOut = Callable[[Row, str, str], None]
"""Leaves a row out of its table: the row, the column and the reason."""


def by_id(rows: Iterable[Row], column: str, leave_out: LeaveOut, budget: Budget, joined: str = "") -> dict[str, Row]:
    """The rows by id, within the budget. Raises SnapshotRejected.

    A row without an id, or with the id of an earlier row that says something else, is left out. Rows that differ only
    in the column `joined`, which lists ids, are one row with the ids of all.
    """
    rows_by_id: dict[str, Row] = {}
    for row in rows:
        id_ = row[column]
        if row.fault:
            leave_out(row, row.column, row.fault)
        elif not id_:
            leave_out(row, column, "is empty")
        elif (first := rows_by_id.setdefault(id_, row)) is row:
            budget.keep_row(row.cells)
        elif first.cells == row.cells:
            continue
        elif (whole := _joined(first, row, joined)) is not None:
            budget.keep_row([row[joined]])
            rows_by_id[id_] = whole
        else:
            leave_out(row, column, f"repeats the id of {first.location}, with other values")
    return rows_by_id


def _joined(first: Row, row: Row, column: str) -> Row | None:
    """`first` with the ids of both rows in `column`. None if they differ in anything else, or would be too many."""
    if not column:
        return None
    place = first.columns[column]
    cells = [*first.cells]
    cells[place] = row[column]
    ids = dict.fromkeys((*first.ids(column), *row.ids(column)))
    if cells != [*row.cells] or len(ids) > MAX_ITEMS:
        return None
    cells[place] = ",".join(ids)
    return replace(first, cells=cells)


def nearest(parents: Mapping[str, str], ends: Collection[str]) -> dict[str, str]:
    """For each id the first of `ends` that it is, or is below. An id that is below none is left out.

    Each id is looked at once, however long the chains of parents are.
    """
    found: dict[str, str] = {id_: id_ for id_ in parents if id_ in ends}
    seen = set(found)
    for start in parents:
        chain: list[str] = []
        id_ = start
        while id_ in parents and id_ not in seen:
            seen.add(id_)
            chain.append(id_)
            id_ = parents[id_]
        if id_ in found:
            found.update(dict.fromkeys(chain, found[id_]))
    return {id_: found[id_] for id_ in parents if id_ in found}
