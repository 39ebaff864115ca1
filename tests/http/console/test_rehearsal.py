"""The pages of the rehearsal: a day, what it would do, and its approval for then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from local.school.data import SchoolData
from local.school.oneroster_csv import write
from sync_core.http.console.session import FIELD
from sync_core.messaging.messages import ApplyPlan
from tests.admin.test_rehearsal import BEGINS, KEPT, NEW, NO_LIMITS, Years
from tests.builders import SCHOOL
from tests.flow.trust import pupils, staff, teaching
from tests.http.built import serve_services
from tests.http.console.memory_console import Console, field_value, text_of
from tests.mis.test_dated import zipped

AT = f"/schools/{SCHOOL.id}/rehearsal"
RUNS = f"/schools/{SCHOOL.id}/runs"


@pytest.fixture
async def years() -> Years:
    years = Years()
    await years.begin()
    return years


@pytest.fixture
def console(years: Years) -> Console:
    return Console(serve_services(years.services, years.state, years.tenant))


def approval(page: str, at: str = "02:00") -> Mapping[str, str]:
    return {"digest": field_value(page, "digest"), "day": field_value(page, "day"), "at": at}


async def test_a_day_is_rehearsed_approved_and_withdrawn(years: Years, console: Console) -> None:
    assert "Rehearse the turn of the year" in text_of(await console.read(AT))
    page = await console.read(f"{AT}?day=01/09/2027")
    text = text_of(page)
    assert "What 01 Sep 2027 would do" in text
    assert "Classes that begin: 1 They are made, with these addresses." in text
    assert "12xMaths.class.1234567.2027 Teaching 2027/28 5" in text
    assert "Classes that end: 1 The MIS does not have their groups then." in text
    answer = await console.send(page, AT, 303, **approval(page))
    request, at = years.outbox.requests[-1]
    assert isinstance(request, ApplyPlan)
    assert at == BEGINS
    run = answer.headers["location"]
    assert run == f"{RUNS}/{request.run}"
    page = await console.read(run)
    assert "This plan is approved for" in text_of(page)
    assert "approved for 01 Sep 2027 01:00 UTC" in text_of(await console.read(RUNS))
    assert "A run is under way" not in text_of(await console.read(f"/schools/{SCHOOL.id}/tonight"))
    await console.send(page, f"{run}/withdraw", 303)
    assert "An admin withdrew the approval before its time" in text_of(await console.read(run))


async def test_a_rehearsal_that_changed_is_shown_instead(years: Years, console: Console) -> None:
    page = await console.read(f"{AT}?day=2027-09-01")
    years.next_year = (NEW, KEPT)
    answer = await console.send(page, AT, 409, **approval(page))
    assert "The rehearsal has changed, so nothing was approved" in answer.text
    assert years.outbox.requests == []


async def test_many_people_who_leave_are_confirmed(years: Years, console: Console) -> None:
    crowd = [f"pupil {number}" for number in range(30)]
    await years.fill(crowd)
    page = await console.read(f"{AT}?day=2027-09-01")
    assert "type the school’s code, S1" in text_of(page)
    answer = await console.send(page, AT, 422, **approval(page))
    assert "School code: type S1 to confirm that 30 people leave a class" in text_of(answer.text)
    await console.send(page, AT, 303, **approval(page), confirm="S1")
    assert len(years.outbox.requests) == 1


@pytest.mark.parametrize(
    ("day", "fault"), [("soon", "Day: "), ("01/09/2020", "Day: the turn of the year can be rehearsed for a day")]
)
async def test_a_day_that_cannot_be_rehearsed_is_told_at_its_field(console: Console, day: str, fault: str) -> None:
    assert fault in text_of(await console.read(f"{AT}?day={day}", 422))


async def test_a_time_that_is_none_is_told_at_its_field(years: Years, console: Console) -> None:
    page = await console.read(f"{AT}?day=2027-09-01")
    answer = await console.send(page, AT, 422, **approval(page, "at night"))
    assert "Time: type the time as hours and minutes" in text_of(answer.text)
    assert years.outbox.requests == []


async def test_an_uploaded_export_is_rehearsed_and_not_approved(years: Years, console: Console, tmp_path: Path) -> None:
    years.chosen = {"limits": NO_LIMITS}
    await years.state.save_school(years.settings)
    groups = (teaching("T9", "Latin", "amy ben", "main"),)
    write(SchoolData("S1", "Test School", "1234567", 2027, pupils("amy ben"), staff("main"), groups), tmp_path)
    page = await console.read(AT)
    fields = {FIELD: field_value(page, FIELD), "day": "01/09/2027"}
    shown = await console.call("POST", f"{AT}/zip", fields, file=zipped(tmp_path))
    assert shown.status_code == 200, shown.text
    assert "Latin.class.1234567.2027" in text_of(shown.text)
    assert "This is the plan of the uploaded file, and it cannot be approved" in text_of(shown.text)
    assert "Approve this plan" not in shown.text
    missing = await console.call("POST", f"{AT}/zip", fields, file=b"")
    assert missing.status_code == 422
    assert "Zip file: choose the zip file with next year's export" in text_of(missing.text)
    rejected = await console.call("POST", f"{AT}/zip", fields, file=b"no zip")
    assert "No plan can be made for that day now" in text_of(rejected.text)
