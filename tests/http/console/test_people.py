"""The pages of people whose account is missing, in doubt or disabled, and of the rules by which accounts are found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from local.tenant.names import DOMAIN
from sync_core.admin.overview.matching import MatchingRules
from sync_core.domain.accounts import Account, AccountChange, AccountChanges, AccountProperty
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import SyncSchool
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, entra_id, settings, teaching
from tests.http.console.memory_console import Console, text_of
from tests.http.memory_api import DEPUTY, HEAD, PUPILS

PEOPLE = f"/schools/{SCHOOL.id}/people"
SCRIPT = "<script>alert(1)</script>"
SAVED = {
    "students.mis": "username_or_email", "students.account": "", "students.domain": DOMAIN,
    "staff.mis": "username_or_email", "staff.account": "", "staff.domain": DOMAIN,
}  # fmt: skip
BY_NICKNAME = SAVED | {"students.mis": "username", "students.account": "mailNickname", "students.domain": ""}


async def add_accounts(console: Console, *accounts: Account) -> None:
    """Add accounts to the tenant, or change them, and read them as a night does."""
    tenant = console.api.tenant
    tenant.accounts |= {account.id: account for account in accounts}
    changes = tuple(AccountChange(each.id, each.values, each.enabled) for each in tenant.accounts.values())
    await console.api.state.write_accounts(TENANT, AccountChanges(True, changes, frozenset(), "token"))


async def sync(console: Console) -> None:
    run = console.api.app.new_run()
    await sync_school(SyncSchool(SCHOOL.id, run, Cause.NIGHTLY), console.api.app.services)


async def give_nicknames(console: Console) -> None:
    """Accounts that only their mail nicknames lead to."""
    console.api.tenant.accounts.clear()
    values = {
        name: {AccountProperty.UPN: f"{name}.x@other.example", AccountProperty.MAIL_NICKNAME: name} for name in PUPILS
    }
    await add_accounts(console, *(Account(entra_id(name), each) for name, each in values.items()))


async def test_nothing_is_recorded_yet(console: Console) -> None:
    text = text_of(await console.read(PEOPLE, caller=HEAD))
    assert "No plan of every class in the last 30 days." in text
    assert console.api.mis.reads == 0


async def test_everybody_is_found(console: Console) -> None:
    await sync(console)
    text = text_of(await console.read(PEOPLE, caller=HEAD))
    assert "100% Pupils: 5 of 5 pupils find an account" in text
    assert "100% Staff: 1 of 1 member of staff finds an account" in text
    assert "Everybody in a class has an account, and none is in doubt or disabled." in text


async def test_what_a_plan_recorded_is_shown_by_id_and_narrowed_down(console: Console) -> None:
    await add_accounts(console, replace(console.api.tenant.accounts[entra_id("amy")], enabled=False))
    console.api.mis.groups = [teaching("G1", "Maths", [*PUPILS, *(f"new{n:03}" for n in range(60))], ["main"])]
    await console.api.state.save_school(settings(access=[HEAD], limits={"unmatched": 1}))
    await sync(console)
    reads = console.api.mis.reads
    text = text_of(await console.read(PEOPLE, caller=HEAD))
    assert "7% Pupils: 5 of 65 pupils find an account" in text
    assert "Everybody (61) No account (60) In doubt (0) Disabled (1)" in text
    assert "1 to 50 of 61 people" in text
    assert "new049" in text and "new050" not in text
    assert "51 to 60 of 60 people" in text_of(await console.read(f"{PEOPLE}?finding=no_account&page=2"))
    text = text_of(await console.read(f"{PEOPLE}?finding=disabled", caller=HEAD))
    assert "amy ■ Disabled" in text and "new001" not in text
    assert console.api.mis.reads == reads
    await console.read(f"{PEOPLE}?finding=other", 404)


async def test_a_plan_that_was_held_says_so_and_claims_no_rate(console: Console) -> None:
    await sync(console)
    await give_nicknames(console)
    await console.api.state.save_school(settings(access=[HEAD], limits={"unmatched_people": 2}))
    await sync(console)
    page = await console.read(PEOPLE, caller=HEAD)
    text = text_of(page)
    assert "Too many people found no account, so the last plan changed nothing." in text
    assert "No account (6)" in text and "find an account" not in text
    assert f'href="/schools/{SCHOOL.id}/approvals"' in page


async def test_a_reading_says_what_was_looked_for_and_what_is_near(console: Console) -> None:
    near = Account(entra_id("near"), {AccountProperty.UPN: "fay@other.example"})
    twin = Account(entra_id("twin"), {AccountProperty.UPN: "twin@a.example", AccountProperty.MAIL: f"ben@{DOMAIN}"})
    await add_accounts(console, near, twin, replace(console.api.tenant.accounts[entra_id("amy")], enabled=False))
    console.api.mis.groups = [teaching("G1", "Maths", [*PUPILS, "fay"], ["main"])]
    page = await console.read(PEOPLE, caller=HEAD)
    text = text_of((await console.send(page, f"{PEOPLE}/try", 200, caller=HEAD, **SAVED)).text)
    assert "Made by reading the MIS, today" in text and "Nothing was saved or changed." in text
    assert (
        f"fay Pupil, Maths ✖ No account user name fay@{DOMAIN} in user principal name and mail "
        "the MIS has no e-mail address The nearest accounts: fay fay@other.example"
    ) in text
    assert "ben Pupil, Maths ● In doubt found by the rule The values lead to several accounts" in text
    assert "twin twin@a.example" in text
    assert "amy Pupil, Maths ■ Disabled found by the rule The account is disabled." in text
    assert "This rule is not saved" not in text
    narrowed = (await console.send(page, f"{PEOPLE}/try", 200, caller=HEAD, finding="disabled", **SAVED)).text
    assert "amy Pupil" in text_of(narrowed) and "fay Pupil" not in text_of(narrowed)


async def test_the_rate_moves_with_the_rule_and_nothing_is_saved_until_save(console: Console) -> None:
    await give_nicknames(console)
    page = await console.read(PEOPLE, caller=HEAD)
    before = await console.api.state.school(SCHOOL.id)
    shown = (await console.send(page, f"{PEOPLE}/try", 200, caller=HEAD, **BY_NICKNAME)).text
    text = text_of(shown)
    assert "with the saved rule 0% → , with this rule 100% Pupils: 5 of 5 pupils find an account" in text
    assert (
        "This rule is not saved Pupils user name compared with mail nickname (saved: user name, and e-mail address "
        f"compared with user principal name, and mail, with @{DOMAIN} added where there is no domain)"
    ) in text
    assert await console.api.state.school(SCHOOL.id) == before
    based_on = shown.partition('name="based_on" value="')[2].partition('"')[0].replace("&#34;", '"')
    response = await console.send(shown, PEOPLE, 303, caller=HEAD, based_on=based_on, **BY_NICKNAME)
    assert response.headers["location"] == f"{PEOPLE}?saved=rule"
    saved = await console.api.state.school(SCHOOL.id)
    assert before and saved
    assert MatchingRules.of(saved).on(before) == saved
    assert saved.students.account is AccountProperty.MAIL_NICKNAME
    assert "Saved The next sync finds accounts by the rule below." in text_of(
        await console.read(f"{PEOPLE}?saved=rule")
    )
    again = await console.send(shown, PEOPLE, 412, caller=HEAD, based_on=based_on, **SAVED)
    assert "settings of school s1 have changed since you read them" in text_of(again.text).lower()
    assert await console.api.state.school(SCHOOL.id) == saved


async def test_too_many_without_an_account_are_a_warning(console: Console) -> None:
    console.api.mis.groups = [teaching("G1", "Maths", [f"new{n:03}" for n in range(120)], ["main"])]
    page = await console.read(PEOPLE)
    text = text_of((await console.send(page, f"{PEOPLE}/try", 200, number="3", **SAVED)).text)
    assert "Too many people find no account: a sync would change nothing" in text
    assert "Page 3 of 3, 120 people. Each page reads the MIS again." in text
    assert "new119" in text and "new099" not in text


@pytest.mark.parametrize("path", [PEOPLE, f"{PEOPLE}/try"])
async def test_a_faulty_rule_is_shown_as_it_was_sent(console: Console, path: str) -> None:
    page = await console.read(PEOPLE)
    faulty = SAVED | {"students.domain": SCRIPT, "staff.mis": "shoe size"}
    response = await console.send(page, path, 422, **faulty)
    text = text_of(response.text)
    assert "Pupils, domain: should be a domain, such as school.org, without @" in text
    assert "Staff, in the MIS: " in text
    assert '<a href="#students.domain">' in response.text and 'id="students.domain"' in response.text
    assert SCRIPT not in response.text and "&lt;script&gt;" in response.text
    assert console.api.mis.reads == 0


async def test_no_plan_can_be_made(console: Console) -> None:
    console.api.mis.groups = [teaching(f"G{n}", f"Set {n}", PUPILS, ["main"]) for n in range(9)]
    await sync(console)
    console.api.mis.groups = []
    page = await console.read(PEOPLE)
    response = await console.send(page, f"{PEOPLE}/try", 409, **SAVED)
    assert "What helps:" in text_of(response.text)


async def test_names_are_text(console: Console) -> None:
    near = Account(entra_id("near"), {AccountProperty.UPN: f"fay@{SCRIPT}"})
    await add_accounts(console, near)
    console.api.mis.groups = [teaching("G1", SCRIPT, [SCRIPT, "fay"], ["main"])]
    page = await console.read(PEOPLE)
    shown = (await console.send(page, f"{PEOPLE}/try", 200, **SAVED)).text
    await sync(console)
    for page in (shown, await console.read(PEOPLE)):
        assert SCRIPT in text_of(page)
        assert "<script>alert" not in page


@pytest.mark.parametrize(("caller", "role"), [(DEPUTY, "GroupSync.Admin"), (HEAD, "GroupSync.Teacher")])
async def test_others_see_try_and_save_nothing(console: Console, caller: str, role: str) -> None:
    before = await console.api.state.school(SCHOOL.id)
    for method, path in (("GET", PEOPLE), ("POST", PEOPLE), ("POST", f"{PEOPLE}/try")):
        assert (await console.call(method, path, SAVED, caller, role)).status_code == 403
    assert await console.api.state.school(SCHOOL.id) == before
    assert console.api.mis.reads == 0


async def test_a_form_without_its_token_saves_nothing(console: Console) -> None:
    before = await console.api.state.school(SCHOOL.id)
    assert (await console.call("POST", PEOPLE, BY_NICKNAME, HEAD)).status_code == 403
    assert await console.api.state.school(SCHOOL.id) == before
