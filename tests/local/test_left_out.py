"""The rows that a sync left out, as the command line lists them."""

from __future__ import annotations

import pytest

from local.left_out import left_out_lines
from sync_core.domain.ids import RunId
from sync_core.domain.roster import LeftOut
from sync_core.domain.runs import LeftOutRows
from tests.builders import NOON, SCHOOL


def rows(listed: int) -> dict[str, LeftOut]:
    return {
        f"{number:04}": LeftOut("users.csv", f"line {number}", "role", "6 letters", "is unknown", "mend it", SCHOOL.id)
        for number in range(1, listed + 1)
    }


@pytest.mark.parametrize(
    ("count", "listed", "last"),
    [
        (10, 10, 'left out: users.csv line 10, column "role": is unknown (6 letters) — mend it'),
        (11, 11, "left out: 1 more — 'python -m local plan' with the same feed and settings lists all"),
        (900, 500, "left out: 890 more — 'python -m local plan' with the same feed and settings lists the first 500"),
    ],
)
def test_the_first_ten_are_listed_with_the_way_to_see_the_others(count: int, listed: int, last: str) -> None:
    lines = left_out_lines(LeftOutRows(run=RunId("R"), at=NOON, count=count, rows=rows(listed)))
    assert lines[0] == 'left out: users.csv line 1, column "role": is unknown (6 letters) — mend it'
    assert len([line for line in lines if "users.csv" in line]) == 10
    assert lines[-1] == last
