"""A console over two schools in which every name that somebody else can set is hostile, and everybody who calls it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import httpx

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.classes.desired import ClassName, Reason, Rule
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.runs import Cause, HeldClass, Hold, HoldKind, RunOutcome, RunRecord
from sync_core.http.console.session import COOKIE, FIELD, form_token
from sync_core.messaging.messages import CLASS_CHANGES
from sync_core.messaging.port import DeadLetter, MessageFault
from tests.builders import NOON, SCHOOL, TENANT, accounts, desired, entra_id, entra_ids, settings, synced, teaching
from tests.fakes.memory_dead_letters import MemoryDeadLetters
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services
from tests.http.built import serve_console
from tests.http.memory_api import ALL_SCHOOLS, ENVIRONMENT, HEAD, PUPILS, Mis

HOSTILE = """"'></title></script><hostile hostile="' hostile='"""
"""Becomes an element, or an attribute, called `hostile` wherever a page does not escape it."""
KEY, RUN, DIGEST = ClassKey("2026.teaching.G1"), RunId("R1"), "D1"
IDS = {"school": str(SCHOOL.id), "key": str(KEY), "run": str(RUN), "digest": DIGEST, "rule": "maths-head"}
"""What the paths of pages name. A page with another parameter adds its own, and a hostile thing of that kind."""
ADMIN = "GroupSync.Admin"
UPLOADS = ("/connect/zip", "/schools/{school}/rehearsal/zip")
"""The forms with a file."""


class HostileTenant(MemoryTenant):
    """A tenant in which everybody's display name is hostile."""

    async def display_names(self, people: Sequence[AccountId]) -> dict[AccountId, str]:
        return dict.fromkeys(people, HOSTILE)


@dataclass(frozen=True)
class PageRoute:
    """A route of the console with one method of it."""

    method: str
    path: str

    @property
    def address(self) -> str:
        return self.address_with()

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(name for name in IDS if f"{{{name}}}" in self.path)

    def address_with(self, **ids: str) -> str:
        return self.path.format(**IDS | ids)


@cache
def routes(method: str) -> list[PageRoute]:
    """All routes of the console with this method, except the files that everybody may read."""
    shown = serve_console(App(parse_settings(ENVIRONMENT), services(MemoryState())))
    paths = shown.openapi()["paths"].items()
    return [PageRoute(method, path) for path, methods in paths if method.lower() in methods and path[:8] != "/assets/"]


@dataclass
class Scene:
    """The console, what it works on, and one browser."""

    state: MemoryState = field(default_factory=MemoryState)
    tenant: MemoryTenant = field(default_factory=HostileTenant)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    mis: Mis = field(default_factory=lambda: Mis([]))

    @property
    def app(self) -> App:
        fakes = services(self.state, tenant=self.tenant, outbox=self.outbox, dead_letters=self.letters, mis=self.mis)
        return App(parse_settings(ENVIRONMENT), fakes)

    def kept(self) -> dict[str, object]:
        """All that a request could change: rows, messages and classes."""
        rows = {name: copy(value) for name, value in vars(self.state).items() if name not in ("_etags", "_step")}
        sent = {"requests": list(self.outbox.requests), "changes": list(self.outbox.changes)}
        return rows | sent | {"replayed": list(self.letters.replayed), "groups": copy(self.tenant.groups)}

    async def ask(
        self,
        route: PageRoute,
        address: str = "",
        caller: str = ALL_SCHOOLS,
        role: str = ADMIN,
        secret: str = "a browser",
        token: str | None = None,
        **headers: str,
    ) -> httpx.Response:
        """A request by a browser whose cookie is `secret`. A form has the right token, unless one is given."""
        form = {FIELD: form_token(secret, AccountId(caller)) if token is None else token}
        transport = httpx.ASGITransport(serve_console(self.app))
        cookies = {COOKIE: secret} if secret else {}
        async with httpx.AsyncClient(transport=transport, base_url="https://console", cookies=cookies) as client:
            return await client.request(
                route.method,
                address or route.address,
                data=form if route.method == "POST" else None,
                files={"file": b""} if route.path in UPLOADS else None,
                headers={**principal(caller, role), **headers},
            )


def principal(caller: str, role: str = ADMIN) -> Mapping[str, str]:
    """The header of App Service for this person, or none for nobody."""
    if not caller:
        return {}
    claims = [("oid", caller), ("name", HOSTILE), *([("roles", role)] if role else [])]
    whole: dict[str, Any] = {"claims": [{"typ": typ, "val": val} for typ, val in claims]}
    return {"x-ms-client-principal": base64.b64encode(json.dumps(whole).encode()).decode()}


async def build_scene() -> Scene:
    """S1, which the head administers; S2, which they do not; and S3, which is paused for a hostile reason."""
    scene = Scene()
    scene.mis.groups += [
        teaching("G1", HOSTILE, PUPILS, ["main"]),
        teaching(HOSTILE, "Art", [*PUPILS, HOSTILE], ["main"]),
    ]
    state = scene.state
    await state.save_school(settings(name=HOSTILE, access=[HEAD], types=["teaching"]))
    others: dict[str, dict[str, object]] = {"S2": {}, "S3": {"enabled": False, "pause_reason": HOSTILE}}
    for school, values in others.items():
        values = {"name": HOSTILE, "name_identifier": school, **values}
        await state.save_school(replace(settings(**values), school=SchoolId(school)))
    await _add_people(scene)
    await _add_class(state)
    await _add_runs(state)
    scene.letters.dead = [
        DeadLetter(
            queue=CLASS_CHANGES,
            number=1,
            message_id="m",
            session=HOSTILE,
            body=b"<hostile>",
            reason=HOSTILE,
            deliveries=10,
            at=NOON,
        )
    ]
    await state.write_message_fault(
        MessageFault(
            queue=CLASS_CHANGES,
            message_id="m",
            session=HOSTILE,
            deliveries=10,
            message=HOSTILE,
            remedy=HOSTILE,
            at=NOON,
        )
    )
    return scene


async def _add_people(scene: Scene) -> None:
    people = accounts([*PUPILS, "main"])
    scene.tenant.accounts |= {account.id: account for account in people}
    changes = tuple(AccountChange(account.id, account.values) for account in people)
    await scene.state.write_accounts(TENANT, AccountChanges(True, changes, frozenset(), "token"))


async def _add_class(state: MemoryState) -> None:
    reasons = {entra_id("amy"): Reason(Rule.STUDENT, MisId(HOSTILE))}
    wanted = replace(
        desired(KEY, PUPILS, ["main"]),
        name=ClassName(HOSTILE, HOSTILE),
        group_id=MisId("G1"),
        group_name=HOSTILE,
        description=HOSTILE,
        reasons=reasons,
    )
    await state.write_desired(SCHOOL.id, [wanted])
    record = await state.class_record(SCHOOL.id, KEY)
    assert record
    delta = AppliedDelta(
        run=RUN,
        cause=Cause.NIGHTLY,
        at=NOON,
        members_added=wanted.members,
        owners_granted=wanted.owners,
        reasons=reasons,
    )
    error = RowError(HOSTILE, HOSTILE, HOSTILE)
    await state.write_actual(replace(record, actual=synced(wanted).actual, error=error), delta)


async def _add_runs(state: MemoryState) -> None:
    run = RunRecord(
        school=SCHOOL.id,
        id=RUN,
        cause=Cause.NIGHTLY,
        at=NOON,
        outcome=RunOutcome.PLANNED,
        whole=True,
        action=HOSTILE,
        class_key=KEY,
        requested_by=AccountId(HEAD),
        changed=(KEY,),
        people_without_account=(MisId(HOSTILE),),
        people_disabled=(MisId(HOSTILE),),
        people_ambiguous=(MisId(HOSTILE),),
        notes=(HOSTILE,),
    )
    await state.write_run(run)
    await state.write_run(replace(run, id=RunId("R2"), whole=False, outcome=RunOutcome.REJECTED))
    part = HeldClass(
        group_name=HOSTILE,
        name=HOSTILE,
        key=KEY,
        what=HOSTILE,
        lost=2,
        students=5,
        leaving=tuple(sorted(entra_ids(PUPILS[:2]))),
        people=(MisId(HOSTILE),),
        digest="P1",
    )
    hold = Hold(
        digest=DIGEST,
        kind=HoldKind.LEFT_GROUP,
        what=HOSTILE,
        remedy=HOSTILE,
        why=HOSTILE,
        classes=(part,),
        run=RUN,
        at=NOON,
    )
    await state.replace_holds(SCHOOL.id, (), (hold,))
