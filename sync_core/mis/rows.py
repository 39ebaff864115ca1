"""The rows of a feed's tables, in one form for the lines of files and the records of servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Row:
    """One record: its location, and its stripped cells, at the places of `columns`. Not frozen: a feed has millions.

    `source` is the file or the collection. `at` is the line in the file, or the id of the record in the collection.
    `fault` says why the row could not be read. Its cells are then a guess.
    """

    source: str
    at: int | str
    columns: Mapping[str, int] = field(default_factory=dict)
    cells: Sequence[str] = ()
    fault: str = ""

    def __getitem__(self, column: str) -> str:
        return self.cells[self.columns[column]]

    @property
    def place(self) -> str:
        return f"line {self.at}" if isinstance(self.at, int) else self.at

    @property
    def location(self) -> str:
        return f"{self.source} {self.place}"

    def ids(self, column: str) -> list[str]:
        """The ids in a column that lists them with commas, or with the separator of the file."""
        text = self[column].replace(";", ",").replace("\t", ",")
        return [id_.strip() for id_ in text.split(",") if id_.strip()]


LeaveOut = Callable[[Row, str, str], None]
"""Leaves a row out of its table: the row, the column and the reason."""


def by_id(rows: Iterable[Row], column: str, leave_out: LeaveOut) -> dict[str, Row]:
    """The rows by id. A row without an id, or with the id of an earlier row that says something else, is left out."""
    rows_by_id: dict[str, Row] = {}
    for row in rows:
        id_ = row[column]
        if row.fault:
            leave_out(row, "", row.fault)
        elif not id_:
            leave_out(row, column, "is empty")
        elif (first := rows_by_id.setdefault(id_, row)) is not row and first.cells != row.cells:
            leave_out(row, column, f"repeats the id of {first.location}, with other values")
    return rows_by_id
