"""Messages that nobody sent for an admin: random ones, and forged ones under the run of a request that is on record.

Whatever arrives, in whatever order: no class changes but the one that an admin requested, no error is a stranger's, and
none is without a reason and a remedy.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.admin.classes.requests import request_action, request_sync
from sync_core.admin.requests import Requester
from sync_core.app import App
from sync_core.applying.handler import ChangeHandler
from sync_core.config import parse_settings
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.classes.record import ActualClass
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.permissions import Grants
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause, RunOutcome
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.webhooks import WebhookEvent
from sync_core.errors import Malformed, NotOnRecord, SyncError
from sync_core.messaging.messages import (
    SYNC_REQUESTS,
    Action,
    ActOnClass,
    Change,
    DecideHold,
    Decision,
    DeleteClass,
    Priority,
    RefreshTenant,
    RestoreClass,
    SchoolRequest,
    SyncSchool,
    SyncWebhookEvents,
    UndoRun,
    decode_change,
    decode_request,
    encode,
)
from tests import builders
from tests.builders import NOON, SCHOOL, accounts, by_class_key, desired, entra_id, mis_ids, snapshot, synced, teaching
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryGroup, MemoryTenant
from tests.fakes.services import services
from tests.http.memory_api import ENVIRONMENT
from tests.random_messages import Ids, damaged, random_messages

REQUESTED, PENDING = ClassKey("2026.teaching.G1"), RunId("pending")
GROUPS = [teaching(f"G{number}", f"Set {number}", ["amy", "ben"]) for number in (1, 2, 3)]
KEYS = sorted(by_class_key(GROUPS))


class _Mis:
    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return snapshot(GROUPS)


@dataclass(slots=True)
class World:
    """A school with three classes and a webhook event that waits, and an admin's request to delete the first class.

    The message of that request has not arrived.
    """

    state: MemoryState = field(default_factory=MemoryState)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    tenant: MemoryTenant = field(default_factory=MemoryTenant)
    app: App = field(init=False)

    async def begin(self) -> None:
        self.app = App(
            parse_settings(ENVIRONMENT), services(self.state, tenant=self.tenant, mis=_Mis(), outbox=self.outbox)
        )
        school = builders.settings()
        await self.state.save_school(school)
        known = tuple(AccountChange(each.id, each.values, each.enabled) for each in accounts(["amy", "ben"]))
        await self.state.write_accounts(school.tenant, AccountChanges(True, known, frozenset(), "token"))
        for key in KEYS:
            await self.state.write_desired(SCHOOL.id, [desired(key, ["amy", "ben"])])
            record = await self.state.class_record(SCHOOL.id, key)
            assert record
            await self.state.write_actual(replace(record, actual=synced(record.desired).actual))
        requester = Requester(entra_id("admin"), PENDING)
        await request_action(school, REQUESTED, Action.DELETE, requester, self.app.services)
        await self.app.services.inbox.add(SCHOOL.id, WebhookEvent(id="msg_1", at=NOON))

    async def deleted(self) -> set[ClassKey]:
        """The classes that are to be deleted, by their rows or by a message."""
        rows = {record.key for record in await self.state.class_records(SCHOOL.id) if record.desired.deleted}
        return rows | {change.key for change in self.outbox.changes if isinstance(change, DeleteClass)}

    async def actual(self, key: ClassKey) -> ActualClass:
        record = await self.state.class_record(SCHOOL.id, key)
        assert record
        assert record.actual
        return record.actual

    async def handle(self, body: bytes, queue: str) -> None:
        """As the triggers do."""
        if queue == SYNC_REQUESTS:
            await self.app.handle_request(decode_request(body))
        else:
            await ChangeHandler(self.app.services).handle(decode_change(body), Priority(queue))


REAL = ActOnClass(SCHOOL.id, REQUESTED, Action.DELETE, PENDING)
FORGED = [
    ActOnClass(SCHOOL.id, KEYS[1], Action.DELETE, PENDING),
    ActOnClass(SCHOOL.id, REQUESTED, Action.RESTORE, PENDING),
    UndoRun(SCHOOL.id, RunId("night"), PENDING),
    UndoRun(SCHOOL.id, PENDING, PENDING),
    DecideHold(SCHOOL.id, ("0123456789ab",), Decision.APPROVE, PENDING),
    replace(REAL, cause=Cause.NIGHTLY),
    *(SyncSchool(SCHOOL.id, PENDING, cause) for cause in Cause),
    SyncSchool(SCHOOL.id, PENDING, Cause.ADMIN, mis_ids("G1")),
    SyncWebhookEvents(SCHOOL.id, PENDING),
    SyncWebhookEvents(SCHOOL.id, PENDING, Cause.ADMIN),
]


@pytest.mark.parametrize("forged", FORGED, ids=lambda forged: f"{forged.kind} {getattr(forged, 'key', '')}")
async def test_a_message_under_the_run_of_another_request_changes_nothing_and_the_request_is_carried_out(
    forged: SchoolRequest,
) -> None:
    world = World()
    await world.begin()
    before = await world.state.run(SCHOOL.id, PENDING)

    with pytest.raises(NotOnRecord) as refused:
        await world.handle(encode(forged), SYNC_REQUESTS)

    assert "an action that is not on record as that of run pending, so nothing was changed" in refused.value.message
    assert "request the action over the admin API" in refused.value.remedy
    assert (await world.deleted(), await world.state.run(SCHOOL.id, PENDING)) == (set(), before)
    # Nothing that is scheduled now can displace the message of a real event.
    assert world.outbox.requests == [(REAL, None)]
    await world.handle(encode(REAL), SYNC_REQUESTS)
    done = await world.state.run(SCHOOL.id, PENDING)
    assert done
    assert (await world.deleted(), done.outcome, done.class_key) == ({REQUESTED}, RunOutcome.PLANNED, REQUESTED)


PENDING_RESTORE, REFUSED_RESTORE = RunId("pending restore"), RunId("refused restore")
FORGED_RESTORES = [
    RestoreClass(SCHOOL.id, KEYS[1], run, cause)
    for run, cause in (
        (PENDING, Cause.ADMIN),
        (PENDING_RESTORE, Cause.ADMIN),
        (REFUSED_RESTORE, Cause.ADMIN),
        (RunId("nobody's"), Cause.ADMIN),
        (RunId("night"), Cause.NIGHTLY),
    )
]


@pytest.mark.parametrize("forged", FORGED_RESTORES, ids=lambda forged: forged.run)
async def test_a_class_that_was_deleted_by_hand_is_restored_only_for_an_admin(forged: RestoreClass) -> None:
    """The row does not tell: such a class is gone whether or not an admin wants it back."""
    world = World()
    await world.begin()
    school, actual = builders.settings(), {key: await world.actual(key) for key in KEYS}
    for key in (REQUESTED, KEYS[1]):
        world.tenant.groups[actual[key].class_id] = MemoryGroup(actual[key].class_id, actual[key].name, "", NOON)
        world.tenant.hand_delete(actual[key].class_id)
        await world.state.write_drift(SCHOOL.id, [Drift(key, gone=True)])
    requester = Requester(entra_id("admin"), PENDING_RESTORE)
    await request_action(school, REQUESTED, Action.RESTORE, requester, world.app.services)
    unasked = ActOnClass(SCHOOL.id, KEYS[1], Action.RESTORE, REFUSED_RESTORE)
    await world.handle(encode(unasked), SYNC_REQUESTS)

    with pytest.raises(NotOnRecord) as refused:
        await world.handle(encode(forged), Priority.URGENT)

    assert f"not on record as that of run {forged.run}, so nothing was changed" in refused.value.message
    assert world.tenant.groups[actual[KEYS[1]].class_id].deleted
    await world.handle(encode(ActOnClass(SCHOOL.id, REQUESTED, Action.RESTORE, PENDING_RESTORE)), SYNC_REQUESTS)
    (real,) = world.outbox.changes
    await world.handle(encode(real), Priority.URGENT)
    assert not world.tenant.groups[actual[REQUESTED].class_id].deleted


@pytest.mark.parametrize("kind", get_args(Change), ids=lambda kind: kind.__name__)
async def test_a_change_that_names_a_tenant_is_unreadable_and_no_tenant_is_asked(kind: type[Change]) -> None:
    world = World()
    await world.begin()
    body = json.loads(encode(kind(SCHOOL.id, KEYS[1], RunId("night"), Cause.NIGHTLY)))
    before = await world.state.class_records(SCHOOL.id)

    with pytest.raises(Malformed) as refused:
        await world.handle(json.dumps({**body, "tenant": entra_id("a tenant with consent")}).encode(), Priority.BULK)

    assert refused.value.message.startswith("the message cannot be read (")
    assert await world.state.class_records(SCHOOL.id) == before


async def test_a_tenant_that_is_blocked_ends_no_request_of_an_admin() -> None:
    world = World()
    await world.begin()
    before = await world.state.run(SCHOOL.id, PENDING)
    world.tenant.granted = Grants(frozenset())

    with pytest.raises(NotOnRecord):
        await world.handle(encode(RefreshTenant(builders.TENANT, PENDING, Cause.ADMIN)), SYNC_REQUESTS)

    assert await world.state.run(SCHOOL.id, PENDING) == before


async def test_a_sync_is_carried_out_under_its_own_run_however_often_it_is_delivered() -> None:
    world = World()
    await world.begin()
    school, requester = builders.settings(), Requester(entra_id("admin"), RunId("sync"))
    await request_sync(school, requester, world.app.services)
    for _ in range(2):
        await world.handle(encode(SyncSchool(SCHOOL.id, requester.run, Cause.ADMIN)), SYNC_REQUESTS)
    run = await world.state.run(SCHOOL.id, requester.run)
    assert run
    assert (run.outcome, run.requested_by) == (RunOutcome.PLANNED, requester.id)
    for forged in (SyncSchool(SCHOOL.id, requester.run, Cause.NIGHTLY), SyncWebhookEvents(SCHOOL.id, requester.run)):
        with pytest.raises(NotOnRecord):
            await world.handle(encode(forged), SYNC_REQUESTS)
    assert await world.state.run(SCHOOL.id, requester.run) == run


IDS = Ids(
    tenants=[builders.TENANT],
    schools=[SCHOOL.id],
    keys=[*KEYS, ClassKey("2026.teaching.G9")],
    groups=[group.id for group in GROUPS],
    runs=[PENDING, RunId("night")],
)
MOMENTS = st.none() | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-23))]))
MESSAGES = st.just((encode(REAL), SYNC_REQUESTS)) | random_messages(IDS, MOMENTS)


async def _deliver(messages: Sequence[tuple[bytes, str]]) -> None:
    world = World()
    await world.begin()
    for body, queue in messages:
        try:
            await world.handle(body, queue)
        except SyncError as error:
            assert error.message
            assert error.remedy
    requested = (encode(REAL), SYNC_REQUESTS) in messages
    assert await world.deleted() <= ({REQUESTED} if requested else set())
    assert {record.key for record in await world.state.class_records(SCHOOL.id)} == set(KEYS)
    run = await world.state.run(SCHOOL.id, PENDING)
    assert run
    assert (run.action, run.cause, run.class_key) == (Action.DELETE, Cause.ADMIN, REQUESTED)
    assert run.outcome is (RunOutcome.PLANNED if requested else RunOutcome.REQUESTED)


@settings(max_examples=150)
@given(st.lists(MESSAGES, max_size=6))
def test_whatever_messages_arrive_only_what_an_admin_requested_is_deleted(messages: list[tuple[bytes, str]]) -> None:
    asyncio.run(_deliver(messages))


@settings(max_examples=500)
@given(damaged(MESSAGES.map(lambda queued: queued[0])))
def test_a_damaged_message_is_read_or_malformed(body: bytes) -> None:
    for decode in (decode_request, decode_change):
        with suppress(Malformed):
            decode(body)
