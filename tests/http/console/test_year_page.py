"""The page of the year and the strip of the home: past, today, tomorrow, a calendar that is over, and a pause."""

from __future__ import annotations

from dataclasses import replace

from sync_core.domain.ids import RunId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import SyncSchool
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, entra_id, settings, teaching
from tests.http.console.memory_console import Console, text_of
from tests.http.memory_api import Api

PATH = f"/schools/{SCHOOL.id}"


async def set_dates(api: Api, **dates: str) -> None:
    saved = await api.state.school(SCHOOL.id)
    assert saved
    await api.state.save_school(replace(saved, calendar=settings(calendar=dates).calendar))


async def sync(api: Api, run: str) -> None:
    await sync_school(SyncSchool(SCHOOL.id, RunId(run), Cause.NIGHTLY), api.app.services)


async def test_the_strip_says_in_words_what_is_past_and_what_is_near(console: Console) -> None:
    await set_dates(
        console.api,
        last_day="2026-07-21",
        first_day="2026-09-02",
        teachers_in_from="2026-09-07",
        pupils_in_from="2026-09-08",
        archive_on="2026-10-01",
    )
    text = text_of(await console.read(PATH))
    for shown in ("21 Jul Last day of the year ✔ past", "7 Sep Teachers come in ● today"):
        assert shown in text
    for shown in ("8 Sep Pupils come in ● tomorrow", "1 Oct Reminder to archive ● in 24 days"):
        assert shown in text
    page = text_of(await console.read(f"{PATH}/year"))
    assert "No plan of the last 30 days covers the whole school, so what is to come is not counted." in page
    assert "8 September 2026 ● tomorrow Pupils come into classes of 2026/27, the youngest first. 0 –" in page


async def test_the_page_counts_what_the_last_plan_withheld(console: Console) -> None:
    console.api.mis.groups = [teaching("T1", "Art", ["amy", "ben"], ["main"])]
    await set_dates(console.api, first_day="2026-09-02", pupils_in_from="2026-09-08")
    await sync(console.api, "night")
    page = text_of(await console.read(f"{PATH}/year"))
    assert "Pupils come into classes of 2026/27, the youngest first. 1 2" in page
    assert "Classes and people as of the last plan of the school" in page


async def test_a_calendar_that_is_over_says_that_nothing_waits_for_a_day(console: Console) -> None:
    await set_dates(console.api, last_day="2026-07-21", first_day="2026-09-02", pupils_in_from="2026-09-03")
    page = text_of(await console.read(f"{PATH}/year"))
    assert "All dates are past. Set those of the next year before its groups are in the MIS" in page
    await set_dates(console.api, first_day="2026-09-02", archive_on="2026-10-01")
    assert "All dates are past" not in await console.read(f"{PATH}/year")


async def test_a_school_that_its_calendar_pauses_is_not_ill(console: Console) -> None:
    await set_dates(console.api, pause_from="2026-09-01", pause_until="2026-09-30", pause="nothing")
    await sync(console.api, "night")
    text = text_of(await console.read(PATH))
    assert "● paused by its calendar" in text
    assert "1 Sep Pause begins ✔ past" in text and "30 Sep Last day of the pause ● in 23 days" in text


async def test_why_says_that_a_pupil_waits_for_a_day(console: Console) -> None:
    console.api.mis.groups = [teaching("T1", "Art", ["amy"], ["main"])]
    await set_dates(console.api, first_day="2026-09-02", pupils_in_from="2026-09-08")
    await sync(console.api, "night")
    form = await console.read(f"{PATH}/why")
    answer = await console.send(form, f"{PATH}/why", 200, person=entra_id("amy"), **{"class": "2026.teaching.T1"})
    text = text_of(answer.text)
    assert "● waits for a day of the calendar" in text
    assert "; pupils come into next year's classes from 8 September 2026, and until then they stay as they are." in text
