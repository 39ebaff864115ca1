"""The page of a teacher: their groups and nobody else's, as recorded and as the MIS has them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.classes.desired import ClassRequest, Reason, Rule
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from tests.builders import NOON, SCHOOL, TENANT, accounts, entra_id, settings, teaching
from tests.http.console.memory_console import Console, text_of
from tests.http.console.test_group_pages import MATHS, TEACHER, add_class
from tests.http.memory_api import PUPILS, Api

PAGE = f"/schools/{SCHOOL.id}/my-groups"
MAIN = entra_id("main")
SECOND = entra_id("second")


@pytest.fixture(autouse=True)
async def staff(api: Api) -> None:
    """Two members of staff have access to the school."""
    people = accounts([*PUPILS, "main", "second"])
    changes = tuple(AccountChange(account.id, account.values) for account in people)
    await api.state.write_accounts(TENANT, AccountChanges(True, changes, frozenset(), "token"))
    await api.state.save_school(settings(access=[MAIN, SECOND]))


async def show(console: Console, query: str = "", caller: str = MAIN, status: int = 200) -> str:
    response = await console.call("GET", PAGE + query, caller=caller, role=TEACHER)
    assert response.status_code == status, response.text
    return response.text


def groups_on(page: str) -> list[str]:
    return re.findall(r'<h2 class="govuk-heading-m app-address">([^<]*)</h2>', page)


async def add_own_class(api: Api, rule: Rule = Rule.TEACHER, error: RowError | None = None) -> None:
    record = await add_class(api, "G1", error=error)
    wanted = replace(record.desired, reasons={MAIN: Reason(rule, MisId("main"))}, group_name="Maths")
    await api.state.write_desired(SCHOOL.id, [wanted])


async def test_recorded_are_the_classes_that_the_caller_teaches(api: Api, console: Console) -> None:
    await add_own_class(api)
    page = await show(console)
    assert groups_on(page) == ["Maths"]
    assert "✔ ready Teaching" in text_of(page)
    assert f"To open it, look for {MATHS}_Class [1234567][2026] under Groups in Outlook." in text_of(page)
    assert groups_on(await show(console, caller=SECOND)) == []


async def test_an_admin_owner_does_not_teach_every_class(api: Api, console: Console) -> None:
    await add_own_class(api, Rule.ADMIN_OWNER)
    assert groups_on(await show(console)) == []


async def test_the_mis_tells_the_groups_that_have_no_class_yet(api: Api, console: Console) -> None:
    tutor = replace(teaching("R1", "5L", PUPILS, ["second", "main"]), type=GroupType.REGISTRATION)
    api.mis.groups = [teaching("G1", "Maths", PUPILS, ["main"]), teaching("G2", "Art", PUPILS, ["second"]), tutor]
    page = await show(console, "?source=mis")
    assert groups_on(page) == ["5L", "Maths"]
    assert "● no class Teaching, 5 students There is no class yet. Create class of Maths" in text_of(page)
    assert groups_on(await show(console, "?source=mis", SECOND)) == ["5L", "Art"]


async def test_who_is_not_in_the_mis_is_told_so(console: Console) -> None:
    page = text_of(await show(console, "?source=mis", SECOND))
    assert "Nobody in the MIS has your account, so your groups are not known." in page


async def test_a_school_that_is_not_planned_shows_what_is_recorded_and_why(api: Api, console: Console) -> None:
    await add_own_class(api)
    paused = settings(access=[MAIN], enabled=False, pause_reason="new MIS")
    await api.state.save_school(paused)
    page = await show(console, "?source=mis")
    assert groups_on(page) == ["Maths"]
    assert "the school is paused (new MIS): nothing was planned" in text_of(page)
    assert "none can be created now" in page


async def test_a_refusal_is_not_shown_as_ready(api: Api, console: Console) -> None:
    await add_own_class(api, error=RowError("PersonRefused", "<b>no</b>", "ask"))
    page = await show(console)
    assert "✖ refused" in text_of(page)
    assert "<b>no" not in page


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (RunOutcome.REQUESTED, "It waits for its turn. Open this page again in a minute."),
        (RunOutcome.PLANNED, "Maths: It was planned."),
        (RunOutcome.REJECTED, "The data of the MIS could not be used, so nothing was changed. Ask an admin."),
        (RunOutcome.REFUSED, "It was refused, so nothing was changed. Ask an admin."),
    ],
)
async def test_a_request_is_followed_by_who_made_it_alone(
    api: Api, console: Console, outcome: RunOutcome, text: str
) -> None:
    await add_own_class(api)
    for requester in (MAIN, SECOND):
        await api.state.write_run(
            RunRecord(
                school=SCHOOL.id,
                id=RunId(f"run of {requester}"),
                cause=Cause.ADMIN,
                at=NOON,
                outcome=outcome,
                requested_by=requester,
                created=(ClassKey(MATHS),),
            )
        )
    assert text_of(await show(console)).count(text) == 1
    listed = await api.call("GET", f"schools/{SCHOOL.id}/my-runs", caller=MAIN)
    assert [run["requested_by"] for run in listed.json()] == [MAIN]


async def test_a_requested_class_is_theirs_even_if_the_mis_gives_it_to_somebody_else(
    api: Api, console: Console
) -> None:
    api.mis.groups = [teaching("G2", "Art", PUPILS, ["second"])]
    request = ClassRequest(key=ClassKey("2026.teaching.G2"), creator=MAIN, requested_at=NOON)
    await api.state.write_class_request(SCHOOL.id, request)
    page = await show(console, "?source=mis")
    assert groups_on(page) == ["Art"]
    assert "● requested" in text_of(page)


# --- the way there


def elm() -> SchoolSettings:
    return replace(settings(access=[MAIN], name_identifier="ELM", name="<i>Elm</i>"), school=SchoolId("ELM"))


async def test_the_root_leads_a_teacher_to_their_school_or_lets_them_choose(api: Api, console: Console) -> None:
    answer = await console.call("GET", "/", caller=MAIN, role=TEACHER)
    assert (answer.status_code, answer.headers["location"]) == (302, PAGE)
    await api.state.save_school(elm())
    answer = await console.call("GET", "/", caller=MAIN, role=TEACHER)
    assert re.findall(r'href="(/schools/[^"]*)"', answer.text) == ["/schools/ELM/my-groups", PAGE]
    assert "<i>" not in answer.text


@pytest.mark.parametrize("role", [TEACHER, "none"])
async def test_who_has_no_school_or_no_role_is_refused(console: Console, role: str) -> None:
    for path in ("/", PAGE, f"{PAGE}?source=mis"):
        answer = await console.call("GET", path, caller=entra_id("stranger"), role=role)
        assert answer.status_code == 403
        assert SCHOOL.id not in answer.text
        assert '<h1 class="govuk-heading-l">This is not open to you</h1>' in answer.text
        assert 'href="/.auth/logout?post_logout_redirect_uri=/">Sign in as somebody else' in answer.text


async def test_an_admin_is_led_to_schools_as_before(console: Console) -> None:
    assert "Schools" in await console.read("/")
