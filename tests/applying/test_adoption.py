"""A class that an admin approved to take: it is written on the row once, and nothing is created before that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sync_core.applying.change import apply_change
from sync_core.domain.classes.outcomes import AlreadySo, Applied, Refused
from sync_core.domain.classes.record import ClassState
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.messaging.messages import DeleteClass, Priority
from tests.applying.test_change import CREATE_AND_FILL, K1, KEY, WHERE, Bench, bench
from tests.builders import SCHOOL, desired, entra_id, entra_ids, settings, synced
from tests.fakes.memory_tenant import MemoryGroup, MemoryTenant
from tests.fakes.steps import Step

__all__ = ["bench"]
NAME = "Mrs M's maths"


def bench_with(step: Step) -> Bench:
    """A bench whose tenant awaits `step` before and after each effect."""
    bench = Bench()
    tenant = MemoryTenant(step, clock=bench.clock)
    tenant.accounts = bench.tenant.accounts
    bench.tenant = tenant
    return bench


async def make_by_hand(bench: Bench, people: str = "amy hand main", owner: str = "main") -> MemoryGroup:
    await bench.state.save_school(settings())
    class_id = bench.tenant.add_foreign_class(NAME, "maths by hand", "", "manual")
    for person in people.split():
        bench.tenant.hand_member(class_id, entra_id(person), present=True)
    bench.tenant.hand_owner(class_id, entra_id(owner), present=True)
    return bench.tenant.groups[class_id]


async def test_the_class_is_taken_with_its_name_and_its_people_follow_the_row(bench: Bench) -> None:
    group = await make_by_hand(bench, "amy hand main other", "main")
    bench.tenant.hand_owner(group.id, entra_id("other"), present=True)
    taken, granted, changed = await bench.apply(replace(K1, adopts=group.id), *CREATE_AND_FILL)
    assert (taken, bench.tenant.creates) == (Applied(adopted=True), 0)
    assert (granted, changed) == (Applied(owners_granted=1), Applied(members_added=2, members_removed=1))
    assert group.members == entra_ids(["amy", "ben", "main", "second", "other"])
    assert group.owners == entra_ids(["main", "second", "other"]), "an owner by hand stays"
    assert (group.name.display_name, group.external_id) == (NAME, "")
    row = await bench.row()
    assert row.actual is not None
    assert (row.actual.class_id, row.actual.name, row.actual.granted) == (group.id, group.name, entra_ids(["second"]))
    assert (row.intent, row.stale, row.state) == (None, False, ClassState.LIVE)
    history = await bench.state.history(SCHOOL.id, KEY)
    assert [delta.adopted for delta in history] == [True, False, False]
    assert await bench.apply(replace(K1, adopts=group.id), *CREATE_AND_FILL) == [AlreadySo()] * 3


async def test_any_change_takes_the_class_first(bench: Bench) -> None:
    group = await make_by_hand(bench)
    (outcome,) = await bench.apply(replace(K1, adopts=group.id), CREATE_AND_FILL[2])
    assert isinstance(outcome, Applied)
    assert (outcome.adopted, outcome.created, bench.tenant.creates) == (True, False, 0)
    assert group.members == entra_ids(["amy", "ben", "main", "second"])


async def test_whoever_is_in_the_class_is_read_even_if_nobody_is_in_common(bench: Bench) -> None:
    group = await make_by_hand(bench, "hand", "other")
    await bench.apply(replace(K1, adopts=group.id), *CREATE_AND_FILL)
    assert group.members == entra_ids(["amy", "ben", "main", "second"])
    assert group.owners == entra_ids(["main", "second", "other"])


def gone(bench: Bench, group: MemoryGroup) -> None:
    bench.tenant.hand_delete(group.id)


def of_another_product(bench: Bench, group: MemoryGroup) -> None:
    group.external_source = "sis"


def of_this_app(bench: Bench, group: MemoryGroup) -> None:
    group.external_id = "S9|2026.teaching.G1"


@pytest.mark.parametrize(
    ("change", "code"), [(gone, "TeamGone"), (of_another_product, "TeamTaken"), (of_this_app, "TeamTaken")]
)
async def test_a_class_that_is_gone_or_somebody_elses_is_refused_and_nothing_is_created(
    bench: Bench, change: Callable[[Bench, MemoryGroup], None], code: str
) -> None:
    group = await make_by_hand(bench)
    members = set(group.members)
    change(bench, group)
    outcomes = await bench.apply(replace(K1, adopts=group.id), *CREATE_AND_FILL)
    assert {each.code for each in outcomes if isinstance(each, Refused)} == {code}
    assert (bench.tenant.creates, bench.tenant.writes, group.members) == (0, 0, members)
    row = await bench.row()
    assert row.error is not None
    assert (row.actual, row.error.code, row.adopts) == (None, code, "")
    assert group.id in row.error.message
    assert "nothing was created; the next night proposes what it finds then" in row.error.message


@pytest.mark.parametrize("which", ["it is", "it was", "it waits to be"])
@pytest.mark.parametrize("school", ["S1", "S2"])
async def test_the_class_of_another_row_is_refused(bench: Bench, which: str, school: str) -> None:
    group = await make_by_hand(bench)
    await bench.state.save_school(replace(settings(), school=SchoolId(school)))
    other = desired("K2", ["amy"])
    wanted = replace(other, adopts=group.id) if which == "it waits to be" else other
    await bench.state.write_desired(SchoolId(school), [wanted])
    record = await bench.state.class_record(SchoolId(school), ClassKey("K2"))
    assert record is not None
    if which == "it is":
        actual = synced(other).actual
        assert actual is not None
        await bench.state.write_actual(replace(record, actual=replace(actual, class_id=group.id)))
    elif which == "it was":
        await bench.state.write_actual(replace(record, previous_ids=frozenset({group.id})))
    (outcome,) = await bench.apply(replace(K1, adopts=group.id), CREATE_AND_FILL[0])
    assert isinstance(outcome, Refused)
    assert (outcome.code, bench.tenant.creates) == ("TeamTaken", 0)


async def test_without_the_approval_the_class_is_created_after_a_refusal(bench: Bench) -> None:
    group = await make_by_hand(bench)
    gone(bench, group)
    await bench.apply(replace(K1, adopts=group.id), CREATE_AND_FILL[0])
    assert (await bench.apply(K1, *CREATE_AND_FILL))[0] == Applied(created=True)
    assert ((await bench.row()).error, bench.tenant.creates) == (None, 1)


async def test_a_deleted_row_that_took_nothing_yet_deletes_nothing(bench: Bench) -> None:
    group = await make_by_hand(bench)
    outcomes = await bench.apply(replace(K1, adopts=group.id, deleted=True), DeleteClass(*WHERE), CREATE_AND_FILL[0])
    assert (outcomes, group.deleted) == ([AlreadySo(), AlreadySo()], False)


async def test_a_class_that_is_requested_again_takes_nothing(bench: Bench) -> None:
    group = await make_by_hand(bench)
    await bench.apply(K1, *CREATE_AND_FILL)
    bench.tenant.hand_delete((await bench.group()).id)
    await bench.state.write_actual(replace(await bench.row(), gone=True))
    assert (await bench.apply(replace(K1, adopts=group.id, generation=1), CREATE_AND_FILL[0])) == [
        Applied(created=True)
    ]
    assert (await bench.group()).id != group.id


async def test_a_class_whose_creation_began_is_not_taken_but_created(bench: Bench) -> None:
    group = await make_by_hand(bench)
    wanted = replace(K1, adopts=group.id)
    await bench.state.write_desired(SCHOOL.id, [wanted])
    nickname, now = K1.name.mail_nickname, bench.clock.now()
    await bench.state.write_actual(replace(await bench.row(), intent=nickname, intent_at=now))
    assert await bench.apply(wanted, CREATE_AND_FILL[0]) == [Applied(created=True)]


async def test_what_is_taken_belongs_to_the_generation_that_is_wanted(bench: Bench) -> None:
    group = await make_by_hand(bench)
    await bench.apply(replace(K1, adopts=group.id, generation=1), CREATE_AND_FILL[0])
    assert (await bench.row()).generation == 1


async def test_a_change_of_the_row_meanwhile_takes_the_class_once() -> None:
    left = [True]

    async def step(name: str) -> None:
        if name == "shown_class" and left:
            left.pop()
            await bench.state.write_desired(SCHOOL.id, [wanted])

    bench = bench_with(step)
    wanted = replace(K1, adopts=(await make_by_hand(bench)).id)
    assert await bench.apply(wanted, CREATE_AND_FILL[0]) == [Applied(adopted=True)]
    assert not left
    assert [delta.adopted for delta in await bench.state.history(SCHOOL.id, KEY)] == [True]


class _Crash(BaseException):
    """A host that stops."""


async def test_a_crash_at_any_step_takes_the_class_once_and_creates_none() -> None:
    stops = 0
    while True:
        crashed, bench = False, bench_with(crash_at(stops))
        group = await make_by_hand(bench)
        await bench.state.write_desired(SCHOOL.id, [replace(K1, adopts=group.id)])
        for change in CREATE_AND_FILL:
            try:
                await apply_change(change, Priority.BULK, bench.services)
            except _Crash:
                crashed = True
                await apply_change(change, Priority.BULK, bench.services)
        assert bench.tenant.creates == 0
        assert group.members == entra_ids(["amy", "ben", "main", "second"])
        assert [each.adopted for each in await bench.state.history(SCHOOL.id, KEY)].count(True) == 1
        if not crashed:
            break
        stops += 1
    assert stops > 6


def crash_at(stop: int) -> Step:
    left = [stop]

    async def step(name: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise _Crash

    return step
