"""One school whose MIS, accounts, classes and settings change between nights, with the real plan and apply."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from sync_core.admin.classes.requests import act_on_class, request_action
from sync_core.admin.holds import HoldChoice, decide_hold, request_decision
from sync_core.admin.requests import Requester
from sync_core.admin.undo import request_release, request_undo, undo_run
from sync_core.admin.year.year_end import end_year, preview_year_end, request_year_end
from sync_core.applying.change import apply_change
from sync_core.domain.classes.choices import ClassChoice, Follow, Grant
from sync_core.domain.classes.outcomes import AppliedDelta, Outcome
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.year_end import YearEndFilter, YearEndOrder
from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId
from sync_core.domain.permissions import Grants
from sync_core.domain.roster import GroupType, MisGroup, Person, Snapshot
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, NotFound, SnapshotRejected, Transient, Unreadable
from sync_core.messaging.messages import (
    Action,
    ActOnClass,
    DecideHold,
    Decision,
    EndYear,
    Priority,
    RefreshTenant,
    SyncSchool,
    UndoRun,
)
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.school_plan import plan_to_show
from sync_core.services import Services
from sync_core.sync.nightly import TenantBlocked, refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import NOON, SCHOOL, TENANT, entra_id, settings, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryGroup, MemoryTenant
from tests.fakes.services import services

PUPILS = tuple("abcdef")
TEACHERS = ("t", "u")
STRANGERS = ("x",)
EVERYBODY = (*PUPILS, *TEACHERS, *STRANGERS)
GROUPS = ("G1", "G2", "R1")
SETTINGS: dict[str, Any] = {
    "limits": {"class_loss_people": 2, "school_loss": 1, "week_loss": 1, "smallest_snapshot": 0}
}

_groups, _people = st.sampled_from(GROUPS), st.sampled_from(EVERYBODY)
_some_pupils = st.frozensets(st.sampled_from(PUPILS), max_size=6)
IN_THE_MIS = (
    st.tuples(st.just("set_pupils"), _groups, _some_pupils)
    | st.tuples(st.just("set_teachers"), _groups, st.sampled_from([(), ("t",), ("u",), ("t", "u"), ("u", "t")]))
    | st.tuples(st.just("end"), _groups)
    | st.tuples(st.just("rename"), _people, st.sampled_from(["", "elsewhere", *EVERYBODY]))
)
OF_ACCOUNTS = st.tuples(st.just("move_account"), _people, st.sampled_from(["elsewhere", *EVERYBODY])) | st.tuples(
    st.just("delete_account"), _people
)
BY_ADMINS = (
    st.tuples(st.just("undo"))
    | st.tuples(st.just("release"), _groups)
    | st.tuples(st.just("delete"), _groups)
    | st.tuples(st.just("end_year"), _groups)
    | st.tuples(st.just("choose"), st.just("departed_owners"), st.sampled_from(["keep", "revoke"]))
    | st.tuples(st.just("choose"), st.just("teaching_owners"), st.sampled_from(["main", "all"]))
)
_some_days = st.sampled_from([-1, 0, 5, None])
BY_CHOICE = st.tuples(st.just("extra"), _groups, _people, _some_days) | st.tuples(
    st.just("follow"), _groups, st.sampled_from([Follow.MIS, Follow.ENDED, Follow.TWO_YEARS])
)
BY_HAND = (
    st.tuples(st.just("hand_member"), _groups, _people, st.booleans())
    | st.tuples(st.just("hand_owner"), _groups, _people, st.booleans())
    | st.tuples(st.just("hand_delete"), _groups, st.booleans())
)
THAT_STOP = (
    st.tuples(st.just("choose"), st.just("enabled"), st.booleans())
    | st.tuples(st.just("choose"), st.just("mis"), st.sampled_from(["other", "scholarpack"]))
    | st.tuples(st.just("grant"), st.booleans())
    | st.tuples(st.just("tear"), st.booleans())
    | st.tuples(st.just("hide"), st.booleans())
    | st.tuples(st.just("invite"), _people)
)
A_RESTORE = st.tuples(st.just("restore"), _groups)
A_NIGHT = st.just(("night",))
A_NEW_YEAR = st.tuples(st.just("new_year"), st.sampled_from(["reuse", "new", "ask"]))
A_DECISION = st.tuples(st.just("decide"), st.sampled_from(Decision))


def upn(name: str) -> str:
    return f"{name}@school.onmicrosoft.com"


@dataclass(slots=True)
class World:
    """`names` are the user names of people in the MIS; `torn` is whether the feed cannot be read.

    `by_hand` are the roles that somebody changed in Microsoft 365: class, role, person, and whether they have it.
    """

    groups: dict[str, MisGroup] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=lambda: {person: person for person in EVERYBODY})
    torn: bool = False
    by_hand: set[tuple[str, str, str, bool]] = field(default_factory=set)
    chosen: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    nights: int = 0
    clock: FixedClock = field(default_factory=FixedClock)
    state: MemoryState = field(default_factory=MemoryState)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    tenant: MemoryTenant = field(init=False)
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        self.tenant = MemoryTenant(clock=self.clock)
        self.services = services(self.state, tenant=self.tenant, mis=self, outbox=self.outbox, clock=self.clock)
        for person in EVERYBODY:
            self.tenant.add_account(entra_id(person), upn(person))
        self.groups["G1"] = teaching("G1", "Art", "abcd", "t")
        self.groups["G2"] = teaching("G2", "Drama", "cdef", "u")
        self.groups["R1"] = replace(teaching("R1", "5L", "abcdef", "t"), type=GroupType.REGISTRATION)
        self._groups_of_old, self._known_groups = dict(self.groups), dict(self.groups)

    _groups_of_old: dict[str, MisGroup] = field(init=False)
    _known_groups: dict[str, MisGroup] = field(init=False)

    @property
    def settings(self) -> SchoolSettings:
        return settings(**self.chosen)

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        if self.torn:
            raise SnapshotRejected("classes.csv is torn", "correct the export")
        people = {MisId(id_): Person(MisId(id_), username=name) for id_, name in self.names.items()}
        return Snapshot(SCHOOL, tuple(self.groups.values()), people, NOON)

    def key(self, group: str) -> ClassKey:
        return class_key(self._groups_of_old[group])

    async def record(self, group: str) -> ClassRecord | None:
        return await self.state.class_record(SCHOOL.id, self.key(group))

    async def in_tenant(self, group: str) -> MemoryGroup | None:
        """The class of the group, if Microsoft 365 has it."""
        record = await self.record(group)
        class_ = self.tenant.groups.get(record.actual.class_id) if record and record.actual else None
        return class_ if class_ and not class_.deleted else None

    async def history(self) -> dict[ClassKey, tuple[AppliedDelta, ...]]:
        keys = {*map(self.key, GROUPS), *(record.key for record in await self.state.class_records(SCHOOL.id))}
        return {key: await self.state.history(SCHOOL.id, key) for key in sorted(keys)}

    # --- what happens

    async def happen(self, events: Iterable[tuple[Any, ...]]) -> None:
        for name, *arguments in events:
            await getattr(self, f"_{name}")(*arguments)
            self.clock.advance(timedelta(minutes=1))

    async def start_night(self, run: RunId) -> None:
        """Refresh the tenant: what was changed by hand is known afterwards."""
        self.clock.advance(timedelta(hours=1))
        await self.state.save_school(self.settings)
        with contextlib.suppress(TenantBlocked):
            await refresh_tenant(
                RefreshTenant(TENANT, run, Cause.NIGHTLY, full_resync=True), self.services, timedelta(400)
            )

    async def finish(self) -> list[Outcome]:
        """Handle every message. A change that fails is left to the next night."""
        outcomes = []
        while self.outbox.requests or self.outbox.changes:
            requests, changes = list(self.outbox.requests), list(self.outbox.changes)
            self.outbox.requests.clear()
            self.outbox.changes.clear()
            for request, _ in requests:
                match request:
                    case SyncSchool():
                        await sync_school(request, self.services)
                    case UndoRun():
                        await undo_run(request, self.services)
                    case ActOnClass():
                        await act_on_class(request, self.services)
                    case EndYear():
                        await end_year(request, self.services)
                    case DecideHold():
                        await decide_hold(request, self.services)
            for change in changes:
                with contextlib.suppress(Transient):
                    outcomes.append(await apply_change(change, Priority.BULK, self.services))
        return outcomes

    async def _night(self) -> None:
        self.nights += 1
        await self.start_night(RunId(f"night {self.nights}"))
        await self.finish()

    async def _lost_night(self) -> None:
        """A night whose changes do not arrive."""
        self.nights += 1
        await self.start_night(RunId(f"night {self.nights}"))
        for request, _ in self.outbox.requests:
            assert isinstance(request, SyncSchool)
            await sync_school(request, self.services)
        self.outbox.requests.clear()
        self.outbox.changes.clear()

    async def _new_year(self, rollover: str) -> None:
        """The MIS gives every group another id."""
        await self._choose("rollover", rollover)
        for name, group in self._known_groups.items():
            later = replace(group, id=MisId(f"{group.id}+"), academic_year=group.academic_year + 1)
            self._known_groups[name] = later
            if name in self.groups:
                kept = self.groups[name]
                self.groups[name] = replace(later, students=kept.students, teachers=kept.teachers)

    async def _turn(self, rollover: str) -> None:
        """A new year, after which a group is known by its new class."""
        await self._new_year(rollover)
        self._groups_of_old = dict(self.groups)

    async def _decide(self, decision: Decision) -> None:
        """An admin decides on one class of each hold."""
        with contextlib.suppress(Conflict):
            for hold in (await plan_to_show(SCHOOL.id, self.services.reading)).open_holds:
                choice = HoldChoice(classes=(hold.classes[0].key,))
                await request_decision(self.settings, hold.digest, decision, self._requester(), self.services, choice)
        await self.finish()

    async def _set_pupils(self, group: str, pupils: frozenset[str]) -> None:
        known = self.groups.get(group, self._known_groups[group])
        self.groups[group] = replace(known, students=tuple(map(MisId, sorted(pupils))))

    async def _set_teachers(self, group: str, teachers: tuple[str, ...]) -> None:
        known = self.groups.get(group, self._known_groups[group])
        self.groups[group] = replace(known, teachers=tuple(map(MisId, teachers)))

    async def _end(self, group: str) -> None:
        if len(self.groups) > 1:
            self.groups.pop(group, None)

    async def _end_year(self, group: str) -> None:
        """An admin ends the year of the class, if its group has left the MIS."""
        order = YearEndOrder(YearEndFilter(classes=(self.key(group),)))
        with contextlib.suppress(Conflict, Unreadable):
            digest = (await preview_year_end(self.settings, order, self.services)).digest
            await request_year_end(self.settings, order, digest, self._requester(), self.services)
        await self.finish()

    async def _rename(self, person: str, name: str) -> None:
        self.names[person] = name

    async def _move_account(self, person: str, name: str) -> None:
        if entra_id(person) in self.tenant.accounts:
            self.tenant.add_account(entra_id(person), upn(name))

    async def _delete_account(self, person: str) -> None:
        if entra_id(person) in self.tenant.accounts:
            self.tenant.remove_account(entra_id(person))

    async def _invite(self, person: str) -> None:
        """Microsoft 365 refuses the person from now on."""
        self.tenant.guests.add(entra_id(person))

    async def _undo(self) -> None:
        with contextlib.suppress(Conflict, NotFound):
            await request_undo(self.settings, RunId(f"night {self.nights}"), self._requester(), self.services)
        await self.finish()

    async def _release(self, group: str) -> None:
        with contextlib.suppress(Conflict):
            await request_release(self.settings, [self.key(group)], self._requester(), self.services)
        await self.finish()

    async def _delete(self, group: str) -> None:
        with contextlib.suppress(Conflict, NotFound):
            await request_action(self.settings, self.key(group), Action.DELETE, self._requester(), self.services)
        await self.finish()

    async def _restore(self, group: str) -> None:
        with contextlib.suppress(NotFound, Conflict):
            await request_action(self.settings, self.key(group), Action.RESTORE, self._requester(), self.services)
        await self.finish()

    async def _extra(self, group: str, person: str, days: int | None) -> None:
        """An admin gives somebody the class until so many days from now; a day before today takes it back."""
        choice = await self._choice(group)
        until = None if days is None else (self.clock.now() + timedelta(days=days)).date()
        grant = Grant(until=until, reason="cover", given_by=entra_id("admin"), given_at=self.clock.now())
        owners = {**choice.owners, entra_id(person): grant}
        await self.state.write_choice(SCHOOL.id, replace(choice, owners=owners))

    async def _follow(self, group: str, follow: Follow) -> None:
        record = await self.record(group)
        year = record.desired.academic_year + 1 if record and follow is Follow.TWO_YEARS else 0
        await self.state.write_choice(SCHOOL.id, replace(await self._choice(group), follow=follow, goes_into=year))

    async def _choice(self, group: str) -> ClassChoice:
        key = self.key(group)
        return (await self.state.choices(SCHOOL.id)).classes.get(key) or ClassChoice(key=key)

    async def _choose(self, setting: str, value: object) -> None:
        self.chosen[setting] = value
        await self.state.save_school(self.settings)

    async def _grant(self, granted: bool) -> None:
        """Whether the app has the permission to read hidden members."""
        names = self.services.graph.of(TENANT, Priority.BULK)
        assert names is self.tenant
        everything = MemoryTenant().granted
        assert everything
        self.tenant.granted = everything if granted else Grants(everything.roles - {"Member.Read.Hidden"})

    async def _tear(self, torn: bool) -> None:
        self.torn = torn

    async def _take_nickname(self, nickname: str) -> None:
        self.tenant.add_foreign_group(nickname)

    async def _hide(self, hidden: bool) -> None:
        self.tenant.hides_members = hidden

    async def _hand_member(self, group: str, person: str, present: bool) -> None:
        if (class_ := await self.in_tenant(group)) and entra_id(person) in self.tenant.accounts:
            self.tenant.hand_member(class_.id, entra_id(person), present)
            self.by_hand.add((group, "member", person, present))

    async def _hand_owner(self, group: str, person: str, present: bool) -> None:
        if (class_ := await self.in_tenant(group)) and entra_id(person) in self.tenant.accounts:
            self.tenant.hand_owner(class_.id, entra_id(person), present)
            self.by_hand.add((group, "owner", person, present))

    async def _hand_delete(self, group: str, deleted: bool) -> None:
        record = await self.record(group)
        if record and record.actual and record.actual.class_id in self.tenant.groups:
            self.tenant.hand_delete(record.actual.class_id, deleted)

    def _requester(self) -> Requester:
        self.nights += 1
        return Requester(AccountId(entra_id("x")), RunId(f"night {self.nights}"))
