"""The page of owner rules: what it lists, takes and refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from local.tenant.names import DOMAIN
from sync_core.domain.classes.choices import Grant, OwnerRule
from sync_core.domain.ids import ClassKey
from tests.builders import NOON, SCHOOL, desired, entra_id
from tests.http.console.memory_console import Console, text_of
from tests.http.console.test_class_pages import HOSTILE, add_maths
from tests.http.console.test_group_pages import MATHS
from tests.http.memory_api import ALL_SCHOOLS, DEPUTY, PUPILS, Api

PAGE = f"/schools/{SCHOOL.id}/owner-rules"
EVE = f"eve@{DOMAIN}"
SENT: dict[str, Any] = {
    "name": "Maths-head",
    "prefix": "10a/m",
    "person": EVE,
    "until": "18/12/2026",
    "reason": "head of maths",
}


async def rules(api: Api) -> tuple[OwnerRule, ...]:
    return (await api.state.choices(SCHOOL.id)).rules


async def test_a_rule_is_added_replaced_and_deleted(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    record = await api.state.class_record(SCHOOL.id, ClassKey(MATHS))
    assert record
    prefix = record.desired.group_name[:4].lower()
    page = await console.read(PAGE)
    assert "The school has no owner rule" in text_of(page)
    answer = await console.send(page, PAGE, **{**SENT, "prefix": prefix})
    assert answer.headers["location"].endswith(PAGE)
    grant = Grant(until=date(2026, 12, 18), reason="head of maths", given_by=ALL_SCHOOLS, given_at=NOON)
    assert await rules(api) == (OwnerRule(id="maths-head", prefix=prefix, account=entra_id("eve"), grant=grant),)
    page = await console.read(PAGE)
    said = text_of(page)
    assert f"maths-head {prefix}… (1 class now) eve, until 18/12/2026 head of maths (given by" in said
    await console.send(page, PAGE, **{**SENT, "prefix": "zz", "until": ""})
    said = text_of(await console.read(PAGE))
    assert "maths-head zz… (0 classes now) eve, without an end" in said
    await console.send(page, f"{PAGE}/maths-head/delete")
    assert await rules(api) == ()
    await console.send(page, f"{PAGE}/maths-head/delete", 404)


async def test_a_class_that_has_ended_is_not_counted_and_a_rule_that_is_over_says_so(
    api: Api, console: Console
) -> None:
    for key, ended in (("2026.teaching.A", False), ("2025.teaching.A", True)):
        wanted = replace(desired(key), group_name=" 10A/Ma1", ended=ended)
        await api.state.write_desired(SCHOOL.id, [wanted])
    grant = Grant(until=date(2026, 9, 6), reason="cover", given_by=ALL_SCHOOLS, given_at=NOON)
    rule = OwnerRule(id="cover", prefix="10A", account=entra_id("eve"), grant=grant)
    await api.state.write_owner_rule(SCHOOL.id, rule)
    assert "10A… (1 class now) eve, over since 06/09/2026" in text_of(await console.read(PAGE))


async def test_the_form_says_what_is_wrong_keeps_what_was_typed_and_saves_nothing(api: Api, console: Console) -> None:
    page = await console.read(PAGE)
    for sent, place, text in (
        ({"name": ""}, "name", "Name of the rule: should be a short name"),
        ({"name": "Maths head!"}, "name", "Name of the rule: should be a short name"),
        ({"name": "x" * 41}, "name", "Name of the rule: should be a short name"),
        ({"prefix": " "}, "prefix", "Groups whose names begin with: is empty"),
        ({"prefix": "1" * 61}, "prefix", "Groups whose names begin with: "),
        ({"person": "nobody@elsewhere.org"}, "person", "Person: should be a user name of the tenant"),
        ({"person": ""}, "person", "Person: should be a user name of the tenant"),
        ({"reason": ""}, "reason", "Reason: say why"),
        ({"reason": HOSTILE * 9}, "reason", "Reason: "),
        ({"until": "31/02/2027"}, "until", "Last day: there is no such day"),
    ):
        answer = await console.send(page, PAGE, 422, **{**SENT, **sent})
        assert f'<a href="#{place}">' in answer.text
        assert f'id="{place}"' in answer.text
        assert text in text_of(answer.text)
        assert HOSTILE not in answer.text
        assert await rules(api) == ()
    answer = await console.send(page, PAGE, 409, **{**SENT, "until": "06/09/2026"})
    assert "the last day of an extra owner has passed already" in text_of(answer.text).casefold()


async def test_only_admins_of_the_school_see_and_change_the_rules(api: Api, console: Console) -> None:
    await console.read(PAGE, 403, caller=DEPUTY)
