"""The rows of a feed that were left out, over the admin API: as a list and as a file for a spreadsheet."""

from __future__ import annotations

import csv

from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.roster import LeftOut
from sync_core.domain.runs import LeftOutRows
from tests.builders import NOON, SCHOOL
from tests.http.memory_api import Api

PATH = f"schools/{SCHOOL.id}/left-out"
ROW = LeftOut("users.csv", "line 3", "orgSourcedIds", "2 letters", "is not in orgs.csv", "correct it", SCHOOL.id)
ANY = LeftOut("users.csv", "line 4", "", "", "=1+1", "export, again", SchoolId(""))


async def test_nothing_was_ever_left_out(api: Api) -> None:
    assert await api.answer("GET", PATH) == {"run": None, "at": None, "count": 0, "rows": []}


async def test_the_rows_are_listed_in_their_order_with_the_number_of_all(api: Api) -> None:
    await _write(api)
    listed = await api.answer("GET", PATH)
    assert (listed["run"], listed["count"]) == ("R1", 900)
    assert [row["place"] for row in listed["rows"]] == ["line 3", "line 4"]
    assert [row["school"] for row in listed["rows"]] == [SCHOOL.id, ""]


async def test_a_spreadsheet_gets_a_file_in_which_nothing_is_a_formula(api: Api) -> None:
    await _write(api)
    response = await api.call("GET", PATH, accept="text/csv;q=0.9, */*")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="left-out.csv"'
    first, second = csv.DictReader(response.text.splitlines())
    assert first == {**{name: getattr(ROW, name) for name in LeftOut.__slots__}}
    assert (second["reason"], second["remedy"]) == ("'=1+1", "export, again")


async def _write(api: Api) -> None:
    rows = {"0001": ROW, "0002": ANY}
    await api.state.write_left_out(SCHOOL.id, LeftOutRows(run=RunId("R1"), at=NOON, count=900, rows=rows))
