"""The contract of the ports Tenant and ProbedTenant, for the tenant in memory and for Graph through the real SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from azure.identity.aio import ManagedIdentityCredential

from local import loopback
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.classes.tenant_groups import TenantClass
from sync_core.domain.ids import AccountId, ClassId, MisId
from sync_core.domain.permissions import PERMISSIONS
from sync_core.errors import AlreadyThere, GraphRefused, NicknameTaken, NotThere, Permanent
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import Described, FoundGroup, NewClass, ProbedTenant, Removals
from tests.builders import TENANT
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_tenant import MemoryTenant

UPN = frozenset({AccountProperty.UPN})
NOBODY = AccountId("00000000-0000-4000-8000-000000000000")
NOWHERE = ClassId(NOBODY)


@dataclass(slots=True)
class Subject:
    """A tenant with functions that change it from outside. `add_accounts` maps UPNs to ids; `edit` edits by hand.

    `add_foreign_classes` makes classes as another product does, whatever ids are given, and returns their ids.
    """

    tenant: ProbedTenant
    add_accounts: Callable[[Sequence[str]], list[AccountId]]
    remove_account: Callable[[AccountId, str], None]
    edit: Callable[[str, str, str], None]
    add_foreign_group: Callable[[str], None]
    add_foreign_classes: Callable[[Sequence[TenantClass]], list[ClassId]]


@pytest.fixture(params=["memory", "graph"])
async def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Subject]:
    if request.param == "memory":
        yield _memory()
        return
    url = request.getfixturevalue("tenant_url")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "local")
    async with ManagedIdentityCredential() as credential:
        yield _simulated(url, GraphTenants(lambda _: credential, f"{url}/v1.0", FixedClock()).probed(TENANT))


def _memory() -> Subject:
    tenant = MemoryTenant()

    def add(upns: Sequence[str]) -> list[AccountId]:
        ids = [AccountId(str(uuid4())) for _ in upns]
        for id_, upn in zip(ids, upns, strict=True):
            tenant.add_account(id_, upn)
        return ids

    def edit(action: str, nickname: str, upn: str) -> None:
        group = next(group for group in tenant.groups.values() if group.name.mail_nickname == nickname)
        person = next(
            (account.id for account in tenant.accounts.values() if account.values[AccountProperty.UPN] == upn),
            AccountId(""),
        )
        match action:
            case "add-member" | "remove-member":
                tenant.hand_member(group.id, person, action.startswith("add"))
            case "add-owner" | "remove-owner":
                tenant.hand_owner(group.id, person, action.startswith("add"))
            case "delete" | "restore":
                tenant.hand_delete(group.id, action == "delete")

    return Subject(
        tenant,
        add,
        lambda id_, _: tenant.remove_account(id_),
        edit,
        lambda name: (tenant.add_foreign_group(name), None)[1],
        lambda classes: [
            tenant.add_foreign_class(one.display_name, uuid4().hex, one.external_id, one.external_source)
            for one in classes
        ],
    )


def _simulated(url: str, tenant: ProbedTenant) -> Subject:
    def add(upns: Sequence[str]) -> list[AccountId]:
        users = [{"userPrincipalName": upn, "displayName": upn.partition("@")[0]} for upn in upns]
        ids: list[AccountId] = loopback.post(f"{url}/_sim/users", json=users).raise_for_status().json()
        return ids

    def edit(action: str, nickname: str, upn: str) -> None:
        loopback.post(f"{url}/_sim/edit", json={"action": action, "class": nickname, "upn": upn}).raise_for_status()

    def remove(_: str, upn: str) -> None:
        loopback.request("DELETE", f"{url}/_sim/users/{upn}").raise_for_status()

    def foreign(nickname: str) -> None:
        identity = {"X-IDENTITY-HEADER": "local"}
        token = loopback.get(f"{url}/msi/token", headers=identity).json()["access_token"]
        group = {"displayName": nickname, "mailNickname": nickname}
        bearer = {"Authorization": f"Bearer {token}"}
        loopback.post(f"{url}/v1.0/groups", json=group, headers=bearer).raise_for_status()

    def foreign_classes(classes: Sequence[TenantClass]) -> list[ClassId]:
        entries = [
            {
                "displayName": one.display_name,
                "mailNickname": uuid4().hex,
                **({"externalId": one.external_id} if one.external_id else {}),
                **({"externalSource": one.external_source} if one.external_source else {}),
            }
            for one in classes
        ]
        ids: list[ClassId] = loopback.post(f"{url}/_sim/classes", json=entries).raise_for_status().json()
        return ids

    return Subject(tenant, add, remove, edit, foreign, foreign_classes)


def make_class(stem: str = "class") -> NewClass:
    nickname = f"{stem}-{uuid4().hex[:12]}"
    return NewClass(ClassName(f"{nickname}_Class [1][2026]", nickname), f"S1|{nickname}", MisId("G1"))


def make_upns(count: int) -> list[str]:
    return [f"{uuid4().hex[:12]}@school.onmicrosoft.com" for _ in range(count)]


async def test_the_grants_are_the_roles_of_the_token(subject: Subject) -> None:
    grants = await subject.tenant.grants()
    assert grants is not None
    assert grants.roles == {permission.name for permission in PERMISSIONS}


async def test_users_are_found_by_their_upn_and_groups_by_their_name(subject: Subject) -> None:
    (name,) = make_upns(1)
    (head,) = subject.add_accounts([name])
    assert await subject.tenant.find_principals(name.upper()) == (head,)
    group = f"O'Neill & Co {uuid4().hex}"
    assert await subject.tenant.find_principals(group) == ()
    named = [NewClass(ClassName(group, uuid4().hex), "S1|K", MisId("G")) for _ in "ab"]
    ids = [(await subject.tenant.create_class(new)).id for new in named]
    assert sorted(await subject.tenant.find_principals(group)) == sorted(ids)


async def test_a_class_is_created_once_and_found_by_its_nickname(subject: Subject) -> None:
    new = make_class()
    assert await subject.tenant.find_groups(new.name.mail_nickname) == ()
    class_id = (await subject.tenant.create_class(new)).id
    (found,) = await subject.tenant.find_groups(new.name.mail_nickname.upper())
    assert found is not None
    assert found == FoundGroup(class_id, new.name, found.created_at, new.external_id)
    assert found.created_at.tzinfo is not None
    assert await subject.tenant.class_exists(class_id)
    assert await subject.tenant.members(class_id) == frozenset()
    assert await subject.tenant.owners(class_id) == frozenset()
    with pytest.raises(NicknameTaken):
        await subject.tenant.create_class(new)


async def test_a_class_is_renamed_and_keeps_its_address(subject: Subject) -> None:
    created = await subject.tenant.create_class(make_class())
    shown = await subject.tenant.shown_class(created.id)
    assert (shown.id, shown.display_name, shown.mail_nickname) == (
        created.id,
        created.name.display_name,
        created.name.mail_nickname,
    )
    assert (shown.external_id.partition("|")[0] != "", shown.external_source) == (True, "sis")
    await subject.tenant.rename_class(created.id, "Maths (2025/26)")
    assert (await subject.tenant.shown_class(created.id)).display_name == "Maths (2025/26)"
    (found,) = await subject.tenant.find_groups(created.name.mail_nickname)
    assert (found.id, found.name.display_name) == (created.id, "Maths (2025/26)")
    with pytest.raises(NotThere):
        await subject.tenant.shown_class(NOWHERE)
    with pytest.raises(NotThere):
        await subject.tenant.rename_class(NOWHERE, "Maths")


async def test_a_foreign_group_has_no_external_id(subject: Subject) -> None:
    new = make_class("foreign")
    subject.add_foreign_group(new.name.mail_nickname)
    (group,) = await subject.tenant.find_groups(new.name.mail_nickname)
    assert group is not None
    assert group.external_id is None
    with pytest.raises(NicknameTaken):
        await subject.tenant.create_class(new)


async def test_all_classes_of_the_tenant_are_listed_with_their_source(subject: Subject) -> None:
    """More than the hundred that Graph puts on a page; groups and deleted classes are not listed."""
    group, new, deleted = make_class("foreign"), make_class(), make_class()
    subject.add_foreign_group(group.name.mail_nickname)
    own, gone = [(await subject.tenant.create_class(each)).id for each in (new, deleted)]
    await subject.tenant.delete_class(gone)
    foreign = [TenantClass(NOWHERE, f"7A {number}", f"G{number}", "sis") for number in range(120)]
    foreign += [TenantClass(NOWHERE, "by hand", "", "manual"), TenantClass(NOWHERE, "of nobody")]
    ids = subject.add_foreign_classes(foreign)
    listed = {one.id: one for one in await subject.tenant.classes()}
    assert listed[own] == TenantClass(own, new.name.display_name, new.external_id, "sis", new.name.mail_nickname)
    assert [replace(listed[id_], mail_nickname="") for id_ in ids] == [
        replace(one, id=id_) for id_, one in zip(ids, foreign, strict=True)
    ]
    assert gone not in listed
    assert group.name.mail_nickname not in {one.display_name for one in listed.values()}


async def test_members_are_added_all_or_none(subject: Subject) -> None:
    class_id = (await subject.tenant.create_class(make_class())).id
    people = subject.add_accounts(make_upns(20))
    await subject.tenant.add_members(class_id, people[:19])
    with pytest.raises(AlreadyThere):
        await subject.tenant.add_members(class_id, people[18:])
    assert await subject.tenant.members(class_id) == frozenset(people[:19])
    with pytest.raises(NotThere):
        await subject.tenant.add_members(class_id, [people[19], NOBODY])
    assert await subject.tenant.members(class_id) == frozenset(people[:19])


async def test_what_a_probe_asks_beside_the_sync(subject: Subject) -> None:
    """In one write, whoever is no member is added, or nobody; and the class's own delta has whom it has."""
    assert await subject.tenant.changes_of(NOWHERE) is None
    new = make_class()
    class_id = (await subject.tenant.create_class(new)).id
    assert await subject.tenant.described(class_id) == Described("HiddenMembership", new.external_id)
    people = subject.add_accounts(make_upns(3))
    told = await subject.tenant.add_at_once(class_id, people[:2])
    assert told.units == 1
    with pytest.raises(AlreadyThere):
        await subject.tenant.add_at_once(class_id, people[1:])
    await subject.tenant.add_teacher(class_id, people[0])
    with pytest.raises(Permanent):
        await subject.tenant.add_teacher(class_id, people[0])
    change = await subject.tenant.changes_of(class_id)
    assert change is not None
    assert (change.members_added, change.owners_added) == (frozenset(people[:2]), frozenset(people[:1]))
    await subject.tenant.delete_class(class_id)
    with pytest.raises(NotThere):
        await subject.tenant.described(class_id)


async def test_more_than_twenty_in_one_write_are_refused(subject: Subject) -> None:
    class_id = (await subject.tenant.create_class(make_class())).id
    with pytest.raises(GraphRefused):
        await subject.tenant.add_members(class_id, subject.add_accounts(make_upns(21)))


async def test_a_large_class_is_read_completely(subject: Subject) -> None:
    class_id = (await subject.tenant.create_class(make_class())).id
    people = subject.add_accounts(make_upns(130))
    for at in range(0, 130, 20):
        await subject.tenant.add_members(class_id, people[at : at + 20])
    assert await subject.tenant.members(class_id) == frozenset(people)


async def test_removing_a_member_keeps_the_account(subject: Subject) -> None:
    class_id = (await subject.tenant.create_class(make_class())).id
    (person,) = subject.add_accounts(make_upns(1))
    await subject.tenant.add_members(class_id, [person])
    assert await subject.tenant.remove_members(class_id, [person]) == Removals(frozenset([person]))
    assert await subject.tenant.members(class_id) == frozenset()
    assert await subject.tenant.remove_members(class_id, [person]) == Removals(frozenset(), frozenset([person]))
    await subject.tenant.add_members(class_id, [person])


async def test_each_of_twenty_removals_has_its_own_result(subject: Subject) -> None:
    class_id = (await subject.tenant.create_class(make_class())).id
    people = subject.add_accounts(make_upns(20))
    await subject.tenant.add_members(class_id, people[:18])
    removals = await subject.tenant.remove_members(class_id, people)
    assert removals == Removals(frozenset(people[:18]), frozenset(people[18:]))
    assert await subject.tenant.members(class_id) == frozenset()
    assert await subject.tenant.known_people(people) == frozenset(people)


async def test_twenty_people_are_looked_up_at_once(subject: Subject) -> None:
    names = make_upns(20)
    people = subject.add_accounts(names)
    assert await subject.tenant.known_people(people) == frozenset(people)
    subject.remove_account(people[0], names[0])
    assert await subject.tenant.known_people([*people[:19], NOBODY]) == frozenset(people[1:19])


async def test_the_names_of_people_are_what_the_tenant_calls_them_now(subject: Subject) -> None:
    names = make_upns(20)
    people = subject.add_accounts(names)
    found = await subject.tenant.display_names([*people, NOBODY])
    assert found == {person: name.partition("@")[0] for person, name in zip(people, names, strict=True)}


async def test_an_owner_is_granted_once(subject: Subject) -> None:
    class_id = (await subject.tenant.create_class(make_class())).id
    (person,) = subject.add_accounts(make_upns(1))
    await subject.tenant.add_owner(class_id, person)
    assert await subject.tenant.owners(class_id) == {person}
    with pytest.raises(AlreadyThere):
        await subject.tenant.add_owner(class_id, person)
    with pytest.raises(NotThere):
        await subject.tenant.add_owner(class_id, NOBODY)


async def test_members_and_owners_are_read_together(subject: Subject) -> None:
    class_id = (await subject.tenant.create_class(make_class())).id
    owner, member = subject.add_accounts(make_upns(2))
    await subject.tenant.add_owner(class_id, owner)
    await subject.tenant.add_members(class_id, [member])
    members, owners = await subject.tenant.members_and_owners(class_id)
    assert members == await subject.tenant.members(class_id)
    assert owners == {owner}
    assert member in members


async def test_a_missing_class_is_not_there(subject: Subject) -> None:
    assert not await subject.tenant.class_exists(NOWHERE)
    (person,) = subject.add_accounts(make_upns(1))
    for work in (
        subject.tenant.members(NOWHERE),
        subject.tenant.owners(NOWHERE),
        subject.tenant.members_and_owners(NOWHERE),
        subject.tenant.add_members(NOWHERE, [person]),
        subject.tenant.add_owner(NOWHERE, person),
    ):
        with pytest.raises(NotThere):
            await work
    assert await subject.tenant.remove_members(NOWHERE, [person]) == Removals(frozenset(), frozenset([person]))


async def test_the_accounts_delta_lists_added_and_removed_accounts(subject: Subject) -> None:
    first = await subject.tenant.account_changes(None, UPN)
    assert first.full
    leaver, stayer = make_upns(2)
    leaver_id, stayer_id = subject.add_accounts([leaver.title(), stayer])
    after = await subject.tenant.account_changes(first.token, UPN)
    assert not after.full
    accounts = {account.id: (account.values, account.enabled) for account in after.accounts}
    assert accounts == {
        leaver_id: ({AccountProperty.UPN: leaver}, True),
        stayer_id: ({AccountProperty.UPN: stayer}, True),
    }
    subject.remove_account(leaver_id, leaver)
    last = await subject.tenant.account_changes(after.token, UPN)
    assert not last.accounts
    assert last.removed == {leaver_id}
    assert (await subject.tenant.account_changes(last.token, UPN)).accounts == ()


async def test_another_account_property_starts_a_full_read(subject: Subject) -> None:
    (account,) = subject.add_accounts(make_upns(1))
    first = await subject.tenant.account_changes(None, UPN)
    restarted = await subject.tenant.account_changes(first.token, UPN | {AccountProperty.MAIL})
    assert restarted.full
    assert account in {change.id for change in restarted.accounts}
    assert not (await subject.tenant.account_changes(restarted.token, UPN | {AccountProperty.MAIL})).full


async def test_an_owner_is_removed_but_never_the_last(subject: Subject) -> None:
    first, second = subject.add_accounts(make_upns(2))
    class_id = (await subject.tenant.create_class(make_class())).id
    for person in (first, second):
        await subject.tenant.add_owner(class_id, person)
    await subject.tenant.remove_owner(class_id, first)
    assert await subject.tenant.owners(class_id) == {second}
    with pytest.raises(NotThere):
        await subject.tenant.remove_owner(class_id, first)
    with pytest.raises(GraphRefused):
        await subject.tenant.remove_owner(class_id, second)
    assert await subject.tenant.owners(class_id) == {second}


async def test_a_deleted_class_is_found_and_restored(subject: Subject) -> None:
    (person,) = subject.add_accounts(make_upns(1))
    new = make_class()
    class_id = (await subject.tenant.create_class(new)).id
    await subject.tenant.add_members(class_id, [person])
    assert await subject.tenant.find_deleted(new.name.mail_nickname) == ()
    with pytest.raises(NotThere):
        await subject.tenant.restore_class(class_id)
    await subject.tenant.delete_class(class_id)
    assert not await subject.tenant.class_exists(class_id)
    assert await subject.tenant.find_groups(new.name.mail_nickname) == ()
    (deleted,) = await subject.tenant.find_deleted(new.name.mail_nickname)
    assert (deleted.id, deleted.name) == (class_id, new.name)
    assert deleted.created_at.tzinfo is not None
    with pytest.raises(NotThere):
        await subject.tenant.delete_class(class_id)
    with pytest.raises(NicknameTaken):
        await subject.tenant.create_class(new)
    await subject.tenant.restore_class(class_id)
    assert await subject.tenant.members(class_id) == {person}
    assert await subject.tenant.find_deleted(new.name.mail_nickname) == ()


async def test_the_groups_delta_lists_edits_by_hand_and_echoes(subject: Subject) -> None:
    new = make_class()
    names = make_upns(3)
    ours, by_hand, owner = subject.add_accounts(names)
    before = await subject.tenant.group_changes(None)
    assert before.full
    class_id = (await subject.tenant.create_class(new)).id
    await subject.tenant.add_members(class_id, [ours])
    subject.edit("add-member", new.name.mail_nickname, names[1])
    subject.edit("add-owner", new.name.mail_nickname, names[2])
    changes = await subject.tenant.group_changes(before.token)
    (change,) = [change for change in changes.groups if change.id == class_id]
    assert not changes.full
    assert change.nickname == new.name.mail_nickname
    assert change.members_added == {ours, by_hand}
    assert change.owners_added == {owner}
    subject.edit("remove-member", new.name.mail_nickname, names[0])
    after = await subject.tenant.group_changes(changes.token)
    (change,) = after.groups
    assert not change.members_added
    assert change.members_removed == {ours}


async def test_the_groups_delta_lists_a_deletion_and_a_restoration(subject: Subject) -> None:
    new = make_class()
    class_id = (await subject.tenant.create_class(new)).id
    before = await subject.tenant.group_changes(None)
    subject.edit("delete", new.name.mail_nickname, "")
    deleted = await subject.tenant.group_changes(before.token)
    assert [(change.id, change.gone) for change in deleted.groups] == [(class_id, True)]
    assert not await subject.tenant.class_exists(class_id)
    assert await subject.tenant.find_groups(new.name.mail_nickname) == ()
    with pytest.raises(NicknameTaken):
        await subject.tenant.create_class(new)
    subject.edit("restore", new.name.mail_nickname, "")
    restored = await subject.tenant.group_changes(deleted.token)
    assert [(change.id, change.gone) for change in restored.groups] == [(class_id, False)]
    assert class_id not in {change.id for change in deleted.groups if not change.gone}
    assert class_id in {change.id for change in (await subject.tenant.group_changes(None)).groups}


async def test_a_first_read_lists_all_accounts_and_ends_with_the_token_of_the_delta(subject: Subject) -> None:
    ids = subject.add_accounts(make_upns(3))
    parts = [part async for part in subject.tenant.first_accounts(None, UPN)]
    assert set(ids) <= {account.id for part in parts for account in part.accounts}
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert not any(part.full for part in parts)
    (late,) = subject.add_accounts(make_upns(1))
    after = await subject.tenant.account_changes(parts[-1].token, UPN)
    assert [account.id for account in after.accounts] == [late]
