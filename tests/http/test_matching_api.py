"""Who finds no account, one in doubt or a disabled one, over the admin API: as the rules are, and as they could be."""

from __future__ import annotations

from dataclasses import replace

from local.tenant.names import DOMAIN
from sync_core.domain.accounts import Account, AccountChange, AccountChanges, AccountProperty
from tests.builders import SCHOOL, TENANT, entra_id, settings, teaching
from tests.http.memory_api import DEPUTY, HEAD, PUPILS, Api

PATH = f"schools/{SCHOOL.id}/matching"
BY_NAME = {"mis": "username", "account": "mailNickname", "domain": ""}


async def add_accounts(api: Api, *accounts: Account) -> None:
    for account in accounts:
        api.tenant.accounts[account.id] = account
    changes = tuple(AccountChange(each.id, each.values, each.enabled) for each in api.tenant.accounts.values())
    await api.state.write_accounts(TENANT, AccountChanges(True, changes, frozenset(), "token"))


async def test_everybody_is_listed_with_what_was_tried_and_the_accounts_that_matter(api: Api) -> None:
    near = Account(entra_id("near"), {AccountProperty.UPN: "fay@other.example"})
    twin = Account(entra_id("twin"), {AccountProperty.UPN: "twin@other.example", AccountProperty.MAIL: _upn("ben")})
    await add_accounts(api, near, twin, replace(api.tenant.accounts[entra_id("amy")], enabled=False))
    api.mis.groups = [teaching("G1", "Maths", [*PUPILS, "fay"], ["gone"]), teaching("G2", "Art", ["fay"])]
    report = await api.answer("POST", PATH, caller=HEAD)
    assert report["rates"] == report["saved"]
    assert report["rates"]["students"] == {"people": 6, "unmatched": 2}
    assert (report["held"], report["number"], report["pages"], report["total"]) == (False, 1, 1, 4)
    fay, gone, ben, amy = report["people"]
    assert [(each["person"], each["role"], each["finding"]) for each in (fay, gone, ben, amy)] == [
        ("fay", "student", "no_account"),
        ("gone", "staff", "no_account"),
        ("ben", "student", "in_doubt"),
        ("amy", "student", "disabled"),
    ]
    assert fay["groups"] == ["Art", "Maths"]
    assert [each["value"] for each in fay["tries"]] == [_upn("fay"), ""]
    assert fay["accounts"] == [{"id": entra_id("near"), "account": "userPrincipalName", "value": "fay@other.example"}]
    assert {each["value"] for each in ben["accounts"]} == {_upn("ben"), "twin@other.example"}
    assert [each["id"] for each in amy["accounts"]] == [entra_id("amy")]
    only = await api.answer("POST", f"{PATH}?finding=disabled", caller=HEAD)
    assert [each["person"] for each in only["people"]] == ["amy"]


async def test_other_rules_are_tried_and_not_saved(api: Api) -> None:
    api.tenant.accounts = {
        entra_id(name): Account(
            entra_id(name), {AccountProperty.UPN: f"{name}.x@y.example", AccountProperty.MAIL_NICKNAME: name}
        )
        for name in (*PUPILS, "main")
    }
    await add_accounts(api)
    before = await api.state.school(SCHOOL.id)
    report = await api.answer("POST", PATH, {"students": BY_NAME, "staff": BY_NAME}, caller=HEAD)
    assert report["saved"]["students"] == {"people": 5, "unmatched": 5}
    assert report["rates"]["students"] == {"people": 5, "unmatched": 0}
    assert api.mis.reads == 1
    assert (report["rates"]["staff"], report["people"]) == ({"people": 1, "unmatched": 0}, [])
    assert await api.state.school(SCHOOL.id) == before


async def test_a_list_has_fifty_people_on_a_page(api: Api) -> None:
    api.mis.groups = [teaching("G1", "Maths", [f"p{number:03}" for number in range(120)], ["main"])]
    report = await api.answer("POST", f"{PATH}?page=3", caller=HEAD)
    assert report["held"]
    assert (report["number"], report["pages"], report["total"]) == (3, 3, 120)
    assert [each["person"] for each in report["people"]] == [f"p{number:03}" for number in range(100, 120)]


async def test_a_paused_school_is_matched_too(api: Api) -> None:
    await api.state.save_school(settings(access=[HEAD], enabled=False))
    assert (await api.answer("POST", PATH, caller=HEAD))["total"] == 0


async def test_who_administers_another_school_learns_nothing(api: Api) -> None:
    await api.refusal(403, "POST", PATH, caller=DEPUTY)


async def test_rules_that_nobody_can_follow_are_refused(api: Api) -> None:
    rules = {"students": {**BY_NAME, "domain": "no domain"}, "staff": BY_NAME}
    assert "students.domain: should be a domain" in await api.refusal(422, "POST", PATH, rules, caller=HEAD)


def _upn(name: str) -> str:
    return f"{name}@{DOMAIN}"
