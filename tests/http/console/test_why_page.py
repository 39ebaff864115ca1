"""The page that answers why somebody is in a class or not, with names as Microsoft 365 has them."""

from __future__ import annotations

import gzip
from dataclasses import replace

import httpx
import pytest

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import AccountId, ClassKey, MisId
from sync_core.domain.roster import GroupType
from sync_core.errors import Transient
from sync_core.http.console.views.why import answer_of
from sync_core.planning.explain.causes import Why
from sync_core.planning.explain.headline import CLAUSES
from sync_core.planning.explain.model import By, Explanation, InMis, Next, OtherGroup, Standing, Statement
from tests.builders import NOON, SCHOOL, class_id, desired, entra_id, settings, teaching
from tests.fakes.memory_tenant import MemoryGroup, MemoryTenant
from tests.fakes.services import OneTenant
from tests.http.console.memory_console import Console, text_of
from tests.http.memory_api import DEPUTY, HEAD, Api
from tests.http.test_undo_api import KEY, NOW, add_night

PATH = "/schools/S1/why"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def console(api: Api) -> Console:
    """A night took Amy out of Maths and put Dora in; Drama has Amy now."""
    await add_night(api)
    api.mis.groups = [teaching("G1", "Maths", NOW, ["main"]), teaching("G2", "Drama", ["amy"], ["main"])]
    made = desired(KEY, NOW, ["main"])
    api.tenant.groups[class_id(KEY)] = MemoryGroup(
        class_id(KEY), made.name, f"S1|{KEY}", NOON, members=set(made.members), owners=set(made.owners)
    )
    return Console(api)


async def ask(console: Console, person: str, name: str = "Maths", status: int = 200) -> httpx.Response:
    page = await console.read(PATH)
    return await console.send(page, PATH, status, person=person, **{"class": name})


async def test_the_answer_is_one_headline_and_the_steps_that_lead_to_it(console: Console) -> None:
    page = (await ask(console, "dora")).text
    text = text_of(page)
    assert "dora is in Maths, because the MIS lists them as a student of the group. ✔ stays as it is" in text
    assert "The MIS and Microsoft 365 were read today 13:00 ." in text
    steps = text[text.index("In the MIS") :]
    assert steps.startswith(
        "In the MIS MIS person dora is a student of teaching group Maths. They are in no other group. "
        f"Their account dora (account {entra_id('dora')}), found by its userPrincipalName. "
        "What the rules say – this decides The rules want them in it: the MIS lists person dora as a student of its "
        "group. What syncs did today 13:00 Night: joined as a member: the MIS lists person dora as a student of its "
        "group In Microsoft 365 now In the class since 07 Sep 2026 12:00 UTC, by nightly run night: the MIS lists "
        "person dora as a student of its group. The next sync The next sync leaves it as it is. All of this class"
    )
    assert 'href="/schools/S1/runs/night"' in page
    assert page.count("app-step--decides") == 1


async def test_who_left_a_group_is_told_where_they_are_now(console: Console) -> None:
    text = text_of((await ask(console, "amy", "maths")).text)
    assert "amy is not in Maths, because the MIS does not list them in the group of the class." in text
    assert (
        "In the MIS – this decides MIS person amy is not in teaching group Maths. Their other groups: Drama (teaching)."
        in text
    )
    assert "today 13:00 Night: left as a member" in text


async def test_a_change_that_comes_may_be_made_at_once(console: Console) -> None:
    console.api.tenant.groups[class_id(KEY)].members.add(entra_id("amy"))
    page = (await ask(console, "amy")).text
    assert "amy is in Maths, and the next sync removes them" in text_of(page)
    assert f'href="/schools/S1/groups/actions?action=resync&amp;key={KEY}"' in page


async def test_the_person_is_in_no_address_and_the_class_may_be(console: Console) -> None:
    page = await console.read(f"{PATH}?class=Maths")
    assert 'id="class" name="class" type="text" value="Maths"' in page
    answered = await ask(console, "dora@school.onmicrosoft.com")
    assert answered.request.url.query == b""
    assert "dora@" not in "".join(part for part in answered.text.split('"') if part.startswith("/"))
    assert 'value="dora@school.onmicrosoft.com"' in answered.text
    assert (await console.call("GET", f"{PATH}?person=dora")).text.count("dora") == 0


@pytest.mark.parametrize(
    ("person", "name", "status", "field", "fault"),
    [
        ("", "Maths", 422, "person", "Person: enter the person"),
        ("amy", " ", 422, "class", "Class: enter the class"),
        ("a" * 257, "Maths", 422, "person", "Person: should have at most 256 characters"),
        ("nobody", "Maths", 404, "person", "Person: neither the MIS nor Microsoft 365 has this person"),
        ("amy", "Latin", 404, "class", "Class: school S1 has no class or group with this name"),
        (HOSTILE, HOSTILE, 404, "class", "Class: school S1 has no class or group with this name"),
        ("amy", "2026.teaching.NONE", 404, "person", "school S1 has no class 2026.teaching.NONE"),
    ],
)
async def test_a_question_that_has_no_answer_is_shown_as_it_was_sent(
    console: Console, person: str, name: str, status: int, field: str, fault: str
) -> None:
    response = await ask(console, person, name, status)
    assert fault in text_of(response.text)
    assert f'href="#{field}"' in response.text
    assert HOSTILE not in response.text
    if person not in ("", HOSTILE):
        assert f'value="{person}"' in response.text


async def test_two_classes_of_one_name_are_told_by_their_keys(console: Console) -> None:
    other = replace(desired("2026.teaching.G9"), group_name="Maths")
    await console.api.state.write_desired(SCHOOL.id, [other])
    text = text_of((await ask(console, "amy", status=409)).text)
    assert (
        f"Class: school S1 has 2 classes with this name: {KEY}, 2026.teaching.G9. What helps: give one of these keys"
        in text
    )


async def test_not_every_name_of_thousands_of_classes_is_sent_with_the_page(console: Console) -> None:
    many = [replace(desired(f"K{number}"), group_name=f"Group {number}") for number in range(2000)]
    await console.api.state.write_desired(SCHOOL.id, many)
    page = await console.read(PATH)
    assert page.count("<option") == 500
    assert len(gzip.compress(page.encode())) < 10_000


async def test_hostile_names_are_text(console: Console) -> None:
    console.api.mis.groups = [teaching("G1", "Maths", NOW, ["main"]), teaching("G2", HOSTILE, NOW, ["main"])]
    account = console.api.tenant.accounts[entra_id("dora")]
    changed = replace(account, values={**account.values, AccountProperty.UPN: f"{HOSTILE}@x.org"})
    console.api.tenant.accounts[account.id] = changed
    wanted = replace(desired(KEY, NOW), group_name=HOSTILE, name=ClassName(HOSTILE, "x"))
    await console.api.state.write_desired(SCHOOL.id, [wanted])
    page = (await ask(console, "dora", KEY)).text
    assert HOSTILE not in page
    assert f"{HOSTILE} is in {HOSTILE}, because" in text_of(page)


async def test_the_page_is_for_admins_of_the_school_and_needs_its_token(console: Console) -> None:
    await console.api.state.save_school(settings(access=[HEAD, DEPUTY]))
    for path in (PATH, f"{PATH}?class=Maths"):
        refused = await console.call("GET", path, caller=DEPUTY, role="GroupSync.Teacher")
        assert refused.status_code == 403
        await console.read(path, caller=HEAD)
        await console.read(path.replace("S1", "NONE"), 403, caller=HEAD)
    response = await console.call("POST", PATH, {"person": "amy", "class": "Maths"})
    assert response.status_code == 403
    assert "this form is from an earlier session" in text_of(response.text).lower()


async def test_without_microsoft_365_the_page_says_so(console: Console) -> None:
    async def fail(_: str) -> None:
        raise Transient("Graph cannot be reached", "it is retried")

    down = MemoryTenant(step=fail)
    app = console.api.app
    console.api.app = replace(app, services=replace(app.services, graph=OneTenant(down)))
    response = await ask(console, "dora", status=503)
    assert "Graph cannot be reached. What helps: it is retried." in text_of(response.text)


# --- the view


def explanation(why: Why, **values: object) -> Explanation:
    standing = Standing(there=False, by=By.NOBODY, event=None, next=Next.STAYS)
    plain = Explanation(
        school=SCHOOL.id,
        key=ClassKey("K1"),
        class_name="Art_Class",
        group_name="",
        group_type=GroupType.YEAR,
        class_id=class_id("K1"),
        account=AccountId(""),
        person=MisId("p1"),
        at=NOON,
        member=standing,
        owner=standing,
        wanted=None,
        mis=None,
        now=(Statement(Why.NEVER_ADDED, "not in the class"),),
        rules=Statement(why, "the rules"),
        next_sync="the next sync leaves it as it is",
        decides=why,
        history=(),
        causes=(why,),
        lines=(),
    )
    return replace(plain, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("why", [Why.NO_VALUE, Why.NO_ACCOUNT, Why.SEVERAL_ACCOUNTS, Why.SHARED_ACCOUNT])
def test_a_faulty_account_is_marked_as_the_step_that_decides(why: Why) -> None:
    answer = answer_of(explanation(why), "")
    assert [step.title for step in answer.steps if step.decides] == ["Their account"]
    assert answer.sign.text == "needs a correction"


def test_a_person_without_an_account_is_called_by_their_mis_id_and_an_account_without_a_name_by_its_id() -> None:
    answer = answer_of(explanation(Why.NO_ACCOUNT), "")
    assert answer.headline == "MIS person p1 is not in Art_Class, because no account in Microsoft 365 matches them."
    assert answer.sign.text == "needs a correction"
    assert answer.steps[0].sentences == ("No plan could be made, so what the MIS has is not known.",)
    assert answer.steps[1].sentences == ("No account is known as theirs.", "The rules.")
    unnamed = answer_of(explanation(Why.NO_PERSON, account=AccountId("a1"), person=MisId("")), "a1")
    assert unnamed.headline.startswith("Account a1 is not in Art_Class, because no person in the MIS")
    assert unnamed.steps[1].sentences == ("Account a1.",)


def test_each_cause_marks_one_step() -> None:
    for why in CLAUSES:
        answer = answer_of(explanation(why), "")
        assert sum(step.decides for step in answer.steps) == 1, why


def test_a_group_that_the_mis_does_not_have_is_said_so() -> None:
    others = (OtherGroup(MisId("G2"), "Drama", GroupType.TEACHING),)
    mis = InMis(group=False, person=True, student=False, teacher=False, others=others, found_by=())
    answer = answer_of(explanation(Why.GROUP_ENDED, mis=mis, group_name="7"), "")
    assert answer.steps[0].sentences == ("The MIS has no year group 7 now.", "Their other groups: Drama (teaching).")
