"""The end of the year over the admin API: a preview, and what it showed by its digest."""

from __future__ import annotations

from typing import Any

import pytest

from sync_core.admin.year.year_end import end_year, take_back
from sync_core.domain.ids import RunId
from sync_core.messaging.messages import EndYear, TakeBackYearEnd
from tests.admin.year_end_scene import ART_KEY, MATHS_KEY, MUSIC_KEY, Scene
from tests.builders import SCHOOL
from tests.http.built import serve_services
from tests.http.memory_api import Api

PATH = f"schools/{SCHOOL.id}/year-end"
ORDER: dict[str, Any] = {
    "filter": {"years": [2025]},
    "choice": {"rename": "suffix", "suffix": "(old)", "pupils": "remove", "keep_years": 1},
}


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.begin()
    return scene


@pytest.fixture
def api(scene: Scene) -> Api:
    return serve_services(scene.services, scene.state, scene.tenant)


async def test_what_was_shown_is_carried_out_and_taken_back(scene: Scene, api: Api) -> None:
    shown = await api.answer("POST", f"{PATH}/plan", ORDER)
    assert [each["key"] for each in shown["classes"]] == [ART_KEY, MUSIC_KEY]
    assert shown["classes"][0]["new_name"].endswith(" (old)")
    assert "writes" not in shown
    response = await api.call("POST", f"{PATH}/{shown['digest']}/apply", ORDER)
    assert response.status_code == 202, response.text
    request, _ = scene.outbox.requests[-1]
    assert isinstance(request, EndYear)
    assert request.run == RunId(response.json()["run"])
    await end_year(request, scene.services)
    await scene.deliver()
    run = await api.answer("GET", f"schools/{SCHOOL.id}/runs/{request.run}")
    assert (run["action"], run["changed"]) == (f"end-year {shown['digest']}", [ART_KEY, MUSIC_KEY])

    back = await api.answer("POST", f"{PATH}/taking-back/plan", {})
    assert [(each["key"], each["pupils"]) for each in back["classes"]] == [(ART_KEY, 5), (MUSIC_KEY, 5)]
    response = await api.call("POST", f"{PATH}/taking-back/{back['digest']}/apply", {})
    assert response.status_code == 202, response.text
    request, _ = scene.outbox.requests[-1]
    assert isinstance(request, TakeBackYearEnd)
    assert (await take_back(request, scene.services)).changed == (ART_KEY, MUSIC_KEY)


async def test_another_digest_changes_nothing(scene: Scene, api: Api) -> None:
    detail = await api.refusal(409, "POST", f"{PATH}/{'0' * 32}/apply", ORDER)
    assert "the year end has changed since it was shown, so nothing was changed" in detail
    assert scene.outbox.requests == []


async def test_a_class_that_the_mis_still_has_is_refused_in_words(api: Api) -> None:
    shown = await api.answer("POST", f"{PATH}/plan", {"filter": {"classes": [MATHS_KEY]}})
    assert shown["digest"] == ""
    assert "the MIS still has its group" in shown["classes"][0]["refused"]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"choice": {"suffix": "a & b"}}, "suffix: should be text on one line, without any of & * ? | { } +"),
    ({"choice": {"keep_years": 0}}, "keep_years: "),
    ({"choice": {"rename": "suffix"}}, "has no suffix"),
    ({"filter": {"classes": ["Amy Smith"]}}, "number 1"),
    ({"filter": {"pupil": "Amy Smith"}}, "filter.pupil"),
]


@pytest.mark.parametrize(("order", "fault"), FAULTS, ids=lambda value: str(value)[:40])
async def test_a_fault_of_the_order_is_told_without_its_text(api: Api, order: dict[str, Any], fault: str) -> None:
    detail = await api.refusal(422, "POST", f"{PATH}/plan", order)
    assert fault in detail
    assert "Smith" not in detail


async def test_a_paused_school_keeps_its_classes(scene: Scene, api: Api) -> None:
    shown = await api.answer("POST", f"{PATH}/plan", ORDER)
    scene.chosen = {"enabled": False}
    await scene.state.save_school(scene.settings)
    assert "paused" in await api.refusal(409, "POST", f"{PATH}/{shown['digest']}/apply", ORDER)
