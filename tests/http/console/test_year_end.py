"""The pages of the end of the year: the form, the preview, its confirmation, and taking it back."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from starlette.datastructures import QueryParams

from sync_core.admin.year.year_end import end_year
from sync_core.domain.classes.year_end import (
    NameChoice,
    PupilChoice,
    TeamChoice,
    YearEndChoice,
    YearEndFilter,
    YearEndOrder,
    YearState,
)
from sync_core.domain.roster import GroupType
from sync_core.http.console.views.year_end import hidden_fields, read_order
from sync_core.messaging.messages import EndYear, TakeBackYearEnd
from tests.admin.year_end_scene import ART_KEY, MUSIC_KEY, Scene
from tests.builders import SCHOOL
from tests.http.built import serve_services
from tests.http.console.memory_console import Console, field_value, text_of

AT = f"/schools/{SCHOOL.id}/year-end"
CHOICE = {"year": "2025", "rename": "year", "pupils": "remove", "keep_years": "2", "team": "archive"}


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.begin()
    return scene


@pytest.fixture
def console(scene: Scene) -> Console:
    return Console(serve_services(scene.services, scene.state, scene.tenant))


async def test_the_form_leads_to_a_preview_and_the_preview_to_the_run(scene: Scene, console: Console) -> None:
    form = await console.read(AT)
    assert "2025/26" in text_of(form)
    page = await console.read(f"{AT}/plan?{urlencode(CHOICE)}")
    text = text_of(page)
    assert "Classes that end their year: 2" in text
    assert "5 pupils leave. Kept until 31 Aug 2028, then reported." in text
    assert "No team that the sync knows of; one that somebody made by hand would not show here." in text
    response = await console.send(page, f"{AT}/apply", 303, digest=field_value(page, "digest"), **CHOICE)
    request, _ = scene.outbox.requests[-1]
    assert isinstance(request, EndYear)
    assert response.headers["location"] == f"/schools/{SCHOOL.id}/runs/{request.run}"
    assert (await end_year(request, scene.services)).changed == (ART_KEY, MUSIC_KEY)
    await scene.deliver()
    run = text_of(await console.read(f"/schools/{SCHOOL.id}/runs/{request.run}"))
    assert "End the year of classes" in run
    assert "Renamed" in run
    one = text_of(await console.read(f"/schools/{SCHOOL.id}/classes/{ART_KEY}"))
    assert "An admin ended its year by this run ; it is kept until 31 Aug 2028" in one


async def test_a_year_end_that_changed_is_shown_instead(scene: Scene, console: Console) -> None:
    page = await console.read(f"{AT}/plan?{urlencode(CHOICE)}")
    group = await scene.group(ART_KEY)
    scene.tenant.hand_rename(group.id, "Our art", group.name.mail_nickname)
    answer = await console.send(page, f"{AT}/apply", 409, digest=field_value(page, "digest"), **CHOICE)
    assert "The year end has changed, so nothing was changed" in answer.text
    assert "Its name becomes Our art (2025/26)." in text_of(answer.text)
    assert scene.outbox.requests == []


async def test_a_year_end_is_taken_back_from_its_own_page(scene: Scene, console: Console) -> None:
    await scene.end(YearEndOrder(YearEndFilter(years=(2025,))))
    assert "2 classes have ended by it" in text_of(await console.read(AT))
    page = await console.read(f"{AT}/taking-back?classes={ART_KEY}")
    assert "Classes whose year end is taken back: 1" in text_of(page)
    await console.send(page, f"{AT}/taking-back", digest=field_value(page, "digest"), classes=ART_KEY)
    request, _ = scene.outbox.requests[-1]
    assert isinstance(request, TakeBackYearEnd)
    assert request.filter == YearEndFilter(classes=(ART_KEY,))


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"rename": "suffix"}, "Your own text: type the text that each display name gets"),
        ({"rename": "suffix", "suffix": "a&b"}, "Your own text: should be text on one line"),
        ({"keep_years": "many"}, "Keep for: "),
        ({"classes": "Amy Smith"}, "Only these classes: the school has no class with these"),
        ({"year": "1066"}, "Academic year: "),
    ],
)
async def test_a_fault_is_told_at_its_field(console: Console, query: dict[str, str], fault: str) -> None:
    page = await console.read(f"{AT}/plan?{urlencode(query)}", 422)
    assert fault in text_of(page)


async def test_a_form_without_a_preview_changes_nothing(scene: Scene, console: Console) -> None:
    page = await console.read(f"{AT}/plan?{urlencode(CHOICE)}")
    answer = await console.send(page, f"{AT}/apply", 422, **CHOICE)
    assert "the form names no preview" in answer.text.lower()
    assert scene.outbox.requests == []


def test_what_a_preview_hides_is_read_as_the_same_order() -> None:
    order = YearEndOrder(
        YearEndFilter((2024, 2025), (GroupType.YEAR,), (YearState.ENDED,), ("7x/Ma", "8y"), "ma", never_used=True),
        YearEndChoice(TeamChoice.LEAVE, NameChoice.SUFFIX, "007", PupilChoice.REMOVE, 3),
    )
    assert read_order(QueryParams(hidden_fields(order))) == order
    assert read_order(QueryParams(hidden_fields(YearEndOrder()))) == YearEndOrder()
