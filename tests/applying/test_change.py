"""Requested changes and the obstacles to them: their effect on the row, the tenant and the history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from sync_core.applying.change import apply_change
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.outcomes import AlreadySo, Applied, Outcome, Refused
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.errors import Transient
from sync_core.messaging.messages import (
    Action,
    Change,
    ChangeMembers,
    CreateClass,
    DeleteClass,
    GrantOwners,
    Priority,
    RestoreClass,
    RevokeOwners,
)
from sync_core.services import Services
from tests.builders import NOON, SCHOOL, desired, entra_id, entra_ids
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryGroup, MemoryTenant
from tests.fakes.services import services
from tests.fakes.steps import Step, no_step

KEY = ClassKey("K1")
WHERE = (SCHOOL.id, ClassKey("K1"), RunId("run 1"), Cause.ADMIN)
RESTORED = RunRecord(
    school=SCHOOL.id,
    id=RunId("run 1"),
    cause=Cause.ADMIN,
    at=NOON,
    outcome=RunOutcome.PLANNED,
    action=Action.RESTORE,
    class_key=KEY,
    requested_by=entra_id("admin"),
)
"""The run of an admin's request to restore the class."""
CREATE_AND_FILL: tuple[Change, ...] = (CreateClass(*WHERE), GrantOwners(*WHERE), ChangeMembers(*WHERE))


@dataclass
class Bench:
    """One class row and its tenant. `step` is what happens before and after each call of the tenant."""

    step: Step = no_step
    clock: FixedClock = field(default_factory=FixedClock)
    state: MemoryState = field(default_factory=MemoryState)
    tenant: MemoryTenant = field(init=False)

    def __post_init__(self) -> None:
        self.tenant = MemoryTenant(lambda call: self.step(call), clock=self.clock)
        for person in ("amy", "ben", "main", "second", "hand"):
            self.tenant.add_account(entra_id(person), f"{person}@x.org")

    @property
    def services(self) -> Services:
        return services(self.state, tenant=self.tenant, clock=self.clock)

    async def apply(self, desired_class: DesiredClass, *changes: Change) -> list[Outcome]:
        await self.state.write_desired(SCHOOL.id, [desired_class])
        await self.state.write_run(RESTORED)
        return [await apply_change(change, Priority.BULK, self.services) for change in changes]

    async def row(self) -> ClassRecord:
        record = await self.state.class_record(SCHOOL.id, KEY)
        assert record is not None
        return record

    async def group(self) -> MemoryGroup:
        actual = (await self.row()).actual
        assert actual is not None
        return self.tenant.groups[actual.class_id]


@pytest.fixture
def bench() -> Bench:
    return Bench()


K1 = desired("K1", ["amy", "ben"], ["main", "second"])


async def test_a_departed_owner_loses_the_ownership_and_then_the_membership(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    group = await bench.group()
    bench.tenant.hand_owner(group.id, entra_id("hand"), present=True)
    without_second = replace(desired("K1", ["amy", "ben"], ["main"]), revoke=True)
    revoked, changed = await bench.apply(without_second, RevokeOwners(*WHERE), ChangeMembers(*WHERE))
    assert (revoked, changed) == (Applied(owners_revoked=1), Applied(members_removed=1))
    assert group.owners == entra_ids(["main", "hand"])
    assert group.members == entra_ids(["amy", "ben", "main"])
    history = await bench.state.history(SCHOOL.id, KEY)
    assert [delta.owners_revoked for delta in history if delta.owners_revoked] == [entra_ids(["second"])]


async def test_only_owners_that_the_sync_granted_are_revoked_and_never_the_last(
    bench: Bench,
) -> None:
    await bench.apply(desired("K1", ["amy"], ["main"]), *CREATE_AND_FILL)
    group = await bench.group()
    nobody = desired("K1", ["amy"])
    assert await bench.apply(nobody, RevokeOwners(*WHERE)) == [AlreadySo()]
    assert await bench.apply(replace(nobody, revoke=True), RevokeOwners(*WHERE)) == [AlreadySo()]
    bench.tenant.hand_owner(group.id, entra_id("hand"), present=True)
    assert await bench.apply(replace(nobody, revoke=True), RevokeOwners(*WHERE)) == [Applied(owners_revoked=1)]
    assert group.owners == entra_ids(["hand"])


async def test_a_class_is_deleted_only_if_desired_and_its_members_are_corrected_when_restored(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    group = await bench.group()
    assert await bench.apply(K1, DeleteClass(*WHERE)) == [AlreadySo()]
    assert not group.deleted
    deleted = replace(K1, deleted=True)
    assert await bench.apply(deleted, DeleteClass(*WHERE), *CREATE_AND_FILL, DeleteClass(*WHERE)) == [
        Applied(deleted=True),
        *[AlreadySo()] * 4,
    ]
    assert group.deleted
    assert await bench.apply(deleted, RestoreClass(*WHERE)) == [AlreadySo()]
    restored = desired("K1", ["amy"], ["main", "second"])
    assert await bench.apply(restored, RestoreClass(*WHERE)) == [Applied(restored=True, members_removed=1)]
    assert not group.deleted
    assert group.members == entra_ids(["amy", "main", "second"])
    assert [delta.deleted for delta in await bench.state.history(SCHOOL.id, "K1")].count(True) == 1


async def test_a_class_that_cannot_be_restored_is_refused_with_the_remedy(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    group = await bench.group()
    await bench.apply(replace(K1, deleted=True), DeleteClass(*WHERE))
    del bench.tenant.groups[group.id]
    (outcome,) = await bench.apply(K1, RestoreClass(*WHERE))
    assert outcome == Refused("NotRestorable", "create the class again")
    assert (await bench.row()).gone


async def test_a_gone_class_is_created_again_under_the_next_nickname(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    first = await bench.group()
    bench.tenant.hand_delete(first.id)
    await bench.state.write_drift(SCHOOL.id, [Drift(KEY, gone=True)])
    for outcome in await bench.apply(K1, *CREATE_AND_FILL):
        assert isinstance(outcome, Refused)
        assert outcome.code == "ClassGone"
    outcome, *_ = await bench.apply(replace(K1, generation=1), *CREATE_AND_FILL)
    assert outcome == Applied(created=True)
    second = await bench.group()
    assert (second.name.mail_nickname, second.name.display_name) == (
        "K1-2.class.1234567.2026",
        first.name.display_name,
    )
    row = await bench.row()
    assert (row.gone, row.generation, row.previous_ids) == (False, 1, frozenset({first.id}))


async def test_a_nickname_of_a_foreign_deleted_group_is_replaced_by_the_next_at_once(bench: Bench) -> None:
    foreign = bench.tenant.add_foreign_group(K1.name.mail_nickname)
    bench.tenant.hand_delete(foreign)
    assert await bench.apply(K1, *CREATE_AND_FILL[:1]) == [Applied(created=True)]
    assert (await bench.group()).name.mail_nickname == "K1-2.class.1234567.2026"
    assert bench.clock.slept == []


async def test_a_class_deleted_before_its_id_was_recorded_is_gone_and_not_created_again(bench: Bench) -> None:
    await bench.apply(K1)
    row = await bench.state.write_actual(
        replace(await bench.row(), intent=K1.name.mail_nickname, intent_at=bench.clock.now())
    )
    lost = bench.tenant.add_foreign_group(K1.name.mail_nickname, row.external_id)
    bench.tenant.groups[lost].name = K1.name
    bench.tenant.hand_delete(lost)
    (outcome,) = await bench.apply(K1, *CREATE_AND_FILL[:1])
    assert isinstance(outcome, Refused)
    assert outcome.code == "ClassGone"
    assert (await bench.row()).gone
    assert len(bench.tenant.groups) == 1


async def test_a_class_that_is_not_visible_yet_is_not_treated_as_deleted(bench: Bench) -> None:
    await bench.apply(K1)
    await bench.state.write_actual(
        replace(await bench.row(), intent=K1.name.mail_nickname, intent_at=bench.clock.now())
    )
    with pytest.raises(Transient):
        await bench.apply(replace(K1, deleted=True), DeleteClass(*WHERE))
    bench.clock.advance(timedelta(hours=1))
    assert await bench.apply(replace(K1, deleted=True), DeleteClass(*WHERE)) == [AlreadySo()]
    assert (await bench.row()).gone


async def test_an_ended_class_is_never_created_or_changed(bench: Bench) -> None:
    ended = replace(K1, ended=True)
    assert await bench.apply(ended, *CREATE_AND_FILL) == [AlreadySo()] * 3
    assert bench.tenant.groups == {}
    await bench.apply(K1, *CREATE_AND_FILL)
    group = await bench.group()
    bench.tenant.hand_member(group.id, entra_id("hand"), present=True)
    assert await bench.apply(replace(ended, members=frozenset()), *CREATE_AND_FILL) == [AlreadySo()] * 3
    assert entra_id("hand") in group.members


async def test_a_class_is_created_with_its_description(bench: Bench) -> None:
    await bench.apply(replace(K1, description="For us"), *CREATE_AND_FILL[:1])
    assert (await bench.group()).description == "For us"


async def test_our_class_is_adopted_wherever_it_stands_among_groups_with_its_nickname(bench: Bench) -> None:
    await bench.apply(K1, CREATE_AND_FILL[0])
    group, row = await bench.group(), await bench.row()
    bench.tenant.groups = {
        bench.tenant.add_foreign_group(group.name.mail_nickname): next(reversed(bench.tenant.groups.values())),
        group.id: group,
    }
    await bench.state.write_actual(replace(row, actual=None))
    bench.clock.advance(timedelta(hours=1))
    await bench.apply(K1, CREATE_AND_FILL[0])
    assert (await bench.group()).id == group.id
    assert bench.tenant.creates == 1


async def test_without_the_permission_to_read_deleted_groups_the_next_nickname_is_used(bench: Bench) -> None:
    foreign = bench.tenant.add_foreign_group("K1.class.1234567.2026")
    bench.tenant.hand_delete(foreign)
    bench.tenant.shows_deleted = False
    outcome, *_ = await bench.apply(K1, *CREATE_AND_FILL)
    assert outcome == Applied(created=True)
    assert (await bench.group()).name.mail_nickname == "K1-2.class.1234567.2026"
    assert bench.clock.slept == []


async def test_a_class_that_an_earlier_delivery_may_have_created_is_waited_for(bench: Bench) -> None:
    """Without that permission, a taken nickname of an earlier delivery may be that of its class, not visible yet."""
    await bench.apply(K1, CREATE_AND_FILL[0])
    group, row = await bench.group(), await bench.row()
    bench.tenant.hand_delete(group.id)
    bench.tenant.shows_deleted = False
    await bench.state.write_actual(replace(row, actual=None))
    with pytest.raises(Transient, match="does not show the group"):
        await bench.apply(K1, CREATE_AND_FILL[0])
    bench.clock.advance(timedelta(minutes=16))
    assert await bench.apply(K1, CREATE_AND_FILL[0]) == [Applied(created=True)]


async def test_one_guest_of_twenty_costs_their_own_place_alone(bench: Bench) -> None:
    names = [f"pupil{number}" for number in range(20)]
    for name in names:
        bench.tenant.add_account(entra_id(name), f"{name}@x.org")
    bench.tenant.guests = {entra_id("pupil7")}
    *_, changed = await bench.apply(desired("K1", names), *CREATE_AND_FILL)
    group, row = await bench.group(), await bench.row()
    assert group.members == entra_ids(names) - {entra_id("pupil7")}
    assert isinstance(changed, Refused)
    assert changed.done == Applied(members_added=19)
    assert row.error is not None
    assert row.error.code == "PersonRefused"
    assert entra_id("pupil7") in row.error.message
    assert row.actual is not None
    assert row.actual.members == frozenset(group.members)


async def test_an_owner_whom_graph_refuses_costs_no_other(bench: Bench) -> None:
    bench.tenant.guests = {entra_id("main")}
    _, granted, _ = await bench.apply(desired("K1", ["amy"], ["main", "second"]), *CREATE_AND_FILL)
    group = await bench.group()
    assert group.owners == {entra_id("second")}
    assert isinstance(granted, Refused)
    assert granted.done == Applied(owners_granted=1)
    assert group.members == entra_ids(["amy", "second"])


async def test_owners_whom_an_interrupted_delivery_made_leave_like_others(bench: Bench) -> None:
    """Graph gave up at the second owner. The delivery after it finds the first there, as if somebody had made them."""
    await bench.apply(desired("K1", ["amy"]), CreateClass(*WHERE))
    group = await bench.group()
    bench.tenant.hand_owner(group.id, entra_id("hand"), present=True)
    calls: list[str] = []

    async def refuse_second(call: str) -> None:
        calls.append(call)
        if calls.count("add_owner") == 2 and call == "add_owner":
            raise Transient("no answer", "the queue redelivers the change")

    bench.step = refuse_second
    with pytest.raises(Transient):
        await bench.apply(K1, GrantOwners(*WHERE))
    assert len(group.owners) == 2
    await bench.apply(K1, GrantOwners(*WHERE), ChangeMembers(*WHERE))
    nobody = replace(desired("K1", ["amy"], []), revoke=True)
    await bench.apply(nobody, RevokeOwners(*WHERE), ChangeMembers(*WHERE))
    assert group.owners == {entra_id("hand")}
    assert group.members == {entra_id("amy")}


async def test_what_was_done_before_the_class_was_deleted_is_in_its_history(bench: Bench) -> None:
    await bench.apply(desired("K1", ["amy"]), *CREATE_AND_FILL)
    group = await bench.group()
    bench.clock.advance(timedelta(days=1))

    async def delete(call: str) -> None:
        if call == "add_owner answered":
            bench.tenant.hand_delete(group.id)

    bench.step = delete
    (outcome,) = await bench.apply(K1, GrantOwners(*WHERE))
    assert isinstance(outcome, Refused)
    assert outcome.code == "ClassGone"
    assert (await bench.row()).gone
    *_, newest = await bench.state.history(SCHOOL.id, KEY)
    assert newest.owners_granted == group.owners != frozenset()


@pytest.mark.parametrize("age", [timedelta(days=1), timedelta(minutes=1)], ids=["old", "young"])
async def test_members_that_graph_does_not_show_are_hidden_and_not_late(bench: Bench, age: timedelta) -> None:
    """Only a young class is waited for; of another, the first answer is enough."""
    await bench.apply(desired("K1", ["amy"]), *CREATE_AND_FILL)
    group = await bench.group()
    bench.clock.advance(age)
    bench.tenant.hides_members = True
    writes, slept = bench.tenant.writes, list(bench.clock.slept)
    await bench.state.write_drift(SCHOOL.id, [Drift(KEY, stale=True)])
    if age < timedelta(minutes=15):
        with pytest.raises(Transient, match="does not show added members"):
            await bench.apply(desired("K1", ["amy"]), ChangeMembers(*WHERE))
        return
    (outcome,) = await bench.apply(desired("K1", ["amy"]), ChangeMembers(*WHERE))
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.done) == ("MembersHidden", Applied())
    assert "Member.Read.Hidden" in outcome.remedy
    assert (bench.tenant.writes, bench.clock.slept, group.members) == (writes, slept, {entra_id("amy")})
    row = await bench.row()
    assert row.actual is not None
    assert (row.actual.members, row.stale) == (frozenset([entra_id("amy")]), True)
