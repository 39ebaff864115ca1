"""The rows of a feed that were left out, as data and as a CSV file for the people who keep the MIS."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from sync_core.domain.ids import RunId
from sync_core.domain.roster import LeftOut
from sync_core.domain.runs import LeftOutRows


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
