"""The contract of the port Store, for the tables in memory and for Azure Tables over the real client."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from uuid import uuid4

import pytest

from sync_core.admin.school_settings import FaultySettings
from sync_core.admin.schools import save_school
from sync_core.domain.accounts import AccountTokens
from sync_core.domain.classes.choices import Choices, ClassChoice, Follow, Grant, OwnerRule
from sync_core.domain.classes.desired import ClassRequest, Pin, Reason, Rule
from sync_core.domain.classes.outcomes import AppliedDelta, FirstChange
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import FeedStatistics, LeftOut
from sync_core.domain.runs import (
    Cause,
    Changed,
    HeldClass,
    Hold,
    HoldKind,
    HoldStatus,
    LeftOutRows,
    RunOutcome,
    RunRecord,
    SettingsChange,
)
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import (
    AfterSync,
    FeedContainer,
    FeedFolder,
    OneRosterApi,
    OneRosterVersion,
    WondeApi,
)
from sync_core.domain.tenants import Probe, ProbeAnswer, TenantFacts
from sync_core.errors import EtagConflict
from sync_core.messaging.messages import CLASS_CHANGES, SYNC_REQUESTS
from sync_core.messaging.port import MessageFault
from sync_core.state.store import TableState
from tests.builders import NOON, class_id, desired, entra_id, entra_ids, mis_ids, settings, synced
from tests.fakes.memory_state import Store
from tests.fakes.services import services

K1 = ClassKey("K1")
RUN = RunId("run")
RUN1 = RunId("run1")
RUN2 = RunId("run2")
REFUSAL = RowError("code", "words", "remedy")


async def read_row(state: Store, school: SchoolId, key: str) -> ClassRecord:
    record = await state.class_record(school, ClassKey(key))
    assert record is not None
    return record


async def test_a_school_is_stored_as_saved(state: Store, school: SchoolId) -> None:
    assert await state.school(school) is None
    tenant = uuid4().hex
    saved: SchoolSettings = replace(settings(admin_owners=["a@b.c", "d@e.f"]), school=school, tenant=tenant)
    await state.save_school(saved)
    assert await state.school(school) == saved
    assert await state.schools(tenant) == (saved,)
    changed = replace(saved, types=frozenset(), admin_owners=())
    await state.save_school(changed)
    assert await state.schools(tenant) == (changed,)
    assert await state.schools("another") == ()


async def test_settings_are_replaced_only_if_nobody_changed_them(state: Store, school: SchoolId) -> None:
    first = replace(settings(), school=school)
    second, third = replace(first, name="Oak"), replace(first, name="Elm")
    await state.replace_school(None, first)
    with pytest.raises(EtagConflict):
        await state.replace_school(None, second)
    await state.replace_school(first, second)
    with pytest.raises(EtagConflict):
        await state.replace_school(first, third)
    assert await state.school(school) == second
    await state.forget_school(school)
    with pytest.raises(EtagConflict):
        await state.replace_school(second, third)
    assert await state.school(school) is None


async def test_a_name_identifier_belongs_to_one_school_of_a_tenant(state: Store, school: SchoolId) -> None:
    tenant = uuid4().hex
    first = replace(settings(name_identifier="ABC"), school=school, tenant=tenant)
    second = replace(first, school=SchoolId(f"{school}-2"), name_identifier="a/bc")
    await state.replace_school(None, first)
    await state.replace_school(first, first)
    with pytest.raises(EtagConflict):
        await state.replace_school(None, second)
    assert await state.schools(tenant) == (first,)
    await state.replace_school(None, replace(second, tenant=uuid4().hex))
    await state.forget_school(second.school)
    renamed = replace(first, name_identifier="DEF")
    await state.replace_school(first, renamed)
    await state.replace_school(None, second)
    with pytest.raises(EtagConflict):
        await state.replace_school(renamed, first)
    await state.forget_school(second.school)
    await state.replace_school(renamed, first)
    assert await state.schools(tenant) == (first,)


async def test_a_quotation_mark_in_an_id_widens_no_query(state: Store, school: SchoolId) -> None:
    tenant = uuid4().hex
    await state.save_school(replace(settings(), school=school, tenant=tenant))
    await state.write_desired(school, [desired("K1", ["amy"])])
    await state.write_run(RunRecord(school=school, id=RUN, cause=Cause.NIGHTLY, at=NOON, outcome=RunOutcome.PLANNED))
    for widened in (f"{school}' or PartitionKey ne '", "' or '1' eq '1", "x' or tenant ne 'x"):
        assert await state.school(SchoolId(widened)) is None
        assert await state.schools(widened) == ()
        assert await state.class_records(SchoolId(widened)) == ()
        assert await state.runs(SchoolId(widened)) == ()


async def test_of_two_schools_saved_at_once_with_one_identifier_one_is_refused(state: Store, school: SchoolId) -> None:
    tenant = uuid4().hex
    saved = [
        replace(settings(name_identifier="ABC"), school=SchoolId(f"{school}-{number}"), tenant=tenant)
        for number in range(4)
    ]
    results = await asyncio.gather(
        *(save_school(each, None, entra_id("head"), services(state)) for each in saved), return_exceptions=True
    )
    (kept,) = await state.schools(tenant)
    assert [str(result) for result in results if result] == [
        f"name_identifier: school {kept.school} of the same tenant has it already — "
        "choose another name_identifier, or leave it out to use the DfE code"
    ] * 3
    assert {type(result) for result in results} == {type(None), FaultySettings}


async def test_a_row_starts_with_desired(state: Store, school: SchoolId) -> None:
    assert await state.class_record(school, K1) is None
    wanted = desired("K1", ["amy", "ben"], ["main"])
    await state.write_desired(school, [wanted])
    record = await read_row(state, school, "K1")
    assert record == ClassRecord(school=school, desired=wanted, tenant=wanted.tenant, etag=record.etag)


async def test_actual_is_written_and_cleared_completely(state: Store, school: SchoolId) -> None:
    wanted = desired("K1", ["amy", "ben"], ["main"])
    await state.write_desired(school, [wanted])
    full = replace(
        synced(wanted),
        school=school,
        stale=True,
        gone=True,
        error=REFUSAL,
        etag=(await read_row(state, school, "K1")).etag,
    )
    written = await state.write_actual(full)
    assert await read_row(state, school, "K1") == written
    assert replace(written, etag="") == replace(full, etag="")
    bare = replace(written, actual=None, intent=None, stale=False, gone=False, error=None)
    cleared = await state.write_actual(bare)
    assert await read_row(state, school, "K1") == cleared


async def test_unknown_members_and_no_members_are_different(state: Store, school: SchoolId) -> None:
    await state.write_desired(school, [desired("K1")])
    record = replace(synced(desired("K1")), school=school, etag=(await read_row(state, school, "K1")).etag)
    assert record.actual is not None
    unknown = await state.write_actual(replace(record, actual=replace(record.actual, members=None)))
    assert (await read_row(state, school, "K1")) == unknown
    assert unknown.actual is not None
    empty = await state.write_actual(replace(unknown, actual=replace(unknown.actual, members=frozenset())))
    assert (await read_row(state, school, "K1")) == empty


async def test_writing_actual_to_a_changed_row_is_an_etag_conflict(state: Store, school: SchoolId) -> None:
    await state.write_desired(school, [desired("K1")])
    before = await read_row(state, school, "K1")
    await state.write_desired(school, [desired("K1", ["amy"])])
    delta = AppliedDelta(run=RUN, cause=Cause.NIGHTLY, at=NOON, created=True)
    with pytest.raises(EtagConflict):
        await state.write_actual(replace(before, intent="x"), delta)
    after = await read_row(state, school, "K1")
    assert (after.intent, after.desired) == (None, desired("K1", ["amy"]))
    assert await state.history(school, K1) == ()
    with pytest.raises(EtagConflict):
        await state.write_actual(replace(after, etag=before.etag))


async def test_desired_and_actual_do_not_overwrite_each_other(state: Store, school: SchoolId) -> None:
    await state.write_desired(school, [desired("K1", ["amy", "ben"])])
    record = replace(
        synced(desired("K1", ["amy", "ben"])), school=school, etag=(await read_row(state, school, "K1")).etag
    )
    written = await state.write_actual(record)
    await state.write_desired(school, [desired("K1", ["cleo"])])
    after = await read_row(state, school, "K1")
    assert after.actual == written.actual
    assert after.desired == desired("K1", ["cleo"])


async def test_member_sets_can_shrink_and_become_empty(state: Store, school: SchoolId) -> None:
    crowd = [f"p{number}" for number in range(5000)]
    await state.write_desired(school, [desired("K1", crowd)])
    assert (await read_row(state, school, "K1")).desired.members == entra_ids(crowd)
    for remaining in (["amy"], []):
        await state.write_desired(school, [desired("K1", remaining)])
        assert (await read_row(state, school, "K1")).desired.members == entra_ids(remaining)


async def test_many_rows_are_read_in_order(state: Store, school: SchoolId) -> None:
    wanted = [desired(f"K{number:03}", ["amy"]) for number in range(250)]
    await state.write_desired(school, list(reversed(wanted)))
    assert [record.desired for record in await state.class_records(school)] == wanted
    assert await state.class_records(SchoolId("another")) == ()


async def test_a_row_has_nothing_of_a_tenant_that_the_school_left_but_the_id_of_its_class(
    state: Store, school: SchoolId
) -> None:
    wanted = desired("K1", ["amy"], ["main"])
    await state.write_desired(school, [wanted])
    there = replace(synced(wanted), school=school, etag=(await read_row(state, school, "K1")).etag)
    await state.write_actual(replace(there, intent_at=NOON, stale=True, gone=True, generation=1, error=REFUSAL))
    moved = replace(wanted, tenant=entra_id("another tenant"), generation=1)
    await state.write_desired(school, [moved])
    await state.write_drift(school, [Drift(K1, stale=True, gone=True)])

    record = await read_row(state, school, "K1")
    left = frozenset({class_id("K1")})
    assert replace(record, etag="") == ClassRecord(school=school, desired=moved, tenant=moved.tenant, previous_ids=left)
    assert await state.class_records(school) == (record,)
    made = replace(record, actual=there.actual, intent="new")
    written = await state.write_actual(made)
    assert await read_row(state, school, "K1") == written == replace(made, etag=written.etag)


async def test_drift_marks_rows_and_ignores_missing_ones(state: Store, school: SchoolId) -> None:
    await state.write_desired(school, [desired("K1"), desired("K2")])
    before = await read_row(state, school, "K1")
    await state.write_drift(
        school,
        [Drift(K1, stale=True), Drift(ClassKey("nowhere"), stale=True), Drift(ClassKey("K2"), gone=True, stale=False)],
    )
    first, second = await state.class_records(school)
    assert (first.stale, first.gone) == (True, False)
    assert (second.stale, second.gone) == (False, True)
    assert first.etag != before.etag
    assert await state.class_record(school, ClassKey("nowhere")) is None


async def test_drift_of_many_rows_marks_all_but_a_missing_one(state: Store, school: SchoolId) -> None:
    keys = [f"K{number:03}" for number in range(250)]
    await state.write_desired(school, [desired(key) for key in keys if key != "K120"])
    await state.write_drift(school, [Drift(ClassKey(key), stale=True) for key in keys])
    assert {record.key for record in await state.class_records(school) if record.stale} == set(keys) - {"K120"}
    assert await state.class_record(school, ClassKey("K120")) is None
    await state.write_drift(
        school,
        [Drift(ClassKey("K001"), stale=False), Drift(ClassKey("K002"), gone=True), Drift(ClassKey("K001"), gone=True)],
    )
    first, second = await read_row(state, school, "K001"), await read_row(state, school, "K002")
    assert (first.stale, first.gone, second.stale, second.gone) == (False, True, True, True)


async def test_history_is_kept_in_order_and_by_class(state: Store, school: SchoolId) -> None:
    await state.write_desired(school, [desired("K1"), desired("K10")])
    first = AppliedDelta(
        run=RUN1,
        cause=Cause.NIGHTLY,
        at=NOON,
        created=True,
        members_added=entra_ids(["amy"]),
        members_removed=frozenset(),
        owners_granted=entra_ids(["main"]),
    )
    later = AppliedDelta(
        run=RUN2, cause=Cause.ADMIN, at=NOON + timedelta(seconds=1), members_removed=entra_ids(["amy"])
    )
    record = await state.write_actual(await read_row(state, school, "K1"), first)
    await state.write_actual(record, later)
    await state.write_actual(await read_row(state, school, "K10"), later)
    assert await state.history(school, K1) == (first, later)
    assert await state.history(school, ClassKey("K10")) == (later,)


async def test_classes_of_a_run_are_listed_until_their_history_is_forgotten(state: Store, school: SchoolId) -> None:
    reasons = {entra_id("amy"): Reason(Rule.STUDENT, MisId("p 1")), entra_id("main"): Reason(Rule.ADMIN_OWNER)}
    early = AppliedDelta(
        run=RUN1, cause=Cause.NIGHTLY, at=NOON, members_added=entra_ids(["amy", "main"]), reasons=reasons
    )
    late = AppliedDelta(run=RUN1, cause=Cause.NIGHTLY, at=NOON + timedelta(days=2), members_removed=entra_ids(["amy"]))
    await state.write_desired(school, [desired("K1"), desired("K%/2")])
    made = replace(early, created=True)
    record = await state.write_actual(await read_row(state, school, "K1"), made)
    await state.write_actual(record, late)
    again = await state.write_actual(await read_row(state, school, "K%/2"), early)
    assert await state.history(school, K1) == (made, late)
    assert list((await state.classes_of_run(school, RUN1)).items()) == [
        ("K%/2", FirstChange(early.at, False)),
        ("K1", FirstChange(early.at, True)),
    ]
    assert await state.classes_of_run(school, RUN2) == {}
    keys = [ClassKey("K%/2"), K1]
    assert await state.histories(school, keys, early.at) == {"K%/2": (early,), "K1": (made, late)}
    assert await state.histories(school, keys, late.at) == {"K%/2": (), "K1": (late,)}
    assert await state.histories(school, [K1], early.at) == {"K1": (made, late)}
    assert await state.histories(school, [], early.at) == {}
    await state.forget_history(school, NOON)
    assert await state.history(school, K1) == (made, late)
    for _ in range(2):
        await state.forget_history(school, NOON + timedelta(days=1))
        assert await state.history(school, K1) == (late,)
        assert await state.classes_of_run(school, RUN1) == {"K1": FirstChange(late.at, False)}
    found_gone = replace(late, at=late.at + timedelta(minutes=1))
    again = await state.write_actual(again, found_gone)
    await state.write_actual(again, replace(made, at=late.at + timedelta(minutes=2)))
    assert (await state.classes_of_run(school, RUN1))[ClassKey("K%/2")] == FirstChange(found_gone.at, True)
    assert [record.key for record in await state.class_records(school)] == ["K%/2", "K1"]


async def test_reasons_and_pinning_are_stored_with_desired(state: Store, school: SchoolId) -> None:
    reasons = {entra_id("amy"): Reason(Rule.STUDENT, MisId("p 1, q")), entra_id("ben"): Reason(Rule.UNDONE, RUN1)}
    wanted = replace(desired("K1", ["amy", "ben"]), reasons=reasons, pinned=True)
    await state.write_desired(school, [wanted])
    assert (await read_row(state, school, "K1")).desired == wanted
    fewer = replace(wanted, reasons={}, pinned=False)
    await state.write_desired(school, [fewer])
    assert (await read_row(state, school, "K1")).desired == fewer


GRANT = Grant(until=date(2026, 12, 18), reason="cover: autumn, 100 %", given_by=entra_id("admin"), given_at=NOON)


async def test_choices_and_owner_rules_are_kept_until_they_are_forgotten(state: Store, school: SchoolId) -> None:
    assert await state.choices(school) == Choices()
    owners = {entra_id("amy"): GRANT, entra_id("ben"): replace(GRANT, until=None, reason="")}
    first = ClassChoice(key=ClassKey("K%/1"), follow=Follow.TWO_YEARS, goes_into=2027, owners=owners)
    second = ClassChoice(key=ClassKey("K2"), follow=Follow.ENDED)
    rule = OwnerRule(id="maths", prefix="10A/Ma", account=entra_id("head"), grant=GRANT)
    other = replace(rule, id="art", grant=replace(GRANT, until=None))
    for choice in (first, second):
        await state.write_choice(school, choice)
    for each in (rule, other):
        await state.write_owner_rule(school, each)
    assert await state.choices(school) == Choices({first.key: first, second.key: second}, (other, rule))
    updated = replace(first, follow=Follow.MIS, goes_into=0, owners={})
    await state.write_choice(school, updated)
    await state.write_owner_rule(school, replace(rule, prefix="11"))
    assert await state.choices(school) == Choices(
        {first.key: updated, second.key: second}, (other, replace(rule, prefix="11"))
    )
    for _ in range(2):
        await state.forget_choice(school, first.key)
        await state.forget_owner_rule(school, "art")
        assert await state.choices(school) == Choices({second.key: second}, (replace(rule, prefix="11"),))
    assert await state.choices(SchoolId(f"{school} next door")) == Choices()
    assert await state.pins(school) == {}


async def test_three_hundred_extra_owners_of_a_class_are_kept(state: Store, school: SchoolId) -> None:
    owners = {entra_id(f"p{number}"): replace(GRANT, reason="cover " * 30) for number in range(300)}
    choice = ClassChoice(key=K1, owners=owners)
    await state.write_choice(school, choice)
    assert (await state.choices(school)).classes == {K1: choice}


async def test_pins_are_kept_until_they_are_forgotten(state: Store, school: SchoolId) -> None:
    assert await state.pins(school) == {}
    first = Pin(
        key=ClassKey("K%/1"), members=entra_ids(["amy", "main"]), owners=entra_ids(["main"]), undone=RUN1, run=RUN2
    )
    second = Pin(key=ClassKey("K2"), members=frozenset(), owners=frozenset(), undone=RUN1, run=RUN2)
    await state.write_pins(school, [first, second])
    updated = replace(first, members=frozenset(), run=RunId("run3"))
    await state.write_pins(school, [updated])
    assert await state.pins(school) == {first.key: updated, second.key: second}
    assert await state.pinned(school) == {first.key, second.key}
    assert await state.class_records(school) == ()
    for _ in range(2):
        await state.forget_pin(school, first.key)
        assert await state.pins(school) == {second.key: second}
    assert await state.pins(SchoolId(f"{school} next door")) == {}


async def test_class_requests_are_stored_by_key(state: Store, school: SchoolId) -> None:
    assert await state.class_requests(school) == {}
    first = ClassRequest(
        key=ClassKey("2026.teaching.T1"),
        creator=entra_id("c"),
        requested_at=NOON,
        display_name="Our «maths»",
        description="For us",
        required_until=date(2027, 7, 20),
        generation=1,
    )
    plain = ClassRequest(key=ClassKey("2026.year.13"), creator=entra_id("c"), requested_at=NOON)
    for request in (plain, replace(first, generation=0), first):
        await state.write_class_request(school, request)
    assert await state.class_requests(school) == {first.key: first, plain.key: plain}
    assert await state.class_records(school) == ()


async def test_forgetting_a_school_keeps_its_classes(state: Store, school: SchoolId) -> None:
    await state.save_school(replace(settings(), school=school))
    await state.write_desired(school, [desired("K1")])
    for _ in range(2):
        await state.forget_school(school)
        assert await state.school(school) is None
    assert [record.key for record in await state.class_records(school)] == ["K1"]


async def test_tokens_of_any_length_are_stored(state: Store) -> None:
    tenant = uuid4().hex
    assert await state.groups_token(tenant) is None
    for token in ("x" * 100_000, "short"):
        await state.write_groups_token(tenant, token)
        assert await state.groups_token(tenant) == token
    assert await state.account_tokens(tenant) == AccountTokens()


async def test_each_kind_of_source_is_stored(state: Store, school: SchoolId) -> None:
    url, secret = "https://mis.example", "MIS_SECRET_OAK"
    api = OneRosterApi(url=url, version=OneRosterVersion.V1_1, token_url=f"{url}/token", client="c", secret=secret)
    bearer = OneRosterApi(url=url, secret=secret)
    wonde = WondeApi(url="https://api.wonde.com", school="A1930499544", secret=secret)
    for source in (FeedFolder("/feed"), FeedContainer("oak/csv", AfterSync.ARCHIVE), api, bearer, wonde):
        saved = replace(settings(), school=school, source=source)
        await state.save_school(saved)
        assert await state.school(school) == saved


async def test_what_was_learnt_of_a_tenant_is_stored(state: Store) -> None:
    tenant = uuid4().hex
    assert await state.facts(tenant) == TenantFacts()
    learnt = TenantFacts(resynced_at=NOON, delta_tells_members=False)
    await state.write_facts(tenant, learnt)
    assert (await state.facts(tenant), await state.groups_token(tenant)) == (learnt, None)


async def test_probes_are_overwritten_and_listed_by_time(state: Store) -> None:
    tenant = uuid4().hex
    second = Probe(tenant=tenant, id=RUN, requested_by=AccountId("a"), began_at=NOON + timedelta(minutes=1))
    first = replace(second, id=RUN2, began_at=NOON)
    for probe in (second, first):
        await state.write_probe(probe)
    answers = {"PRICE": ProbeAnswer("7 units: 3 % of it", "é — \n"), "DELTA": ProbeAnswer("no", "")}
    learnt = replace(first, unit_price=0.35, delta_tells_members=False)
    ended = replace(learnt, ended_at=NOON, answers=answers, note="n" * 40_000)
    await state.write_probe(ended)
    await state.write_facts(tenant, TenantFacts(resynced_at=NOON))
    stored = await state.probes(tenant)
    assert [replace(probe, note="") for probe in stored] == [replace(ended, note=""), second]
    assert await state.probes("another") == ()


async def test_runs_are_overwritten_and_listed_by_time(state: Store, school: SchoolId) -> None:
    second = RunRecord(
        school=school,
        id=RUN2,
        cause=Cause.NIGHTLY,
        at=NOON + timedelta(days=1),
        outcome=RunOutcome.REJECTED,
        notes=("a, b", "c"),
    )
    first = RunRecord(
        school=school,
        id=RUN1,
        cause=Cause.NIGHTLY,
        at=NOON,
        outcome=RunOutcome.PLANNED,
        action="restore",
        requested_by=AccountId("a0000000-0000-4000-8000-000000000001"),
        groups=3,
        created=(ClassKey("K1"),),
        changed=(ClassKey("K2"),),
        unchanged=1,
        held=(ClassKey("K3"),),
        gone=(ClassKey("K4"),),
        people_without_account=mis_ids("a b", "c/d"),
        notes=("a note",),
    )
    for run in (second, replace(first, groups=1), first):
        await state.write_run(run)
    assert await state.runs(school) == (first, second)


async def test_the_last_fault_of_a_message_is_stored(state: Store) -> None:
    queue = uuid4().hex
    fault = MessageFault(
        queue=queue, message_id="run/1.x.0", session="S|K", deliveries=1, message="what", remedy="remedy", at=NOON
    )
    await state.write_message_fault(fault)
    last = replace(fault, deliveries=2)
    await state.write_message_fault(last)
    assert await state.message_faults(queue) == (last,)
    assert await state.message_faults("another") == ()


async def test_old_runs_and_faults_are_forgotten(state: Store, school: SchoolId) -> None:
    for name, at in (("early", NOON), ("late", NOON + timedelta(days=2))):
        await state.write_run(
            RunRecord(school=school, id=RunId(name), cause=Cause.NIGHTLY, at=at, outcome=RunOutcome.PLANNED)
        )
        for queue in (SYNC_REQUESTS, CLASS_CHANGES):
            await state.write_message_fault(
                MessageFault(
                    queue=queue,
                    message_id=f"{school} {name}",
                    session=school,
                    deliveries=1,
                    message="what",
                    remedy="",
                    at=at,
                )
            )

    async def faults(queue: str) -> list[str]:
        listed = await state.message_faults(queue)
        return sorted(fault.message_id.removeprefix(f"{school} ") for fault in listed if fault.session == school)

    async def kept() -> list[list[str]]:
        runs: list[str] = [run.id for run in await state.runs(school)]
        return [runs, await faults(SYNC_REQUESTS), await faults(CLASS_CHANGES)]

    await state.forget_history(school, NOON)
    await state.forget_message_faults(NOON)
    assert await kept() == [["early", "late"]] * 3
    for _ in range(2):
        await state.forget_history(school, NOON + timedelta(days=1))
        await state.forget_message_faults(NOON + timedelta(days=1))
        assert await kept() == [["late"]] * 3


async def test_erasing_a_school_keeps_other_schools(state: Store, school: SchoolId) -> None:
    other = f"{school}2"
    for id_ in (school, other):
        await state.save_school(replace(settings(), school=SchoolId(id_)))
        await state.write_desired(SchoolId(id_), [desired("K1", ["amy"])])
        await state.write_actual(
            await read_row(state, SchoolId(id_), "K1"), AppliedDelta(run=RUN, cause=Cause.NIGHTLY, at=NOON)
        )
        await state.write_pins(
            SchoolId(id_), [Pin(key=K1, members=frozenset(), owners=frozenset(), undone=RunId("undone"), run=RUN)]
        )
        await state.write_choice(SchoolId(id_), ClassChoice(key=K1, follow=Follow.ENDED))
        await state.write_owner_rule(
            SchoolId(id_), OwnerRule(id="art", prefix="Ar", account=entra_id("head"), grant=GRANT)
        )
        await state.write_run(
            RunRecord(school=SchoolId(id_), id=RUN, cause=Cause.NIGHTLY, at=NOON, outcome=RunOutcome.PLANNED)
        )
        await state.write_accepted_statistics(
            SchoolId(id_),
            FeedStatistics(
                dfe_code="1",
                academic_year=2026,
                groups=1,
                students=1,
                staff=1,
                enrolments=1,
                domain="x.org",
                taken_at=NOON,
            ),
        )

    async def has_records(one: str) -> list[bool]:
        records = (
            await state.class_records(SchoolId(one)),
            await state.history(SchoolId(one), K1),
            await state.pins(SchoolId(one)),
            (await state.choices(SchoolId(one))).classes,
            (await state.choices(SchoolId(one))).rules,
            await state.runs(SchoolId(one)),
            await state.accepted_statistics(SchoolId(one)),
            await state.school(SchoolId(one)),
        )
        return [bool(each) for each in records]

    for _ in range(2):
        await state.erase_school(school)
        assert await has_records(school) == [False] * 7 + [True]
    assert await has_records(other) == [True] * 8


async def test_a_class_too_large_for_a_transaction_is_not_written(shared_storage: str, school: SchoolId) -> None:
    """Azure rejects it and Azurite does not, so the adapter checks before it writes."""
    tables = TableState.from_connection_string(shared_storage)
    try:
        await tables.ensure_tables()
        crowd = [f"p{number}" for number in range(25_000)]
        others = [desired(f"J{number}") for number in range(120)]
        assert await tables.write_desired(school, [*others[:60], desired("K", crowd), *others[60:]]) == ("K",)
        written = await tables.class_records(school)
        assert {record.key for record in written} == {other.key for other in others}
    finally:
        await tables.close()


def held_class(key: str, people: int = 2) -> HeldClass:
    return HeldClass(
        group_name="Art",
        name="Art (7A)",
        key=ClassKey(key),
        what="would lose them",
        lost=people,
        students=2 * people,
        leaving=tuple(sorted(entra_ids(f"{key}.{number}" for number in range(people)))),
        people=tuple(MisId(f"{key}.{number}") for number in range(people)),
        digest=f"digest {key}",
    )


def hold(digest: str, *classes: str) -> Hold:
    return Hold(
        digest=digest,
        kind=HoldKind.LEFT_GROUP,
        classes=tuple(held_class(key) for key in classes),
        what="too much",
        remedy="approve it",
        run=RunId("run 1"),
        at=NOON,
    )


async def test_holds_are_replaced_together(state: Store, school: SchoolId) -> None:
    assert await state.holds(school) == ()
    first, second = hold("a", "K1"), hold("b", "K2", "K3")
    await state.replace_holds(school, [], [second, first])
    assert await state.holds(school) == (first, second)
    other = SchoolId(f"{school}/2")
    await state.replace_holds(other, [], [first])
    assert await state.open_holds([school, other, SchoolId("nobody")]) == {school: 2, other: 1, "nobody": 0}
    approved = replace(second, status=HoldStatus.APPROVED)
    await state.replace_holds(school, [first, second], [approved])
    assert await state.holds(school) == (approved,)
    assert await state.open_holds([school]) == {school: 0}
    await state.replace_holds(school, [approved], [])
    assert await state.holds(school) == ()


async def test_a_hold_of_a_large_school_keeps_every_class_with_its_people(state: Store, school: SchoolId) -> None:
    """No row and no transaction of Table storage could have it as a whole."""
    large = hold("l", *(f"K{number:04}" for number in range(1_800)))
    large = replace(large, classes=tuple(held_class(part.key, 30) for part in large.classes))
    other = replace(hold("o", "K1"), classes=(held_class("K1", 2_000),))
    await state.replace_holds(school, [], [large, other])
    assert await state.holds(school) == (large, other)
    await state.replace_holds(school, [large, other], [other])
    assert await state.holds(school) == (other,)


async def test_accepted_statistics_are_stored_and_forgotten(state: Store, school: SchoolId) -> None:
    assert await state.accepted_statistics(school) is None
    statistics = FeedStatistics(
        dfe_code="1234567",
        academic_year=2026,
        groups=220,
        students=1000,
        staff=75,
        enrolments=7000,
        domain="x.org",
        taken_at=NOON,
    )
    for expected in (replace(statistics, groups=1), statistics, None, None):
        await state.write_accepted_statistics(school, expected)
        assert await state.accepted_statistics(school) == expected


async def test_rows_that_were_left_out_are_stored_replaced_and_erased(state: Store, school: SchoolId) -> None:
    assert await state.left_out(school) is None
    row = LeftOut(
        "users.csv", "line 3", "orgSourcedIds", "2 letters", "is not in orgs.csv — \u2019", "correct it", school
    )
    many = {f"{number:04}": replace(row, place=f"line {number}") for number in range(1, 501)}
    for rows in ({}, many, {"0001": replace(row, field="", shape="", school=SchoolId(""))}, {}):
        expected = LeftOutRows(run=RUN, at=NOON, count=3 * len(rows), rows=rows)
        await state.write_left_out(school, expected)
        assert await state.left_out(school) == expected
    await state.erase_school(school)
    assert await state.left_out(school) is None


async def test_changes_of_settings_are_listed_until_they_are_forgotten(state: Store, school: SchoolId) -> None:
    many = {f"limits.{name}": Changed("", "0.5 of 1: 50%") for name in ("turnover", "class_loss")}
    early = SettingsChange(school=school, at=NOON, by=entra_id("head"), settings=many)
    late = SettingsChange(school=school, at=NOON + timedelta(days=2), by=AccountId(""), settings={})
    for change in (late, early):
        await state.write_settings_change(change)
    assert await state.settings_changes(school) == (early, late)
    assert await state.settings_changes(SchoolId(f"{school}x")) == ()
    await state.forget_history(school, NOON + timedelta(days=1))
    assert await state.settings_changes(school) == (late,)
    await state.erase_school(school)
    assert await state.settings_changes(school) == ()


async def test_runs_can_be_listed_since_a_time(state: Store, school: SchoolId) -> None:
    early, late = (
        RunRecord(school=school, id=RunId(name), cause=Cause.NIGHTLY, at=at, outcome=RunOutcome.PLANNED, removals=3)
        for name, at in (("r1", NOON), ("r2", NOON + timedelta(days=3)))
    )
    for run in (late, early):
        await state.write_run(run)
    assert await state.runs(school) == (early, late)
    assert await state.runs(school, NOON + timedelta(days=1)) == (late,)
    assert await state.runs(school, late.at) == (late,)
    assert await state.run(school, RunId("r1")) == early
    assert await state.run(school, RunId("r3")) is None


async def test_the_outlines_of_classes_are_those_of_their_records(state: Store, school: SchoolId) -> None:
    people = [f"p{number}" for number in range(2_000)]
    wanted = [
        desired("K1", ["amy", "ben"], ["ben"]),
        replace(desired("K2", ["amy"]), ended=True),
        desired("K3", people),
    ]
    await state.write_desired(school, [*wanted, replace(desired("K4"), pinned=True, generation=1), desired("K%/5")])
    for key, delta in (("K1", None), ("K2", None), ("K4", None)):
        record = await read_row(state, school, key)
        await state.write_actual(replace(synced(record.desired), school=school, etag=record.etag), delta)
    record = await read_row(state, school, "K%/5")
    await state.write_actual(replace(record, intent="5", error=RowError("code", "message", "remedy")))
    await state.write_drift(school, [Drift(K1, stale=True), Drift(ClassKey("K4"), gone=True)])
    await state.write_desired(school, [replace(desired("K2", ["amy"]), tenant="another")])
    records = await state.class_records(school)
    assert await state.class_outlines(school) == tuple(record.outline for record in records)
    assert [outline.members for outline in await state.class_outlines(school)] == [0, 2, 1, 2_000, 0]
    assert [outline.refused for outline in await state.class_outlines(school)] == [True, False, False, False, False]
