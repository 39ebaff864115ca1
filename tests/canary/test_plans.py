"""Marks in groups, people and classes of plans: holds of each cause, notes of runs, and what admins do about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from sync_core.admin.requests import Requester, submit
from sync_core.admin.year.year_end import preview_year_end
from sync_core.app import App
from sync_core.applying.handler import ChangeHandler
from sync_core.domain.accounts import Account, AccountChange, AccountChanges, AccountProperty
from sync_core.domain.classes.year_end import NameChoice, PupilChoice, YearEndChoice, YearEndFilter, YearEndOrder
from sync_core.domain.ids import AccountId, RunId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.runs import Cause, HoldKind
from sync_core.messaging.messages import EndYear, Priority, SyncSchool
from tests.builders import SCHOOL, TENANT, accounts, mis_ids, settings, synced, teaching
from tests.canary.conftest import app_of
from tests.canary.outside import BORN, MARKS, NAME, Outside
from tests.canary.test_edges import CALLERS
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.http.built import serve_api
from tests.http.memory_api import HEAD, Mis

PUPILS = [f"{mark}{number}" for number in range(4) for mark in MARKS]
OTHERS = [f"other {pupil}" for pupil in PUPILS]
GROUPS = [teaching(mark, f"{mark} set", PUPILS, [f"main {NAME}"]) for mark in MARKS]
YEAR = replace(teaching(f"grade:{NAME}", NAME, PUPILS), type=GroupType.YEAR)
HALF = mis_ids(*PUPILS[6:])
EVERYBODY = [*PUPILS, *OTHERS, f"main {NAME}"]
NO_SCHOOL_LIMITS: dict[str, object] = {"school_loss": 1, "week_loss": 1, "unmatched": 1, "smallest_snapshot": 0}


def accounts_of(people: Iterable[str]) -> list[Account]:
    """Their accounts. A user name that is an address is that of the account."""
    return [
        replace(account, values={AccountProperty.UPN: name.lower()}) if "@" in name else account
        for name in people
        for account in accounts([name])
    ]


@dataclass(frozen=True)
class Change:
    """What is otherwise at the second sync: the groups, the accounts, the settings, a team that a teacher made."""

    groups: list[MisGroup] = field(default_factory=lambda: GROUPS)
    known: list[Account] = field(default_factory=lambda: accounts_of(EVERYBODY))
    settings: dict[str, Any] = field(default_factory=lambda: {"limits": NO_SCHOOL_LIMITS})
    by_hand: str = ""


def halved() -> list[MisGroup]:
    return [replace(group, students=HALF) for group in GROUPS]


def renamed(people: Iterable[str]) -> list[Account]:
    """The accounts of these people, whom nobody in the MIS finds any more."""
    return [replace(each, values={AccountProperty.UPN: "else@x.org"}) for each in accounts(people)]


CHANGES: dict[HoldKind, Change] = {
    HoldKind.LEFT_GROUP: Change([*halved(), YEAR]),
    HoldKind.LEFT_MIS: Change(halved()),
    HoldKind.GROUP_EMPTIED: Change([*(replace(group, students=()) for group in GROUPS), YEAR]),
    HoldKind.ACCOUNT_DELETED: Change(known=accounts_of([*PUPILS[6:], f"main {NAME}"])),
    HoldKind.UNCLAIMED_ACCOUNT: Change(
        known=[
            *renamed(PUPILS),
            *(replace(each, id=AccountId(f"new {each.id}")) for each in accounts_of(PUPILS)),
            *accounts_of([f"main {NAME}"]),
        ],
        settings={"limits": {**NO_SCHOOL_LIMITS, "turnover": 1}},
    ),
    HoldKind.LOST_MATCHING: Change(known=[*renamed(PUPILS[:6]), *accounts_of([*PUPILS[6:], f"main {NAME}"])]),
    HoldKind.ACCOUNT_MATCHING: Change(known=renamed(EVERYBODY), settings={}),
    HoldKind.TURNOVER: Change(
        [*(replace(group, students=mis_ids(*OTHERS)) for group in GROUPS), YEAR],
        settings={"limits": {**NO_SCHOOL_LIMITS, "class_loss": 1}},
    ),
    HoldKind.SCHOOL_LOSS: Change(halved(), settings={"limits": {"class_loss": 1, "smallest_snapshot": 0}}),
    HoldKind.NEW_CLASSES: Change(
        [*GROUPS, *(teaching(f"{NAME} {number}", NAME, PUPILS, [f"main {NAME}"]) for number in range(60))],
        settings={"limits": NO_SCHOOL_LIMITS},
    ),
    HoldKind.ADOPTION: Change(
        [*GROUPS, teaching(f"{NAME} new", f"{NAME} new", PUPILS, [f"main {NAME}"])],
        settings={"limits": NO_SCHOOL_LIMITS, "teams": "create"},
        by_hand=f"{NAME} new {BORN}",
    ),
    HoldKind.CONTINUATION: Change(
        [replace(group, id=mis_ids(f"new {group.id}")[0], academic_year=2027) for group in GROUPS],
        settings={"limits": NO_SCHOOL_LIMITS, "rollover": "reuse"},
    ),
}


async def know(state: MemoryState, known: Iterable[Account]) -> None:
    changes = tuple(AccountChange(account.id, account.values) for account in known)
    await state.write_accounts(TENANT, AccountChanges(True, changes, frozenset(), "token"))


async def sync(state: MemoryState, groups: list[MisGroup], run: str, by_hand: str = "") -> App:
    tenant = MemoryTenant()
    if by_hand:
        class_id = tenant.add_foreign_class(by_hand, by_hand, "", "manual")
        for person in accounts_of([*PUPILS, f"main {NAME}"]):
            tenant.hand_member(class_id, person.id, present=True)
        tenant.hand_owner(class_id, accounts_of([f"main {NAME}"])[0].id, present=True)
    app = app_of(state, mis=Mis(groups), outbox=MemoryOutbox(), tenant=tenant)
    await app.handle_request(SyncSchool(SCHOOL.id, RunId(run), Cause.NIGHTLY))
    return app


async def follow(app: App, state: MemoryState, outside: Outside) -> None:
    """What an admin does next. Answers to them may have names of groups; logs, rows and answers to others may not."""
    calls: list[tuple[str, str, object]] = [("POST", "plan", None), ("GET", "holds", None), ("GET", "classes", None)]
    for hold in await state.holds(SCHOOL.id):
        calls += [("POST", f"holds/{hold.digest}/{decision}", None) for decision in ("approve", "reject")]
    for record in await state.class_records(SCHOOL.id):
        people = (PUPILS[0], *sorted(record.desired.members)[:2])
        calls += [("POST", f"classes/{record.key}/explain", {"person": person}) for person in people]
    calls += [("GET", "runs", None), ("POST", "runs/second/undo/plan", None), ("GET", "left-out", None)]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(serve_api(app)), base_url="http://api") as client:
        for method, path, body in calls:
            for caller, header in CALLERS.items():
                answer = await client.request(
                    method, f"/api/admin/schools/{SCHOOL.id}/{path}", headers=header, json=body
                )
                assert answer.status_code < 500
                if caller != "an admin":
                    outside.see("answer to a visitor", answer.text)


@pytest.mark.parametrize("kind", CHANGES)
async def test_no_field_of_a_plan_leaves(outside: Outside, kind: HoldKind) -> None:
    state, change = MemoryState(), CHANGES[kind]
    await state.save_school(settings(access=[HEAD], types=["teaching", "year"]))
    await know(state, accounts_of(EVERYBODY))
    outside.putting("plan", f"first sync before {kind}")
    await sync(state, GROUPS, "first")
    for record in await state.class_records(SCHOOL.id):
        await state.write_actual(replace(synced(record.desired), etag=record.etag))
    outside.putting("plan", kind)
    await state.save_school(settings(**{"access": [HEAD], "types": ["teaching", "year"], **change.settings}))
    await know(state, change.known)
    app = await sync(state, change.groups, "second", change.by_hand)
    assert kind in {hold.kind for hold in await state.holds(SCHOOL.id)}
    await follow(app, state, outside)
    await outside.stored(state, SCHOOL.id)
    assert outside.report() == ""
    assert outside.read["log sync.notes"]


async def test_no_field_of_a_year_end_with_teams_leaves(outside: Outside) -> None:
    """Names of classes are in the rows of classes; the run, the events, the messages and refused teams have none."""
    state, outbox, tenant = MemoryState(), MemoryOutbox(), MemoryTenant()
    chosen = settings(access=[HEAD], types=["teaching"], teams="release", limits=NO_SCHOOL_LIMITS)
    await state.save_school(chosen)
    await know(state, accounts_of(EVERYBODY))
    for account in accounts_of(EVERYBODY):
        tenant.accounts[account.id] = account
    last_year = [replace(group, academic_year=2025) for group in GROUPS]
    app = app_of(state, mis=Mis(last_year), outbox=outbox, tenant=tenant)
    outside.putting("year end", "teams of the classes")
    await app.handle_request(SyncSchool(SCHOOL.id, RunId("first"), Cause.NIGHTLY))
    for change in (*outbox.changes, *(change for _, change, _ in outbox.scheduled)):
        await ChangeHandler(app.services).handle(change, Priority.BULK)
    order = YearEndOrder(YearEndFilter(years=(2025,)), YearEndChoice(rename=NameChoice.YEAR, pupils=PupilChoice.REMOVE))
    outside.putting("year end", "names and pupils of the classes")
    shown = await preview_year_end(chosen, order, app.services)
    assert shown.digest
    request = EndYear(SCHOOL.id, shown.digest, order.filter, order.choice, RunId("end"))
    await submit(request, f"end-year {shown.digest}", Requester(AccountId("admin"), RunId("end")), app.services)
    outbox.changes.clear()
    await app.handle_request(request)
    outside.queued(outbox)
    assert outbox.changes
    for change in outbox.changes:
        await ChangeHandler(app.services).handle(change, Priority.BULK)
    assert all(record.desired.retired for record in await state.class_records(SCHOOL.id))
    await outside.stored(state, SCHOOL.id)
    assert outside.report() == ""
