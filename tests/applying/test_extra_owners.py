"""Extra owners in the tenant: what is granted is on record first, and a class that has ended loses them alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.domain.classes.desired import GrantRecord, Reason, Rule
from sync_core.domain.classes.outcomes import AlreadySo, Applied
from sync_core.messaging.messages import ChangeMembers, GrantOwners, RevokeOwners
from tests.applying.test_change import CREATE_AND_FILL, WHERE, Bench
from tests.builders import desired, entra_id, entra_ids

SECOND = entra_id("second")
BARE = desired("K1", ["amy", "ben"], ["main"])
REASON = Reason(Rule.EXTRA_OWNER, GrantRecord(entra_id("admin"), "2026-12-18").text)
GRANTED = replace(BARE, owners=BARE.owners | {SECOND}, members=BARE.members | {SECOND}, reasons={SECOND: REASON})
OVER = replace(BARE, expired_owners=frozenset({SECOND}))


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_grant_that_is_over_is_revoked_where_departed_owners_are_kept(bench: Bench) -> None:
    await bench.apply(GRANTED, *CREATE_AND_FILL)
    group = await bench.group()
    bench.tenant.hand_owner(group.id, entra_id("hand"), present=True)
    outcomes = await bench.apply(OVER, RevokeOwners(*WHERE), ChangeMembers(*WHERE))
    assert outcomes == [Applied(owners_revoked=1), Applied(members_removed=1)]
    assert group.owners == entra_ids(["main", "hand"])
    assert SECOND not in group.members


async def test_an_owner_by_hand_is_not_granted_and_stays_when_a_grant_is_over(bench: Bench) -> None:
    await bench.apply(BARE, *CREATE_AND_FILL)
    group = await bench.group()
    bench.tenant.hand_owner(group.id, SECOND, present=True)
    await bench.apply(GRANTED, GrantOwners(*WHERE), ChangeMembers(*WHERE))
    await bench.apply(OVER, RevokeOwners(*WHERE), ChangeMembers(*WHERE))
    assert group.owners == entra_ids(["main", "second"])


async def test_the_last_owner_stays_when_their_grant_is_over(bench: Bench) -> None:
    alone = replace(GRANTED, owners=frozenset({SECOND}))
    await bench.apply(alone, *CREATE_AND_FILL)
    group = await bench.group()
    group.owners.discard(entra_id("main"))
    await bench.apply(replace(OVER, owners=frozenset()), RevokeOwners(*WHERE), ChangeMembers(*WHERE))
    assert group.owners == {SECOND}


async def test_what_a_delivery_grants_is_on_record_before_it_does(bench: Bench) -> None:
    """The delivery stops after Graph made the extra owner, and nothing is delivered again."""
    await bench.apply(BARE, *CREATE_AND_FILL)
    group = await bench.group()
    add_owner = bench.tenant.add_owner

    async def stopping(class_id: object, person: object) -> None:
        await add_owner(class_id, person)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    bench.tenant.add_owner = stopping  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await bench.apply(GRANTED, GrantOwners(*WHERE))
    assert SECOND in group.owners
    await bench.apply(OVER, RevokeOwners(*WHERE))
    assert group.owners == entra_ids(["main"])


async def test_a_class_that_has_ended_loses_the_extra_owner_and_nobody_else(bench: Bench) -> None:
    await bench.apply(GRANTED, *CREATE_AND_FILL)
    group = await bench.group()
    bench.tenant.hand_member(group.id, entra_id("hand"), present=True)
    ended = replace(OVER, ended=True, members=entra_ids(["amy", "main"]), revoke=True)
    outcomes = await bench.apply(ended, RevokeOwners(*WHERE), ChangeMembers(*WHERE), GrantOwners(*WHERE))
    assert outcomes == [Applied(owners_revoked=1, members_removed=1), AlreadySo(), AlreadySo()]
    assert group.owners == entra_ids(["main"])
    assert group.members == entra_ids(["amy", "ben", "main", "hand"])
    assert await bench.apply(ended, RevokeOwners(*WHERE)) == [AlreadySo()]
    actual = (await bench.row()).actual
    assert actual
    assert SECOND not in actual.granted | (actual.members or frozenset())


async def test_a_pupil_of_an_ended_class_stays_a_member(bench: Bench) -> None:
    pupil = replace(GRANTED, reasons={SECOND: Reason(Rule.STUDENT)})
    await bench.apply(pupil, *CREATE_AND_FILL)
    group = await bench.group()
    ended = replace(OVER, ended=True, members=pupil.members)
    assert await bench.apply(ended, RevokeOwners(*WHERE)) == [Applied(owners_revoked=1)]
    assert SECOND in group.members
