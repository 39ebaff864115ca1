"""The rows of a feed that were left out, as data and as a CSV file for the people who keep the MIS."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, fields
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from sync_core.domain.ids import RunId
from sync_core.domain.roster import LeftOut
from sync_core.domain.runs import LeftOutRows

LEFT_OUT_AS_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
AS_FILE = {"Content-Disposition": 'attachment; filename="left-out.csv"'}
_FORMULA = ("=", "+", "-", "@")


class LeftOutList(BaseModel):
    """The rows that a run left out of the feed: their number, and the first of them. Null if no run left any out."""

    run: RunId | None
    at: datetime | None
    count: int
    rows: list[LeftOut]


def left_out_body(found: LeftOutRows | None) -> LeftOutList:
    if found is None:
        return LeftOutList(run=None, at=None, count=0, rows=[])
    rows = [row for _, row in sorted(found.rows.items())]
    return LeftOutList(run=found.run, at=found.at, count=found.count, rows=rows)


def left_out_csv(found: LeftOutList) -> str:
    """A header and a line for each row. A spreadsheet takes no cell for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(field.name for field in fields(LeftOut))
    for row in found.rows:
        writer.writerow(f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in astuple(row))
    return text.getvalue()
