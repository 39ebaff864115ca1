"""The calendar of a school over the API: set, cleared, and as the table of what happens when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync_core.admin.year.calendar import dates_ahead
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from tests.builders import NOON, SCHOOL, desired, settings
from tests.http.memory_api import Api

PATH = f"schools/{SCHOOL.id}"
DATES: dict[str, Any] = {
    "last_day": "2026-07-21",
    "first_day": "2026-09-02",
    "pause_from": "2026-09-07",
    "pause_until": "2026-09-08",
    "teachers_in_from": "2026-09-07",
    "pupils_in_from": "2026-09-09",
    "archive_on": "2026-10-01",
}


async def set_dates(api: Api, status: int = 200, **dates: str | None) -> dict[str, Any]:
    answer = await api.call("PATCH", PATH, {"calendar": dates}, content_type="application/merge-patch+json")
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def read_dates(api: Api) -> list[tuple[Any, ...]]:
    body = (await api.call("GET", f"{PATH}/calendar")).json()
    return [(each["name"], each["classes"], each["people"], each["past"]) for each in body["dates"]]


async def test_null_clears_a_date_and_what_is_left_out_stays(api: Api) -> None:
    saved = await set_dates(api, first_day="02/09/2027", last_day="2027-07-21", pupils_in_from="3/9/2027")
    assert (saved["calendar"]["first_day"], saved["calendar"]["pupils_in_from"]) == ("2027-09-02", "2027-09-03")
    saved = await set_dates(api, pupils_in_from=None)
    assert (saved["calendar"]["first_day"], saved["calendar"]["pupils_in_from"]) == ("2027-09-02", None)
    answer = await api.call("PATCH", PATH, {"calendar": None}, content_type="application/merge-patch+json")
    assert set(answer.json()["calendar"].values()) == {None, "additions_only"}


@pytest.mark.parametrize(
    ("dates", "fault"),
    [
        ({"first_day": "2027-07-21", "last_day": "2027-07-21"}, "calendar.first_day: should be after last_day"),
        ({"pause_from": "2027-08-01"}, "calendar.pause_until: a pause needs its last day; give it"),
        ({"pause": "nothing"}, "calendar.pause: needs the dates of the pause; give pause_from and pause_until"),
        ({"pupils_in_from": "2027-09-03"}, "calendar.pupils_in_from: needs first_day; give that too"),
        ({"archive_on": "31/02/2027"}, "calendar.archive_on: there is no such day; write the day, the month"),
    ],
)
async def test_dates_that_do_not_fit_each_other_are_refused(api: Api, dates: dict[str, str], fault: str) -> None:
    before = (await api.call("GET", PATH)).json()["calendar"]
    assert fault in (await set_dates(api, 422, **dates))["what"]
    assert (await api.call("GET", PATH)).json()["calendar"] == before


def plan_of(**values: Any) -> RunRecord:
    run = RunRecord(
        school=SCHOOL.id,
        id=RunId("night"),
        cause=Cause.NIGHTLY,
        at=NOON - timedelta(hours=10),
        outcome=RunOutcome.PLANNED,
        whole=True,
    )
    return replace(run, **values)


async def test_the_table_has_each_date_in_order_with_what_the_last_plan_knows(api: Api) -> None:
    await set_dates(api, **DATES)
    rows = [
        replace(desired(key), academic_year=year, key=ClassKey(key))
        for key, year in (("a", 2025), ("b", 2026), ("c", 2026))
    ]
    await api.state.write_desired(SCHOOL.id, rows)
    waiting = plan_of(classes_to_make=4, classes_to_fill=2, pupils_to_come=90, people_staying=7)
    await api.state.write_run(waiting)
    await api.state.write_run(plan_of(id=RunId("webhook"), at=NOON, whole=False))
    assert await read_dates(api) == [
        ("last_day", 1, None, True),
        ("first_day", 6, None, True),
        ("pause_from", 3, None, True),
        ("teachers_in_from", 2, None, True),
        ("pause_until", 3, 7, False),
        ("pupils_in_from", 6, 90, False),
        ("archive_on", 1, None, False),
    ]
    body = (await api.call("GET", f"{PATH}/calendar")).json()
    assert (body["today"], body["planned_at"]) == ("2026-09-07", waiting.at.isoformat().replace("+00:00", "Z"))
    assert body["dates"][5]["what"] == "pupils come into classes of 2026/27, the youngest first"


async def test_what_is_large_is_told_on_the_day_before_and_nothing_is_read_on_other_days(api: Api) -> None:
    services = api.app.services
    for date, told in (("2026-09-08", ["pupils_in_from"]), ("2026-09-07", []), ("2026-09-09", [])):
        one = settings(calendar={"first_day": "2026-09-02", "pupils_in_from": date})
        assert [each.name for each in await dates_ahead(one, services)] == told
    ends = settings(calendar={"pause_from": "2026-09-01", "pause_until": "2026-09-07", "last_day": "2026-09-07"})
    assert [each.name for each in await dates_ahead(ends, services)] == ["pause_until"]


async def test_a_school_without_dates_has_an_empty_table(api: Api) -> None:
    assert await read_dates(api) == []
