"""One school, its queues and its tenant, run step by step so that anything may happen between any two steps.

The use cases are the real ones. The ports are fakes, which return control before each effect and between the effect
and its response. A test starts tasks, runs one by a step, kills it, takes its lock, duplicates a message, or edits the
MIS and the tenant by hand. When events stop, `quiet_night` runs a last night and `check` compares the tenant with the
rules.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import coroutine
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sync_core.admin.classes.requests import ClassOptions, act_on_class, request_action, request_classes, request_resync
from sync_core.admin.requests import Requester
from sync_core.admin.undo import request_release, request_undo, undo_run
from sync_core.applying.change import apply_change
from sync_core.domain.classes.choices import ClassChoice, Grant
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.teams import TeamState
from sync_core.domain.ids import AccountId, ClassId, ClassKey, RunId
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, NotFound, SyncError, Transient
from sync_core.messaging.messages import (
    SYNC_REQUESTS,
    Action,
    ActOnClass,
    ApplyPlan,
    Change,
    DecideHold,
    EndYear,
    Priority,
    RefreshTenant,
    Request,
    SyncWebhookEvents,
    TakeBackYearEnd,
    UndoRun,
    decode_change,
    decode_request,
    encode,
)
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.naming.names import class_name
from sync_core.services import Services
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, entra_id, settings, snapshot, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_teams import MemoryTeams
from tests.fakes.memory_tenant import MemoryGroup, MemoryTenant
from tests.fakes.services import services

_ELSEWHERE = DecideHold | ApplyPlan | SyncWebhookEvents | EndYear | TakeBackYearEnd
ANOTHER_TENANT = "99999999-2222-4333-8444-555555555555"
GROUPS = ("G1", "G2", "G3")
STUDENTS = tuple("abcdefgh")
TEACHERS = ("t1", "t2")
STRANGERS = ("x", "y", "z")
COVER = "cover"
"""Nobody makes them an owner or a member by hand: they are there only while an admin has given them the class."""
# Other tests cover holds. Here every change in the MIS must be applied.
NO_LIMITS = {
    "smallest_snapshot": 0,
    "class_loss": 1,
    "turnover": 1,
    "school_loss": 1,
    "week_loss": 1,
    "new_classes": 1_000_000,
}
MAX_DELIVERIES = 4
MAX_STEPS = 20_000

_T = TypeVar("_T")


@coroutine
def _pause(_: object) -> Generator[None, None, None]:
    yield


@dataclass(eq=False, slots=True)
class Message:
    body: bytes
    deliveries: int = 0


@dataclass(eq=False, slots=True)
class Task:
    """A worker that handles a message. It has the lock of its session, unless the lock was lost (a zombie)."""

    session: str
    message: Message
    coroutine: Coroutine[Any, Any, object]


@dataclass(eq=False, slots=True)
class World:
    """`lagging` is whether look-ups in the tenant currently miss a new class.

    Without `has_undelivered`, no session has a message for which a worker could start.
    """

    departed_owners: str = "keep"
    with_teams: bool = False
    lagging: bool = False
    mis: dict[str, MisGroup] = field(default_factory=dict)
    sessions: dict[str, list[Message]] = field(default_factory=dict)
    busy: dict[str, Task] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    nights: int = 0
    admin_requests: int = 0
    hand_owned: set[tuple[str, str]] = field(default_factory=set)
    dead_letters: int = 0
    over: int = 0
    unrecorded: int = 0
    undone: int = 0
    moves: int = 0
    has_unreported_change: bool = False
    has_undelivered: bool = False
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    clock: FixedClock = field(default_factory=FixedClock)
    state: MemoryState = field(init=False)
    outbox: MemoryOutbox = field(init=False)
    tenants: dict[str, MemoryTenant] = field(init=False)
    teams: dict[str, MemoryTeams] = field(init=False)
    teams_deleted: set[str] = field(default_factory=set)
    settings: SchoolSettings = field(init=False)
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        self.state = MemoryState(_pause)
        self.outbox = MemoryOutbox(_pause)
        self.tenants = {id_: MemoryTenant(_pause, lambda: self.lagging, self.clock) for id_ in (TENANT, ANOTHER_TENANT)}
        self.teams = {id_: MemoryTeams(tenant, _pause, self.clock) for id_, tenant in self.tenants.items()}
        choice = "release" if self.with_teams else "none"
        self.settings = settings(departed_owners=self.departed_owners, limits=NO_LIMITS, teams=choice)
        self.services = services(
            self.state, tenant=self.tenants, teams=self.teams, mis=self, outbox=self.outbox, clock=self.clock
        )
        for person in (*STUDENTS, *TEACHERS, *STRANGERS, COVER):
            for tenant in self.tenants.values():
                tenant.add_account(entra_id(person), f"{person}@school.onmicrosoft.com")
        run_through(self.state.save_school(self.settings))

    @property
    def tenant(self) -> MemoryTenant:
        """The school's tenant."""
        return self.tenants[self.settings.tenant]

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        await _pause(settings)
        return snapshot(self.mis.values())

    # --- events

    def set_group(self, group: str, students: frozenset[str], teacher: str) -> None:
        self.mis[group] = teaching(group, group, sorted(students), [teacher])

    def take_nickname(self, group: str) -> None:
        """Create a foreign group with the nickname that the class of `group` would have, if it is free."""
        nickname = class_name(teaching(group, group), SCHOOL.dfe_code).mail_nickname
        if all(existing.name.mail_nickname != nickname for existing in self.classes):
            self.tenant.add_foreign_group(nickname)

    def set_owner_by_hand(self, class_id: str, person: str, present: bool) -> None:
        """Add or remove an owner by hand. A person who never teaches can be an owner only by hand."""
        self.tenant.hand_owner(ClassId(class_id), AccountId(person), present)
        if person not in {entra_id(teacher) for teacher in TEACHERS}:
            (self.hand_owned.add if present else self.hand_owned.discard)((class_id, person))

    def change_team_by_hand(self, class_id: str, change: str, person: str) -> None:
        """What somebody does in Teams: make, activate or delete the team of a class, add or remove a member."""
        teams, id_ = self.teams[self.settings.tenant], ClassId(class_id)
        match change:
            case "make" if id_ not in teams.teams:
                teams.make_by_hand(id_)
            case "activate" if id_ in teams.teams:
                teams.activate_by_hand(id_)
            case "delete" if id_ in teams.teams:
                teams.delete_by_hand(id_)
                self.teams_deleted.add(id_)
            case "add" | "remove" if id_ in teams.teams and AccountId(person) not in teams.teams[id_].owners:
                teams.hand_member(id_, AccountId(person), change == "add")

    def give_class(self, group: str, days: int) -> None:
        """An admin makes the cover teacher an extra owner until so many days from now."""
        until = (self.clock.now() + timedelta(days=days)).date()
        grant = Grant(until=until, reason="cover", given_by=entra_id("x"), given_at=self.clock.now())
        choice = ClassChoice(key=class_key(teaching(group, group)), owners={entra_id(COVER): grant})
        run_through(self.state.write_choice(SCHOOL.id, choice))

    def request_as_admin(self, request: str, group: str) -> None:
        """Request create, resync, delete, restore, undo or release. A request that conflicts is ignored."""
        self.admin_requests += 1
        requester = Requester(entra_id("x"), RunId(f"request {self.admin_requests}"))
        key = class_key(teaching(group, group))
        with contextlib.suppress(Conflict, NotFound):
            match request:
                case "create":
                    run_through(request_classes(self.settings, {key: ClassOptions()}, requester, self.services))
                case "resync":
                    run_through(request_resync(self.settings, [key], requester, self.services))
                case "undo":
                    runs = run_through(self.state.runs(SCHOOL.id))
                    undone = self.rng.choice(runs).id if runs else RunId("none")
                    run_through(request_undo(self.settings, undone, requester, self.services))
                case "release":
                    run_through(request_release(self.settings, [key], requester, self.services))
                case _:
                    action = Action(request)
                    run_through(request_action(self.settings, key, action, requester, self.services))
        self._collect_messages()

    def move_school(self) -> None:
        """Move the school to the other tenant. People have the same ids there, so that a mix-up would do harm."""
        self.moves += 1
        tenant = ANOTHER_TENANT if self.settings.tenant == TENANT else TENANT
        self.settings = replace(self.settings, tenant=tenant)
        run_through(self.state.save_school(self.settings))

    def start_night(self, *, full_resync: bool = False) -> None:
        self.nights += 1
        self._enqueue(
            SYNC_REQUESTS,
            RefreshTenant(self.settings.tenant, RunId(f"night {self.nights}"), Cause.NIGHTLY, full_resync=full_resync),
        )

    def lose_member_unreported(self, class_id: str, person: str) -> None:
        """Remove a member without a trace in Graph's delta: only a full resync finds it."""
        self.tenant.groups[ClassId(class_id)].members.discard(person)
        self.has_unreported_change = True

    def deliver(self) -> None:
        """Start a worker for the first message of every session that is not locked."""
        if not self.has_undelivered:
            return
        self.has_undelivered = False
        for session, messages in self.sessions.items():
            if messages and session not in self.busy:
                task = Task(session, messages[0], self._handle(session, messages[0].body))
                self.busy[session] = task
                self.tasks.append(task)

    def run_step(self, task: Task) -> None:
        """Run one step of a worker. Settles its message if the step was the last."""
        try:
            task.coroutine.send(None)
        except StopIteration:
            self._settle(task, done=True)
        except SyncError as error:
            assert isinstance(error, Transient), error
            self._settle(task, done=False)
        self._collect_messages()

    def run_steps(self, task: Task, steps: int) -> None:
        """Run as many steps of a worker, or those that are left."""
        for _ in range(steps):
            if task in self.tasks:
                self.run_step(task)

    def kill(self, task: Task) -> None:
        task.coroutine.close()
        self._settle(task, done=False)

    def lose_lock(self, session: str) -> None:
        """The queue gives the session to another worker. This one does not notice and continues."""
        task = self.busy.pop(session)
        self.has_undelivered = True
        self._count_delivery(session, task.message)

    def duplicate(self, session: str) -> None:
        if messages := self.sessions[session]:
            messages.append(Message(messages[0].body))
            self.has_undelivered = True

    @property
    def classes(self) -> list[MemoryGroup]:
        return list(self.tenant.groups.values())

    # --- the end

    def quiet_night(self) -> None:
        """Release pinned classes, which do not follow the MIS, and run a last night."""
        self.lagging = False
        self.settle()
        for group in GROUPS:
            self.request_as_admin("release", group)
        self.settle()
        self.clock.advance(timedelta(days=8) if self.with_teams else timedelta(hours=1))
        self.start_night(full_resync=self.has_unreported_change)
        self.settle()

    def settle(self) -> None:
        for _ in range(MAX_STEPS):
            self.deliver()
            if not self.tasks:
                return
            self.run_step(self.rng.choice(self.tasks))
        raise AssertionError("the queues never drain")

    def check(self) -> None:
        """Assert that the tenant equals the rules, owners added by hand stayed, and no class was created twice."""
        self.over = self.unrecorded = 0
        for group in self.mis.values():
            key = class_key(group)
            record = run_through(self.state.class_record(SCHOOL.id, key))
            assert record is not None, f"{key} has no row"
            generations = [class_ for class_ in self.classes if class_.external_id == record.external_id]
            assert len(generations) <= record.desired.generation + self.moves + 1, (
                f"{key} was created {len(generations)} times"
            )
            previous = [class_ for class_ in generations if class_.id in record.previous_ids]
            current = [class_ for class_ in generations if class_ not in previous]
            if record.gone:
                assert all(class_.deleted for class_ in current), f"{key} is marked gone and exists"
                continue
            assert not record.desired.deleted, f"{key} was to be deleted and exists"
            assert record.actual is not None, f"{key} was never created"
            # A restored class of a previous generation is used again instead of a new one.
            actual = [class_ for class_ in generations if class_.id == record.actual.class_id]
            assert len(actual) == 1, f"{key}: its class does not exist"
            assert current in ([], actual), f"{key} was created {len(current)} times"
            assert record.actual.class_id == actual[0].id
            for foreign in self.classes:
                assert foreign.external_id is not None or not foreign.members, "a foreign group was changed"
            request = run_through(self.state.class_requests(SCHOOL.id)).get(key)
            creator = {request.creator} if request else set()
            owners = {entra_id(person) for person in group.teachers} | creator | self._given(key)
            self._check_over(record, actual[0], owners)
            members = owners | {entra_id(person) for person in group.students}
            assert owners <= actual[0].owners, f"{key} has no such owner"
            assert members <= actual[0].members, f"{key} has no such member"
            strangers = actual[0].members - members - actual[0].owners
            assert not strangers, f"{key} has {len(strangers)} strangers"
            assert not record.stale
            owned_by_hand = {person for class_id, person in self.hand_owned if class_id == actual[0].id}
            assert owned_by_hand <= actual[0].owners, f"{key}: an owner added by hand was removed"
            if self.with_teams:
                self._check_team(record, actual[0], members, owners)

    def _check_team(
        self, record: ClassRecord, group: MemoryGroup, members: set[AccountId], owners: set[AccountId]
    ) -> None:
        known = record.actual.team if record.actual else None
        team = self.teams[self.settings.tenant].teams.get(group.id)
        if team is None:
            assert group.id in self.teams_deleted, f"{record.key} has no team"
            assert known and known.state is TeamState.GONE, f"{record.key}: its team is gone, and its row has one"
            return
        assert known and known.state is TeamState.OPEN and known.error is None, f"{record.key}: its team is {known}"
        assert not team.locked, f"{record.key}: its team is locked"
        assert owners <= team.owners, f"{record.key}: its team has no such owner"
        assert members <= team.members | team.owners, f"{record.key}: its team has no such member"
        assert team.members <= members | group.owners, f"{record.key}: its team has strangers"

    def _given(self, key: ClassKey) -> set[AccountId]:
        """The extra owners of today."""
        choice = run_through(self.state.choices(SCHOOL.id)).classes.get(key)
        today = self.clock.now().astimezone(ZoneInfo(self.settings.time_zone)).date()
        return {account for account, grant in choice.owners.items() if grant.counts_on(today)} if choice else set()

    def _check_over(self, record: ClassRecord, class_: MemoryGroup, owners: set[AccountId]) -> None:
        """Who was an extra owner is none now, unless a worker died before it recorded that the sync made them one."""
        history = run_through(self.state.history(SCHOOL.id, record.key))
        self.over += sum(entra_id(COVER) in delta.owners_revoked for delta in history)
        if entra_id(COVER) in class_.owners - owners:
            self.unrecorded += 1
            assert record.actual
            assert entra_id(COVER) not in record.actual.granted, f"{record.key} keeps an extra owner"

    # --- internals

    async def _handle(self, session: str, body: bytes) -> object:
        if session.startswith(SYNC_REQUESTS):
            request = decode_request(body)
            if isinstance(request, RefreshTenant):
                return await refresh_tenant(request, self.services, history=timedelta(days=400))
            assert not isinstance(request, _ELSEWHERE), "not in this world"
            if isinstance(request, UndoRun):
                self.undone += 1
                return await undo_run(request, self.services)
            if isinstance(request, ActOnClass):
                return await act_on_class(request, self.services)
            return await sync_school(request, self.services)
        return await apply_change(decode_change(body), Priority.BULK, self.services)

    def _settle(self, task: Task, *, done: bool) -> None:
        self.tasks.remove(task)
        if self.busy.get(task.session) is not task:
            return
        del self.busy[task.session]
        self.has_undelivered = True
        if done:
            self.sessions[task.session].remove(task.message)
        else:
            self._count_delivery(task.session, task.message)

    def _count_delivery(self, session: str, message: Message) -> None:
        message.deliveries += 1
        if message.deliveries >= MAX_DELIVERIES:
            self.sessions[session].remove(message)
            self.dead_letters += 1

    def _collect_messages(self) -> None:
        if not self.outbox.requests and not self.outbox.changes and not self.outbox.scheduled:
            return
        for request, _ in self.outbox.requests:
            self._enqueue(SYNC_REQUESTS, request)
        for change, priority in zip(self.outbox.changes, self.outbox.priorities, strict=True):
            self._enqueue(priority, change)
        for _, change, priority in self.outbox.scheduled:
            self._enqueue(priority, change)
        for sent in (self.outbox.requests, self.outbox.changes, self.outbox.priorities, self.outbox.scheduled):
            sent.clear()

    def _enqueue(self, queue: str, message: Request | Change) -> None:
        """Sessions belong to one queue: a night and an admin may each have a worker at the same class."""
        self.sessions.setdefault(f"{queue} {message.session}", []).append(Message(encode(message)))
        self.has_undelivered = True


def run_through(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of `coroutine`, run without interruption."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            result: _T = stop.value
            return result
