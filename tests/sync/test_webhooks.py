"""When what was announced is planned, and as what: a lone change at once, a storm in a handful of plans, none lost."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause, RunOutcome
from sync_core.domain.school import SchoolSettings
from sync_core.domain.webhooks import WebhookEvent, next_plan
from sync_core.errors import Replayed
from sync_core.messaging.messages import SyncSchool, SyncWebhookEvents
from sync_core.planning.class_keys import class_key
from sync_core.services import Services
from sync_core.state.port import DeltaKind
from sync_core.sync.webhooks import REMEMBER_FOR, receive_event, sync_of_events, sync_webhook_events
from tests.builders import NOON, SCHOOL, TENANT, accounts, desired, entra_ids, settings, snapshot, synced, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_webhook_inbox import MemoryWebhookInbox
from tests.fakes.services import services
from tests.fakes.steps import Step, no_step

REQUEST = SyncWebhookEvents("S1", "run")

REMEDY = "request a full resync of the tenant, or wait for the nightly run"


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@pytest.mark.parametrize(
    ("now", "planned", "due"),
    [
        (0, [], 1),
        (0.001, [], 2),
        (0.5, [-60], 2),
        (0, [-59], 1),
        (0, [-1], 1),
        (0, [-0.5], 2),
        (0, [-4, -1], 3),
        (0, [-9, -5, -1], 7),
        (0, [-20, -9, -5, -1], 15),
        (0, [-50, -20, -9, -5, -1], 15),
        (0, [-70, -69, -68, -1], 1),
    ],
)
def test_the_more_plans_within_a_minute_the_longer_the_pause(now: float, planned: list[float], due: float) -> None:
    moments = [NOON + seconds(moment) for moment in planned]
    assert next_plan(NOON + seconds(now), moments) == NOON + seconds(due)


@pytest.mark.parametrize(
    ("waiting", "scope", "people"),
    [
        ([(["G2", "G1"], []), (["G1"], [])], ("G1", "G2"), ()),
        ([([], ["p2"]), (["G1"], ["p1", "p2"])], ("G1",), ("p1", "p2")),
        ([([], ["p1"])], (), ("p1",)),
        ([(["G1"], ["p1"]), ([], [])], None, ()),
    ],
)
def test_what_waits_is_one_sync(
    waiting: list[tuple[list[str], list[str]]], scope: tuple[str, ...] | None, people: tuple[str, ...]
) -> None:
    listed = [
        WebhookEvent(id=str(at), at=NOON, groups=tuple(groups), people=tuple(who))
        for at, (groups, who) in enumerate(waiting)
    ]
    assert sync_of_events(REQUEST, listed) == SyncSchool("S1", "run", Cause.WEBHOOK, scope, people)


@dataclass(slots=True)
class Scene:
    """A school behind its webhooks; `plan_due` delivers the messages that are due, as the queue would."""

    step: Step = no_step
    clock: FixedClock = field(default_factory=FixedClock)
    groups: tuple[MisGroup, ...] = (teaching("G1", "7A", ["amy"]), teaching("G2", "7B", ["ben"]))
    inbox: MemoryWebhookInbox = field(init=False)
    outbox: MemoryOutbox = field(init=False)
    state: MemoryState = field(init=False)
    plans: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox = MemoryWebhookInbox(self.step)
        self.outbox = MemoryOutbox(self.step)
        self.state = MemoryState(self.step)

    @property
    def services(self) -> Services:
        return services(self.state, mis=self, outbox=self.outbox, clock=self.clock, inbox=self.inbox)

    async def snapshot(self, settings: SchoolSettings) -> Snapshot:
        return snapshot(self.groups)

    async def receive_event(self, id_: str, groups: Iterable[str] = (), people: Iterable[str] = ()) -> float:
        """Returns in how many seconds it is planned."""
        now = self.clock.now()
        said = WebhookEvent(id=id_, at=now, groups=tuple(groups), people=tuple(people))
        due = await receive_event(SCHOOL.id, said, f"run {id_}", self.services)
        return (due - now).total_seconds()

    async def plan_due(self) -> None:
        now = self.clock.now()
        due = [held for held in self.outbox.requests if held[1] and held[1] <= now]
        for held in due:
            assert isinstance(held[0], SyncWebhookEvents)
            run = await sync_webhook_events(held[0], self.services)
            # The queue forgets what it delivered, but not that it had it: `requests` keeps the moment.
            self.outbox.requests[self.outbox.requests.index(held)] = (held[0], None)
            if run:
                self.plans.append((now - NOON).total_seconds())

    async def planned_groups(self) -> list[str]:
        return [record.desired.group_id for record in await self.state.class_records(SCHOOL.id)]

    async def let_pass(self, count: int) -> None:
        """So many seconds, and what is due in each of them."""
        for _ in range(count):
            self.clock.advance(seconds(1))
            await self.plan_due()


async def joined(step: Step = no_step) -> Scene:
    """A school that is synced."""
    scene = Scene(step)
    await scene.state.save_school(settings())
    await scene.state.write_delta_token(TENANT, DeltaKind.ACCOUNTS, "token")
    return scene


async def test_a_thousand_webhooks_in_a_minute_are_six_plans_and_none_is_left_out() -> None:
    storm = await joined()
    for number in range(1000):
        await storm.receive_event(f"msg_{number}", [f"G{number % 2 + 1}"])
        storm.clock.advance(seconds(0.06))
        await storm.plan_due()
    assert len(storm.plans) == 6
    await storm.let_pass(20)
    assert len(storm.plans) == 7
    assert len(storm.outbox.requests) == 13
    assert await storm.inbox.waiting(SCHOOL.id) == ()


async def test_lone_changes_are_planned_after_a_second_or_two_each() -> None:
    day = await joined()
    for number in range(20):
        assert await day.receive_event(f"msg_{number}", ["G1"]) <= 2
        await day.let_pass(61)
    assert len(day.plans) == 20


async def test_what_is_not_notified_is_not_touched() -> None:
    scene = await joined()
    await scene.receive_event("msg_1", ["G2", "a group that is not there"])
    await scene.let_pass(2)
    assert await scene.planned_groups() == ["G2"]
    await scene.receive_event("msg_2")
    await scene.let_pass(5)
    assert await scene.planned_groups() == ["G1", "G2"]


async def test_people_stand_for_the_groups_that_they_are_in_and_were_in() -> None:
    scene = await joined()
    known = tuple(AccountChange(account.id, account.values) for account in accounts(["amy", "ann", "ben", "ted"]))
    await scene.state.write_accounts(TENANT, AccountChanges(True, known, frozenset(), "token"))
    scene.groups = (
        teaching("G1", "7A", ["amy", "ann"]),
        teaching("G2", "7B", ["ben"]),
        teaching("G3", "7C", ["ben"], ["ted"]),
    )
    await scene.receive_event("msg_1")
    await scene.let_pass(2)
    scene.groups = (
        teaching("G1", "7A", ["ann"]),
        teaching("G2", "7B", ["ann"]),
        teaching("G3", "7C", ["ben", "amy"], ["ted"]),
    )
    await scene.receive_event("msg_2", people=["amy", "nobody"])
    await scene.let_pass(5)
    members = {record.desired.group_id: record.desired.members for record in await scene.state.class_records(SCHOOL.id)}
    assert members == {"G1": entra_ids(["ann"]), "G2": entra_ids(["ben"]), "G3": entra_ids(["amy", "ben", "ted"])}


async def test_where_accounts_were_not_read_to_the_end_nobody_is_taken_out() -> None:
    """As when the tables were lost, and a class was found again: its people are not told from who has left."""
    scene = Scene()
    await scene.state.save_school(settings())
    known = tuple(AccountChange(account.id, account.values) for account in accounts(["ann"]))
    await scene.state.write_accounts(TENANT, AccountChanges(True, known, frozenset(), "not written yet"))
    await scene.state.write_desired(SCHOOL.id, [desired(class_key(scene.groups[0]), ["amy"])])
    record = await scene.state.class_record(SCHOOL.id, class_key(scene.groups[0]))
    assert record
    await scene.state.write_actual(replace(record, actual=synced(record.desired).actual))
    await scene.receive_event("msg_1")
    await scene.let_pass(2)
    (run,) = await scene.state.runs(SCHOOL.id)
    assert (run.outcome, run.notes[1]) == (RunOutcome.REJECTED, REMEDY)
    after = await scene.state.class_record(SCHOOL.id, record.key)
    assert after
    assert after.desired.members == entra_ids(["amy"])


async def test_a_webhook_that_comes_again_is_refused_before_and_after_its_plan_for_a_day() -> None:
    scene = await joined()
    await scene.receive_event("msg_1", ["G1"])
    for number, pause in enumerate((timedelta(0), seconds(61), REMEMBER_FOR - seconds(75))):
        scene.clock.advance(pause)
        await scene.receive_event(f"msg_{number + 2}", ["G1"])
        await scene.let_pass(3)
        with pytest.raises(Replayed):
            await scene.receive_event("msg_1", ["G1"])
    assert len(scene.plans) == 3
    scene.clock.advance(REMEMBER_FOR)
    await scene.receive_event("msg_9", ["G1"])
    await scene.let_pass(3)
    await scene.receive_event("msg_1", ["G1"])


class Crash(Exception):
    """What a process dies of."""


class CrashAt:
    """Lets so many steps pass, and then fails once."""

    def __init__(self, left: int) -> None:
        self.left = left

    async def __call__(self, _: str) -> None:
        self.left -= 1
        if self.left == -1:
            raise Crash


@pytest.mark.parametrize("steps", range(30))
async def test_a_crash_at_any_step_of_webhook_or_plan_loses_nothing(steps: int) -> None:
    """The sender tries again what was not answered, and the queue delivers again what was not settled."""
    crash = CrashAt(-1)
    scene = await joined(crash)
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
    assert crash.left < 0, "there are fewer steps"
    assert await scene.planned_groups() == ["G1"]
    assert await scene.inbox.waiting(SCHOOL.id) == ()
    runs = await scene.state.runs(SCHOOL.id)
    assert [run.outcome for run in runs] == [RunOutcome.PLANNED]
