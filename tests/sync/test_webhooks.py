"""Planning of webhook events: a single event is planned at once, a burst shares a few plans, and none is lost."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.ids import MisId, RunId, SchoolId
from sync_core.domain.permissions import Grants
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause, RunOutcome
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.webhooks import WebhookEvent, gathering_ends, pause_ends
from sync_core.errors import Replayed
from sync_core.messaging.messages import SyncSchool, SyncWebhookEvents
from sync_core.planning.naming.class_keys import class_key
from sync_core.services import Services
from sync_core.sync.webhooks import REMEMBER_FOR, receive_event, sync_of_events, sync_webhook_events
from tests.builders import (
    NOON,
    SCHOOL,
    TENANT,
    accounts,
    desired,
    entra_ids,
    mis_ids,
    settings,
    snapshot,
    synced,
    teaching,
)
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.memory_webhook_inbox import MemoryWebhookInbox
from tests.fakes.services import services
from tests.fakes.steps import Step, no_step

S1 = SchoolId("S1")
RUN = RunId("run")
REQUEST = SyncWebhookEvents(S1, RUN)

REMEDY = "request a full resync of the tenant, or wait for the nightly run"


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@pytest.mark.parametrize(
    ("now", "planned", "ends", "gathered"),
    [
        (0, [], 0, 1),
        (0.001, [], 0.001, 2),
        (0, [-60], 0, 1),
        (0, [-59], -57, 1),
        (0, [-2], 0, 1),
        (0, [-1.5], 0.5, 1),
        (0, [-0.5], 1.5, 2),
        (0, [-4, -1], 3, 3),
        (0, [-20, -8], -4, 1),
        (0.5, [-20, -8], -4, 2),
        (0, [-9, -5, -1], 7, 7),
        (0, [-20, -9, -5, -1], 11, 11),
        (0, [-50, -20, -9, -5, -1], 11, 11),
        (0, [-52, -40, -27, -13], -1, 1),
        (0, [-70, -69, -68, -1], 1, 1),
    ],
)
def test_the_pause_grows_with_the_plans_of_the_last_minute(
    now: float, planned: list[float], ends: float, gathered: float
) -> None:
    at, moments = NOON + seconds(now), [NOON + seconds(moment) for moment in planned]
    assert pause_ends(at, moments) == NOON + seconds(ends)
    assert gathering_ends(at, moments) == NOON + seconds(gathered)


@pytest.mark.parametrize(
    ("waiting", "scope", "people"),
    [
        ([(["G2", "G1"], []), (["G1"], [])], ("G1", "G2"), ()),
        ([([], ["p2"]), (["G1"], ["p1", "p2"])], ("G1",), ("p1", "p2")),
        ([([], ["p1"])], (), ("p1",)),
        ([(["G1"], ["p1"]), ([], [])], None, ()),
    ],
)
def test_waiting_events_are_merged_into_one_sync(
    waiting: list[tuple[list[MisId], list[MisId]]], scope: tuple[MisId, ...] | None, people: tuple[MisId, ...]
) -> None:
    events = [
        WebhookEvent(id=str(at), at=NOON, groups=tuple(groups), people=tuple(named))
        for at, (groups, named) in enumerate(waiting)
    ]
    assert sync_of_events(REQUEST, events) == SyncSchool(S1, RUN, Cause.WEBHOOK, scope, people)


@dataclass(slots=True)
class Scene:
    """A school that receives webhooks. `plan_due` delivers the messages that are due, as the queue would."""

    step: Step = no_step
    clock: FixedClock = field(default_factory=FixedClock)
    groups: tuple[MisGroup, ...] = (teaching("G1", "7A", ["amy"]), teaching("G2", "7B", ["ben"]))
    inbox: MemoryWebhookInbox = field(init=False)
    outbox: MemoryOutbox = field(init=False)
    state: MemoryState = field(init=False)
    plans: list[float] = field(default_factory=list)
    tenant: MemoryTenant = field(default_factory=MemoryTenant)

    def __post_init__(self) -> None:
        self.inbox = MemoryWebhookInbox(self.step)
        self.outbox = MemoryOutbox(self.step)
        self.state = MemoryState(self.step)

    @property
    def services(self) -> Services:
        return services(
            self.state, tenant=self.tenant, mis=self, outbox=self.outbox, clock=self.clock, inbox=self.inbox
        )

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return snapshot(self.groups)

    async def receive_event(self, id_: str, groups: Iterable[str] = (), people: Iterable[str] = ()) -> float:
        """Returns the seconds until the event is planned."""
        now = self.clock.now()
        event = WebhookEvent(id=id_, at=now, groups=mis_ids(*groups), people=mis_ids(*people))
        due = await receive_event(SCHOOL.id, event, RunId(f"run {id_}"), self.services)
        return (due - now).total_seconds()

    async def plan_due(self) -> None:
        now = self.clock.now()
        due = [queued for queued in self.outbox.requests if queued[1] and queued[1] <= now]
        for queued in due:
            assert isinstance(queued[0], SyncWebhookEvents)
            run = await sync_webhook_events(queued[0], self.services)
            # Delivered: clear the time, and keep the request in the list.
            self.outbox.requests[self.outbox.requests.index(queued)] = (queued[0], None)
            if run:
                self.plans.append((now - NOON).total_seconds())

    async def planned_groups(self) -> list[str]:
        return [record.desired.group_id for record in await self.state.class_records(SCHOOL.id)]

    async def wait_seconds(self, count: int) -> None:
        """Advance the clock second by second, planning what is due."""
        for _ in range(count):
            self.clock.advance(seconds(1))
            await self.plan_due()


async def make_scene(step: Step = no_step) -> Scene:
    """A scene with a school that is set up and has accounts."""
    scene = Scene(step)
    await scene.state.save_school(settings())
    await scene.state.write_accounts(TENANT, AccountChanges(True, (), frozenset(), "token"))
    return scene


async def test_a_thousand_webhooks_in_a_minute_share_eight_plans_and_none_is_lost() -> None:
    scene = await make_scene()
    for number in range(1000):
        await scene.receive_event(f"msg_{number}", [f"G{number % 2 + 1}"])
        scene.clock.advance(seconds(0.06))
        await scene.plan_due()
    assert len(scene.plans) == 7
    await scene.wait_seconds(20)
    assert len(scene.plans) == 8
    assert len(scene.outbox.requests) == 14
    assert await scene.inbox.waiting(SCHOOL.id) == ()


async def test_an_event_of_a_tenant_that_lacks_a_permission_is_not_planned_and_its_run_says_why() -> None:
    scene = await make_scene()
    scene.tenant.granted = Grants(frozenset(["Group.ReadWrite.All"]))
    await scene.receive_event("msg_1", ["G1"])
    await scene.wait_seconds(2)
    (run,) = await scene.state.runs(SCHOOL.id)
    assert (run.outcome, run.cause) == (RunOutcome.BLOCKED, Cause.WEBHOOK)
    assert "lacks EduRoster.ReadWrite.All (to create classes" in run.notes[0]
    assert "infra/scripts/grant_graph.py" in run.notes[1]
    assert (await scene.planned_groups(), scene.outbox.changes) == ([], [])
    assert await scene.inbox.waiting(SCHOOL.id) == ()


async def test_a_single_event_is_planned_at_once() -> None:
    scene = await make_scene()
    for number in range(20):
        assert await scene.receive_event(f"msg_{number}", ["G1"]) == 0
        await scene.wait_seconds(61)
    assert len(scene.plans) == 20


async def test_each_of_several_events_within_a_minute_is_planned_at_once_if_the_pause_is_over() -> None:
    scene = await make_scene()
    for number in range(8):
        assert await scene.receive_event(f"msg_{number}", ["G1"]) == 0
        await scene.wait_seconds(13)
    assert len(scene.plans) == 8


async def test_events_while_another_waits_are_gathered_with_one_message_and_may_share_its_plan() -> None:
    scene = await make_scene()
    assert [await scene.receive_event(f"msg_{number}", ["G1"]) for number in range(3)] == [0, 1, 1]
    assert len(scene.outbox.requests) == 2
    await scene.plan_due()
    assert (len(scene.plans), await scene.inbox.waiting(SCHOOL.id)) == (1, ())
    for number in range(3, 6):
        assert await scene.receive_event(f"msg_{number}", ["G2"]) == 2
    await scene.wait_seconds(2)
    assert (len(scene.plans), await scene.planned_groups()) == (2, ["G1", "G2"])
    assert await scene.inbox.waiting(SCHOOL.id) == ()


async def test_an_event_whose_message_failed_is_planned_at_once_when_it_comes_again() -> None:
    """Its own row does not count as another event."""
    scene = await make_scene()
    await scene.inbox.add(SCHOOL.id, WebhookEvent(id="msg_1", at=NOON))
    assert await scene.receive_event("msg_1") == 0


async def test_only_the_named_groups_are_synced() -> None:
    scene = await make_scene()
    await scene.receive_event("msg_1", ["G2", "a group that is not there"])
    await scene.wait_seconds(2)
    assert await scene.planned_groups() == ["G2"]
    await scene.receive_event("msg_2")
    await scene.wait_seconds(5)
    assert await scene.planned_groups() == ["G1", "G2"]


async def test_named_people_sync_the_groups_they_join_and_leave() -> None:
    scene = await make_scene()
    known = tuple(AccountChange(account.id, account.values) for account in accounts(["amy", "ann", "ben", "ted"]))
    await scene.state.write_accounts(TENANT, AccountChanges(True, known, frozenset(), "token"))
    scene.groups = (
        teaching("G1", "7A", ["amy", "ann"]),
        teaching("G2", "7B", ["ben"]),
        teaching("G3", "7C", ["ben"], ["ted"]),
    )
    await scene.receive_event("msg_1")
    await scene.wait_seconds(2)
    scene.groups = (
        teaching("G1", "7A", ["ann"]),
        teaching("G2", "7B", ["ann"]),
        teaching("G3", "7C", ["ben", "amy"], ["ted"]),
    )
    await scene.receive_event("msg_2", people=["amy", "nobody"])
    await scene.wait_seconds(5)
    members = {record.desired.group_id: record.desired.members for record in await scene.state.class_records(SCHOOL.id)}
    assert members == {"G1": entra_ids(["ann"]), "G2": entra_ids(["ben"]), "G3": entra_ids(["amy", "ben", "ted"])}


async def test_incomplete_accounts_remove_nobody() -> None:
    """For example after the tables were lost: without all accounts, the plan cannot know who has left."""
    scene = Scene()
    await scene.state.save_school(settings())
    known = tuple(AccountChange(account.id, account.values) for account in accounts(["ann"]))
    await scene.state.write_accounts(TENANT, AccountChanges(False, known, frozenset(), "first", more=True))
    await scene.state.write_desired(SCHOOL.id, [desired(class_key(scene.groups[0]), ["amy"])])
    record = await scene.state.class_record(SCHOOL.id, class_key(scene.groups[0]))
    assert record
    await scene.state.write_actual(replace(record, actual=synced(record.desired).actual))
    await scene.receive_event("msg_1")
    await scene.wait_seconds(2)
    (run,) = await scene.state.runs(SCHOOL.id)
    assert (run.outcome, run.notes[1]) == (RunOutcome.REJECTED, REMEDY)
    after = await scene.state.class_record(SCHOOL.id, record.key)
    assert after
    assert after.desired.members == entra_ids(["amy"])


async def test_a_replayed_webhook_is_rejected_for_a_day_before_and_after_its_plan() -> None:
    scene = await make_scene()
    await scene.receive_event("msg_1", ["G1"])
    for number, pause in enumerate((timedelta(0), seconds(61), REMEMBER_FOR - seconds(75))):
        scene.clock.advance(pause)
        await scene.receive_event(f"msg_{number + 2}", ["G1"])
        await scene.wait_seconds(3)
        with pytest.raises(Replayed):
            await scene.receive_event("msg_1", ["G1"])
    assert len(scene.plans) == 3
    scene.clock.advance(REMEMBER_FOR)
    await scene.receive_event("msg_9", ["G1"])
    await scene.wait_seconds(3)
    await scene.receive_event("msg_1", ["G1"])


class Crash(Exception):
    """Ends the process."""


class CrashAt:
    """Lets `left` steps pass, and then fails once."""

    def __init__(self, left: int) -> None:
        self.left = left

    async def __call__(self, _: str) -> None:
        self.left -= 1
        if self.left == -1:
            raise Crash


@pytest.mark.parametrize("steps", range(30))
async def test_a_crash_at_any_step_loses_no_event(steps: int) -> None:
    """The sender retries a webhook without a response, and the queue redelivers an unsettled message."""
    crash = CrashAt(-1)
    scene = await make_scene(crash)
    crash.left = steps
    for _ in range(2):
        try:
            await scene.receive_event("msg_1", ["G1"])
            break
        except (Crash, Replayed):
            continue
    for _ in range(10):
        scene.clock.advance(seconds(1))
        with suppress(Crash):
            await scene.plan_due()
    assert crash.left < 0, "the flow has fewer steps"
    assert await scene.planned_groups() == ["G1"]
    assert await scene.inbox.waiting(SCHOOL.id) == ()
    runs = await scene.state.runs(SCHOOL.id)
    assert [run.outcome for run in runs] == [RunOutcome.PLANNED]
