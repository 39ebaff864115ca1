"""The form for what a class follows and who owns it in addition."""

from __future__ import annotations

from datetime import date
from typing import Any

from local.tenant.names import DOMAIN
from sync_core.domain.classes.choices import ClassChoice, Follow, Grant, OwnerRule
from sync_core.domain.ids import ClassKey, RunId
from tests.builders import NOON, SCHOOL, entra_id
from tests.http.console.memory_console import Console, text_of
from tests.http.console.test_class_pages import HOSTILE, NAME, PAGE, add_maths
from tests.http.console.test_group_pages import MATHS
from tests.http.memory_api import ALL_SCHOOLS, DEPUTY, PUPILS, Api

FORM = f"{PAGE}/choice"
KEY = ClassKey(MATHS)
EVE = f"eve@{DOMAIN}"
GRANT = Grant(until=date(2026, 12, 18), reason="cover", given_by=ALL_SCHOOLS, given_at=NOON)


async def chosen(api: Api) -> ClassChoice | None:
    return (await api.state.choices(SCHOOL.id)).classes.get(KEY)


async def test_the_page_of_a_class_says_what_it_follows_and_leads_to_the_form(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    page = await console.read(PAGE)
    assert "Follows The MIS. Change what the class follows, or its extra owners" in text_of(page)
    assert f'href="{FORM}"' in page
    assert "Extra owners" not in text_of(page)


async def test_an_extra_owner_is_added_by_user_name_and_the_class_is_synced(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    page = await console.read(FORM)
    assert NAME in text_of(page)
    answer = await console.send(
        page, FORM, follow="mis", person=f" {EVE.upper()} ", until="18/12/2026", reason="cover for a long illness"
    )
    (owner,) = (await chosen(api) or ClassChoice(key=KEY)).owners.items()
    assert owner == (
        entra_id("eve"),
        Grant(until=date(2026, 12, 18), reason="cover for a long illness", given_by=ALL_SCHOOLS, given_at=NOON),
    )
    run = answer.headers["location"].rpartition("/")[2]
    recorded = await api.state.run(SCHOOL.id, RunId(run))
    assert recorded
    assert recorded.requested_by == ALL_SCHOOLS
    said = text_of(await console.read(PAGE))
    assert f"Extra owners eve, until 18/12/2026: cover for a long illness (given by {ALL_SCHOOLS})" in said


async def test_an_extra_owner_is_removed_and_the_others_stay_as_they_were(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    owners = {entra_id("eve"): GRANT, entra_id("amy"): GRANT}
    await api.state.write_choice(SCHOOL.id, ClassChoice(key=KEY, owners=owners))
    page = await console.read(FORM)
    assert "Remove eve, until 18/12/2026: cover" in text_of(page)
    removed: dict[str, Any] = {f"remove-{entra_id('eve')}": "yes"}
    await console.send(page, FORM, follow="two_years", **removed)
    assert await chosen(api) == ClassChoice(
        key=KEY, follow=Follow.TWO_YEARS, goes_into=2027, owners={entra_id("amy"): GRANT}
    )


async def test_an_owner_by_a_rule_is_shown_and_cannot_be_removed_here(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    record = await api.state.class_record(SCHOOL.id, KEY)
    assert record
    rule = OwnerRule(id="maths", prefix=record.desired.group_name[:3], account=entra_id("eve"), grant=GRANT)
    await api.state.write_owner_rule(SCHOOL.id, rule)
    page = await console.read(FORM)
    assert "eve, until 18/12/2026: cover (by the owner rule maths of the school)" in text_of(page)
    assert f"remove-{entra_id('eve')}" not in page


async def test_the_form_says_what_is_wrong_keeps_what_was_typed_and_saves_nothing(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    page = await console.read(FORM)
    for sent, place, text in (
        ({"follow": ""}, "follow", "What the class follows: choose one"),
        ({"follow": "nothing"}, "follow", "What the class follows: choose one"),
        ({"person": "nobody@elsewhere.org", "reason": "x"}, "person", "Person: should be a user name of the tenant"),
        ({"reason": "cover"}, "person", "Person: should be a user name of the tenant"),
        ({"person": EVE}, "reason", "Reason: "),
        ({"person": EVE, "reason": "x", "until": "31/02/2027"}, "until", "Last day: there is no such day"),
        ({"person": EVE, "reason": HOSTILE * 9}, "reason", "Reason: "),
    ):
        fields: dict[str, Any] = {"follow": "mis", **sent}
        answer = await console.send(page, FORM, 422, **fields)
        assert f'<a href="#{place}">' in answer.text
        assert f'id="{place}"' in answer.text
        assert text in text_of(answer.text)
        assert HOSTILE not in answer.text
        assert await chosen(api) is None
    assert 'value="pinned" checked' in (await console.send(page, FORM, 422, follow="pinned", person="x")).text


async def test_a_day_that_has_passed_is_refused(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    page = await console.read(FORM)
    answer = await console.send(page, FORM, 409, follow="mis", person=EVE, until="06/09/2026", reason="x")
    assert "the last day of an extra owner has passed already" in text_of(answer.text).casefold()
    assert await chosen(api) is None


async def test_a_pinned_class_says_since_which_request_and_follows_again(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    page = await console.read(FORM)
    await console.send(page, FORM, follow="pinned")
    said = text_of(await console.read(PAGE))
    assert "Pinned As it was at a request to pin it" in said
    assert "Follows Nothing: it stays as it is" in said
    await console.send(page, FORM, follow="mis")
    assert await api.state.pins(SCHOOL.id) == {}


async def test_only_admins_of_the_school_see_the_form(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    await console.read(FORM, 403, caller=DEPUTY)
    await console.read(f"/schools/{SCHOOL.id}/classes/2026.teaching.NONE/choice", 404)
