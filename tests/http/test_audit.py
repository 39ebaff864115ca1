"""Audit: each route that changes anything emits one event `admin.requested` if the caller is allowed."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.classes.choices import Grant, OwnerRule
from sync_core.domain.classes.desired import Pin
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.classes.year_end import YearEnd
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import SYNC_REQUESTS, SyncSchool, encode
from sync_core.messaging.port import DeadLetter
from sync_core.mis.port import MisSource
from tests.builders import NOON, SCHOOL, TENANT, accounts, desired, entra_id, settings, snapshot, synced, teaching
from tests.fakes.memory_dead_letters import MemoryDeadLetters
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryGroup, MemoryTenant
from tests.fakes.services import services
from tests.http.built import serve_api

NIGHT = RunId("night")

ALL_SCHOOLS, BOUND, UNBOUND, VISITOR = (entra_id(name) for name in ("all schools", "bound", "unbound", "visitor"))
PUPILS = ["amy", "ben", "cleo", "dora", "eve", "fay", "gus", "hal"]
LIVE, NEW, DELETED, PINNED = (f"2026.teaching.{group}" for group in ("G1", "G2", "G3", "G4"))
PREFIX = "/api/admin"
OF_SCHOOL = f"{PREFIX}/schools/{{school}}"
READ_ONLY = {
    ("post", f"{OF_SCHOOL}/{path}")
    for path in (
        "plan",
        "feed-check",
        "matching",
        "groups/{key}/class/plan",
        "runs/{run}/undo/plan",
        "year-end/plan",
        "rehearsal",
        "year-end/taking-back/plan",
        "classes/{key}/explain",
    )
}
SETTINGS = {"tenant": TENANT, "source": {"kind": "folder", "path": "feed"}, "access": [BOUND]}
PROBED = {"people": [entra_id("main")]}
RULE = {"prefix": "10A/Ma", "account": entra_id("main"), "reason": "head of department"}
PAST = {"until": "2026-09-06"}

ENVIRONMENT = {
    "TENANT_ID": TENANT,
    "STATE_TABLES_ENDPOINT": "https://tables.example",
    "ServiceBusConnection__fullyQualifiedNamespace": "bus.example",
    "ALL_SCHOOLS_ACCESS": ALL_SCHOOLS,
    "WEBSITE_AUTH_ENABLED": "True",
}


@dataclass(frozen=True)
class Action:
    """A request, its status, and the values of its event."""

    method: str
    path: str
    status: int
    action: str
    key: str = ""
    school: str = SCHOOL.id
    name: str = ""
    body: object = None

    @property
    def address(self) -> str:
        """The path with its ids. `name` is the id of a hold, run, dead letter or tenant (sent in capitals here)."""
        queue, digest = "sync-requests", self.name
        ids = {"school": self.school, "key": self.key, "digest": digest, "run": self.name, "tenant": self.name.upper()}
        ids |= {"rule": self.name}
        return self.path.format(**ids, queue=queue, number=self.name)


def _class_actions(path: str, action: str, accepted: str, conflicting: str) -> list[Action]:
    """Three actions: accepted for one class, rejected for a conflicting and for an unknown one."""
    method, _, rest = path.partition(" ")
    path = f"{OF_SCHOOL}/classes/{{key}}{rest}"
    unknown = 409 if rest == "/pin" else 404
    return [
        Action(method, path, status, action, key)
        for status, key in ((202, accepted), (409, conflicting), (unknown, "2026.teaching.NONE"))
    ]


BACK = f"{OF_SCHOOL}/year-end/taking-back/{{digest}}/apply"
APPROVAL = {"day": "2026-09-08", "begins_at": "2026-09-08T02:00:00Z", "confirm": SCHOOL.id}
ACTIONS = [
    Action("put", OF_SCHOOL, 200, "save settings", body=SETTINGS),
    Action("put", OF_SCHOOL, 422, "save settings", school="S9", body=SETTINGS | {"name_identifier": "ELM"}),
    Action("patch", OF_SCHOOL, 200, "save settings", body={"name": "Oak"}),
    Action("patch", OF_SCHOOL, 422, "save settings", body={"name_identifier": "ELM"}),
    Action("post", f"{OF_SCHOOL}/pause", 200, "pause", body={"reason": "new MIS"}),
    Action("post", f"{OF_SCHOOL}/resume", 200, "resume", school="PAUSED"),
    Action("delete", OF_SCHOOL, 204, "forget school"),
    Action("delete", f"{OF_SCHOOL}/records", 204, "erase records", school="LEFT"),
    Action("delete", f"{OF_SCHOOL}/records", 409, "erase records"),
    Action("post", f"{OF_SCHOOL}/sync", 202, "sync"),
    Action("post", f"{OF_SCHOOL}/sync", 409, "sync", school="PAUSED"),
    Action("post", f"{OF_SCHOOL}/groups/{{key}}/class", 202, "create", NEW, body={"display_name": "Art"}),
    Action("post", f"{OF_SCHOOL}/groups/{{key}}/class", 409, "create", LIVE),
    Action("post", f"{OF_SCHOOL}/groups/{{key}}/class", 404, "create", "2026.teaching.NONE"),
    *_class_actions("post /resync", "resync", LIVE, DELETED),
    *_class_actions("delete ", "delete", LIVE, DELETED),
    *_class_actions("post /restore", "restore", DELETED, LIVE),
    *_class_actions("delete /pin", "release", PINNED, LIVE),
    Action("put", f"{OF_SCHOOL}/classes/{{key}}/choice", 202, "choose", LIVE, body={"follow": "ended"}),
    Action("put", f"{OF_SCHOOL}/classes/{{key}}/choice", 409, "choose", DELETED, body={"follow": "pinned"}),
    Action("put", f"{OF_SCHOOL}/classes/{{key}}/choice", 404, "choose", "2026.teaching.NONE", body={}),
    Action("delete", f"{OF_SCHOOL}/classes/{{key}}/choice", 202, "forget choice", LIVE),
    Action("delete", f"{OF_SCHOOL}/classes/{{key}}/choice", 404, "forget choice", "2026.teaching.NONE"),
    Action("put", f"{OF_SCHOOL}/owner-rules/{{rule}}", 200, "save owner rule {}", name="maths", body=RULE),
    Action("put", f"{OF_SCHOOL}/owner-rules/{{rule}}", 409, "save owner rule {}", name="maths", body=RULE | PAST),
    Action("delete", f"{OF_SCHOOL}/owner-rules/{{rule}}", 204, "delete owner rule {}", name="art"),
    Action("delete", f"{OF_SCHOOL}/owner-rules/{{rule}}", 404, "delete owner rule {}", name="none"),
    Action("post", f"{OF_SCHOOL}/classes/requests", 202, "resync", LIVE, body={"action": "resync", "classes": [LIVE]}),
    Action(
        "post", f"{OF_SCHOOL}/classes/requests", 409, "restore", LIVE, body={"action": "restore", "classes": [LIVE]}
    ),
    Action("delete", f"{OF_SCHOOL}/pins", 202, "release"),
    Action("delete", f"{OF_SCHOOL}/pins", 409, "release", school="ELM"),
    Action("post", f"{OF_SCHOOL}/holds/{{digest}}/approve", 202, "approve hold {}", name="HELD"),
    Action("post", f"{OF_SCHOOL}/holds/{{digest}}/approve", 409, "approve hold {}", name="abc"),
    Action("post", f"{OF_SCHOOL}/holds/{{digest}}/reject", 202, "reject hold {}", name="HELD"),
    Action("post", f"{OF_SCHOOL}/holds/{{digest}}/reject", 409, "reject hold {}", name="abc"),
    Action("post", f"{OF_SCHOOL}/plan/{{digest}}/apply", 202, "apply {}", name="SHOWN"),
    Action("post", f"{OF_SCHOOL}/plan/{{digest}}/apply", 409, "apply {}", name="abc"),
    Action("delete", f"{OF_SCHOOL}/accepted-statistics", 204, "forget accepted statistics"),
    Action("post", f"{OF_SCHOOL}/runs/{{run}}/undo", 202, "undo {}", name="night"),
    Action("post", f"{OF_SCHOOL}/runs/{{run}}/undo", 409, "undo {}", name="quiet"),
    Action("post", f"{OF_SCHOOL}/runs/{{run}}/undo", 404, "undo {}", name="none"),
    Action("post", f"{OF_SCHOOL}/year-end/{{digest}}/apply", 202, "end-year {}", name="ENDING", body={}),
    Action("post", f"{OF_SCHOOL}/year-end/{{digest}}/apply", 409, "end-year {}", name="abc", body={}),
    Action("post", BACK, 202, "take-back-year-end {}", name="BACK", body={}),
    Action("post", BACK, 409, "take-back-year-end {}", name="abc", body={}),
    Action("post", f"{OF_SCHOOL}/rehearsal/{{digest}}/approve", 202, "approve turn {}", name="TURN", body=APPROVAL),
    Action("post", f"{OF_SCHOOL}/rehearsal/{{digest}}/approve", 409, "approve turn {}", name="abc", body=APPROVAL),
    Action("post", f"{OF_SCHOOL}/runs/{{run}}/withdraw", 200, "withdraw {}", name="later"),
    Action("post", f"{OF_SCHOOL}/runs/{{run}}/withdraw", 409, "withdraw {}", name="quiet"),
    Action("post", f"{OF_SCHOOL}/runs/{{run}}/withdraw", 404, "withdraw {}", name="none"),
    Action("post", f"{PREFIX}/tenants/{{tenant}}/full-resync", 202, "full resync tenant {}", school="", name=TENANT),
    Action("post", f"{PREFIX}/tenants/{{tenant}}/full-resync", 404, "full resync tenant {}", school="", name="none"),
    Action("post", f"{PREFIX}/tenants/{{tenant}}/probe", 200, "probe tenant {}", school="", name=TENANT, body=PROBED),
    Action("post", f"{PREFIX}/tenants/{{tenant}}/probe", 409, "probe tenant {}", school="", name=TENANT),
    Action("post", f"{PREFIX}/tenants/{{tenant}}/probe", 404, "probe tenant {}", school="", name="none"),
    Action("post", f"{PREFIX}/pause", 200, "pause all schools", school="", body={"reason": "new MIS"}),
    Action("post", f"{PREFIX}/resume", 200, "resume all schools", school="", body={"reason": "new MIS"}),
    Action("post", f"{PREFIX}/dead-letters/replay", 202, "replay all dead letters", school=""),
    Action(
        "post",
        f"{PREFIX}/dead-letters/{{queue}}/{{number}}/replay",
        202,
        "replay dead letter {} of sync-requests",
        school="",
        name="7",
    ),
    Action(
        "post",
        f"{PREFIX}/dead-letters/{{queue}}/{{number}}/replay",
        404,
        "replay dead letter {} of sync-requests",
        school="",
        name="8",
    ),
]
_PLANS = {
    "HELD": "plan",
    "SHOWN": "plan",
    "ENDING": "year-end/plan",
    "BACK": "year-end/taking-back/plan",
    "TURN": "rehearsal",
}
_BODIES = {"ENDING": {}, "BACK": {}, "TURN": {"day": APPROVAL["day"]}}
ACCEPTED = [action for action in ACTIONS if action.status < 400]


class _Mis:
    """A snapshot in which most pupils have left the live class, so that a plan holds it."""

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return snapshot([teaching("G1", "Maths", PUPILS[:2], ["main"]), teaching("G2", "Art", PUPILS, ["main"])])

    def on(self, moment: datetime) -> MisSource:
        return self


@pytest.fixture
async def api() -> FastAPI:
    return serve_api(await _app())


async def _app() -> App:
    state = MemoryState()
    for school, values in ((SCHOOL.id, {}), ("ELM", {"name_identifier": "ELM"}), ("PAUSED", {"enabled": False})):
        await state.save_school(
            replace(settings(access=[BOUND], types=["teaching"], **values), school=SchoolId(school))
        )
    changes = tuple(AccountChange(account.id, account.values) for account in accounts([*PUPILS, "main"]))
    await state.write_accounts(TENANT, AccountChanges(True, changes, frozenset(), "token"))
    for key in (LIVE, DELETED, PINNED):
        wanted = replace(desired(key, PUPILS, ["main"]), group_id=MisId(key.rpartition(".")[2]))
        await state.write_desired(SCHOOL.id, [wanted])
        record = await state.class_record(SCHOOL.id, ClassKey(key))
        assert record
        delta = AppliedDelta(run=NIGHT, cause=Cause.NIGHTLY, at=NOON, members_added=wanted.members)
        await state.write_actual(replace(record, actual=synced(wanted).actual), delta)
    await state.write_drift(SCHOOL.id, [Drift(ClassKey(DELETED), gone=True)])
    await state.write_pins(
        SCHOOL.id, [Pin(key=ClassKey(PINNED), members=frozenset(), owners=frozenset(), undone=NIGHT, run=RunId("undo"))]
    )
    grant = Grant(until=None, reason="head", given_by=ALL_SCHOOLS, given_at=NOON)
    await state.write_owner_rule(SCHOOL.id, OwnerRule(id="art", prefix="Ar", account=entra_id("main"), grant=grant))
    for run in ("night", "quiet"):
        await state.write_run(
            RunRecord(school=SCHOOL.id, id=RunId(run), cause=Cause.NIGHTLY, at=NOON, outcome=RunOutcome.PLANNED)
        )
    later = RunRecord(
        school=SCHOOL.id,
        id=RunId("later"),
        cause=Cause.ADMIN,
        at=NOON,
        outcome=RunOutcome.REQUESTED,
        action="apply abc",
        scheduled_for=NOON + timedelta(days=1),
    )
    await state.write_run(later)
    fakes = services(state, tenant=await _with_ended(state), mis=_Mis(), dated_mis=_Mis())
    assert isinstance(fakes.dead_letters, MemoryDeadLetters)
    body = encode(SyncSchool(SCHOOL.id, NIGHT, Cause.NIGHTLY))
    fakes.dead_letters.dead = [
        DeadLetter(
            queue=SYNC_REQUESTS,
            number=7,
            message_id="id",
            session=SCHOOL.id,
            body=body,
            reason="",
            deliveries=10,
            at=NOON,
        )
    ]
    return App(parse_settings(ENVIRONMENT), fakes)


async def _with_ended(state: MemoryState) -> MemoryTenant:
    """Two classes whose groups have left the MIS. An admin has ended the year of the second."""
    tenant = MemoryTenant()
    for key, ending in (("2025.teaching.G7", None), ("2025.teaching.G8", YearEnd(run=NIGHT))):
        wanted = replace(desired(key, PUPILS, ["main"]), ended=True, year_end=ending)
        await state.write_desired(SCHOOL.id, [wanted])
        record = await state.class_record(SCHOOL.id, wanted.key)
        actual = synced(wanted).actual
        assert record and actual
        await state.write_actual(replace(record, actual=replace(actual, year_end=NIGHT)))
        tenant.groups[actual.class_id] = MemoryGroup(actual.class_id, actual.name, record.external_id, NOON)
    return tenant


def _headers(caller: str) -> dict[str, str]:
    claims = [("oid", caller)] if caller == VISITOR else [("oid", caller), ("roles", "GroupSync.Admin")]
    principal = {"claims": [{"typ": typ, "val": val} for typ, val in claims]}
    return {"x-ms-client-principal": base64.b64encode(json.dumps(principal).encode()).decode()}


async def _call(api: FastAPI, caller: str, method: str, address: str, body: object = None) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://api") as client:
        return await client.request(method, address, json=body, headers=_headers(caller))


async def _with_digest(api: FastAPI, action: Action) -> Action:
    """The action with the digest of the hold or of the plan, which a plan must give first."""
    if action.name not in _PLANS:
        return action
    address = f"{OF_SCHOOL.format(school=SCHOOL.id)}/{_PLANS[action.name]}"
    plan = (await _call(api, ALL_SCHOOLS, "post", address, _BODIES.get(action.name))).json()
    return replace(action, name=plan["holds"][0]["digest"] if action.name == "HELD" else plan["digest"])


def _requests_in(records: Iterable[logging.LogRecord]) -> list[dict[str, str]]:
    """The properties of the events `admin.requested`."""
    names = ("caller", "school", "action", "class", "run")
    events = [vars(record) for record in records if record.getMessage() == "admin.requested"]
    return [{name: event[f"sync.{name}"] for name in names} for event in events]


def test_every_route_that_changes_anything_is_tested(api: FastAPI) -> None:
    document = api.openapi()
    routes = {(method, path) for path, methods in document["paths"].items() for method in methods if method != "get"}
    assert {(action.method, action.path) for action in ACCEPTED} == routes - READ_ONLY


def test_no_body_of_a_request_takes_a_field_that_it_does_not_name(api: FastAPI) -> None:
    document = api.openapi()
    schemas = document["components"]["schemas"]
    pending = [
        content["schema"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    seen: dict[str, object] = {}
    while pending:
        schema = pending.pop()
        if isinstance(schema, list):
            pending += schema
        elif isinstance(schema, dict):
            name = str(schema.get("$ref", "")).rpartition("/")[2]
            if name and name not in seen:
                seen[name] = schemas[name]
                pending.append(schemas[name])
            pending += [value for value in schema.values() if isinstance(value, dict | list)]
            if "properties" in schema:
                assert schema.get("additionalProperties") is False, schema.get("title")
    assert len(seen) > 5


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.action} {action.status}")
async def test_a_request_is_recorded_once_whether_accepted_or_rejected(
    api: FastAPI, action: Action, caplog: pytest.LogCaptureFixture
) -> None:
    action = await _with_digest(api, action)
    caplog.set_level(logging.INFO)
    response = await _call(api, ALL_SCHOOLS, action.method, action.address, action.body)
    assert response.status_code == action.status, response.text
    (event,) = _requests_in(caplog.records)
    run = event.pop("run")
    name = action.action.format(action.name)
    assert event == {"caller": ALL_SCHOOLS, "school": action.school, "action": name, "class": action.key}
    accepted = response.json() if response.content else {}
    assert run == accepted.get("run", run)
    responses = api.openapi()["paths"][action.path][action.method]["responses"]
    assert bool(run) == ("202" in responses and "/Accepted" in json.dumps(responses["202"]))


# An admin without a school may list and replay dead letters, and pause all their schools: there are none.
OF_ALL_SCHOOLS = tuple(f"{PREFIX}/{path}" for path in ("dead-letters", "pause", "resume"))
FORBIDDEN = [(VISITOR, action) for action in ACCEPTED]
FORBIDDEN += [(UNBOUND, action) for action in ACCEPTED if not action.path.startswith(OF_ALL_SCHOOLS)]


@pytest.mark.parametrize(("caller", "action"), FORBIDDEN)
async def test_a_forbidden_request_emits_no_event(
    api: FastAPI, caller: str, action: Action, caplog: pytest.LogCaptureFixture
) -> None:
    action = await _with_digest(api, action)
    caplog.set_level(logging.INFO)
    response = await _call(api, caller, action.method, action.address, action.body)
    assert (response.status_code, _requests_in(caplog.records)) == (403, [])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("delete", "schools/S1", None),
        ("delete", "schools/S1/records", None),
        ("post", f"tenants/{TENANT}/full-resync", None),
        ("post", f"tenants/{TENANT}/probe", None),
        ("get", f"tenants/{TENANT}/probe", None),
        ("put", "schools/S1", SETTINGS | {"access": []}),
        ("get", "tenants", None),
    ],
)
async def test_a_schools_own_admin_may_not_do_tenant_level_actions(
    api: FastAPI, method: str, path: str, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    response = await _call(api, BOUND, method, f"{PREFIX}/{path}", body)
    assert (response.status_code, _requests_in(caplog.records)) == (403, [])
    assert "an admin of all schools" in response.json()["what"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("put", "schools/S1", {"colour": "red"}),
        ("patch", "schools/S1", {"colour": "red"}),
        ("patch", "schools/S1", {"access": ["nobody@oak.org"]}),
        ("post", "schools/S1/pause", {}),
        ("post", "pause", {}),
        ("post", "resume", {"reason": ""}),
        ("post", f"schools/S1/groups/{NEW}/class", {"colour": "red"}),
        ("post", f"schools/S1/classes/{'k' * 81}/resync", None),
        ("post", "schools/S1/holds/HOLD/approve", None),
        ("post", "schools/S1/runs/a_run/undo", None),
        ("post", "dead-letters/sync-requests/x/replay", None),
        ("post", f"tenants/{TENANT}/probe", {"people": ["amy@school.org"]}),
    ],
)
async def test_an_invalid_request_emits_no_event(
    api: FastAPI, method: str, path: str, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    response = await _call(api, ALL_SCHOOLS, method, f"{PREFIX}/{path}", body)
    assert (response.status_code, _requests_in(caplog.records)) == (422, [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("plan", None),
        (f"groups/{NEW}/class/plan", None),
        ("runs/night/undo/plan", None),
        (f"classes/{LIVE}/explain", {"person": "amy"}),
    ],
    ids=["plan", "class", "undo", "explain"],
)
async def test_a_read_only_request_emits_no_event(
    api: FastAPI, path: str, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    response = await _call(api, BOUND, "post", f"{PREFIX}/schools/S1/{path}", body)
    assert (response.status_code, _requests_in(caplog.records)) == (200, []), response.text
