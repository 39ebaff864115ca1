"""A school's settings over the admin API: round trips, patches, ETags, pauses, dry runs and who has access."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.ids import MisId, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.domain.school.limits import Limits
from sync_core.domain.school.year import SchoolYear
from sync_core.errors import UnknownSetting
from sync_core.graph.port import NewClass, ProbedTenant, Tenant
from sync_core.http.admin.routes import classes, operations, runs, schools
from sync_core.messaging.messages import Priority, SyncSchool
from sync_core.sync.school import sync_school
from tests.admin.test_settings import EVERYTHING_WRONG, HERE, SOURCES, places_in
from tests.builders import NOON, SCHOOL, TENANT, entra_id, settings
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services
from tests.http.built import serve_api
from tests.http.memory_api import DEPUTY, ENVIRONMENT, HEAD, PUPILS, Api

S1 = f"schools/{SCHOOL.id}"


# --- GET and PUT


@pytest.mark.parametrize("source", SOURCES)
async def test_put_takes_back_what_get_gives(api: Api, source: dict[str, object]) -> None:
    if HERE in str(source):
        here = parse_settings(ENVIRONMENT | {"GRAPH_SIMULATOR": f"{HERE}/v1.0"})
        serve_api(App(here, api.app.services))
    chosen = {"name": "Oak", "mis": "seemis", "students": {"mis": "id", "account": "employeeId"}, "types": ["year"]}
    await api.answer("PUT", S1, {"tenant": TENANT, "source": source, "access": [HEAD], **chosen})
    first = await api.call("GET", S1)
    saved = await api.state.school(SCHOOL.id)
    again = await api.call("PUT", S1, first.json(), if_match=first.headers["etag"])
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    assert await api.state.school(SCHOOL.id) == saved


async def test_types_are_listed_in_one_order(api: Api) -> None:
    for types in (["year", "teaching", "registration"], ["registration", "year", "teaching"]):
        saved = await api.call("PATCH", S1, {"types": types})
        read = await api.call("GET", S1)
        assert read.json()["types"] == ["registration", "teaching", "year"]
        assert saved.headers["etag"] == read.headers["etag"]


def test_every_set_of_the_api_is_listed_in_order() -> None:
    """Text of a set differs from one process to the next, so every set of a response says how it is listed."""
    routers = (schools, classes, runs, operations)
    routes = [route for routes in routers for route in routes.router.routes if isinstance(route, APIRoute)]
    models = [route.response_model for route in routes if route.response_model]
    sets = [found for model in models for found in _sets_in(TypeAdapter(model).core_schema)]
    assert len(sets) > 8
    assert all(found.get("serialization", {}).get("function") is sorted for found in sets)
    people = frozenset(entra_id(str(number)) for number in range(50))
    change = AppliedDelta(run=RunId("R"), cause=Cause.ADMIN, at=NOON, members_added=people)
    listed = json.loads(TypeAdapter(AppliedDelta).dump_json(change))["members_added"]
    assert listed == sorted(people)


def _sets_in(schema: object) -> Iterator[dict[str, Any]]:
    """The parts of pydantic's schema that are sets."""
    match schema:
        case dict():
            if schema.get("type") in ("set", "frozenset"):
                yield schema
            for part in schema.values():
                yield from _sets_in(part)
        case list() | tuple():
            for part in schema:
                yield from _sets_in(part)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
@pytest.mark.parametrize("address", [HERE, "http://localhost:41234/msi/token"])
async def test_a_deployed_app_sends_no_secret_to_its_own_machine(
    api: Api, method: str, query: str, address: str
) -> None:
    source: dict[str, object] = {"kind": "oneroster", "url": address, "secret": "MIS_SECRET_OAK"}
    source |= {"path": None, "after_sync": None} if method == "PATCH" else {}
    detail = await api.refusal(422, method, S1 + query, {"tenant": TENANT, "source": source})
    assert detail.startswith("source.url: a deployed app takes no address that begins with http://")


async def test_what_is_saved_is_what_is_read_back(api: Api) -> None:
    """What is normalised is so in the answer already."""
    body = {"tenant": TENANT.upper(), "source": {"kind": "folder", "path": " feed "}, "types": None}
    saved = await api.answer("PUT", S1, body | {"name": " Oak ", "account_domain": " x.org "})
    read = await api.answer("GET", S1)
    assert {**saved, "types": sorted(saved["types"])} == {**read, "types": sorted(read["types"])}
    assert (read["name"], read["account_domain"], read["source"]["path"]) == ("Oak", "x.org", "feed")
    assert (read["tenant"], sorted(read["types"])) == (TENANT, ["registration", "teaching", "year"])


async def test_the_id_in_a_body_is_that_of_the_path(api: Api) -> None:
    body = await api.answer("GET", S1)
    assert "id: is that of another school" in await api.refusal(422, "PUT", S1, body | {"id": "S2"})


# --- PATCH


async def test_a_patch_keeps_what_it_leaves_out(api: Api) -> None:
    await api.answer("PATCH", S1, {"name": "Oak", "limits": {"class_loss": 0.5}, "students": {"domain": "pupils.org"}})
    before = await api.answer("GET", S1)
    await api.answer("PATCH", S1, {"limits": {"turnover": 0.9}, "rollover": "reuse"})
    after = await api.answer("GET", S1)
    assert after == before | {"rollover": "reuse", "limits": before["limits"] | {"turnover": 0.9}}
    assert (after["name"], after["limits"]["class_loss"]) == ("Oak", 0.5)


async def test_a_domain_of_the_school_that_is_patched_is_that_of_its_people(api: Api) -> None:
    """A role follows `account_domain` until it has a domain of its own."""
    await api.answer("PATCH", S1, {"account_domain": "wrong.org", "staff": {"domain": "staff.oak.org"}})
    after = await api.answer("PATCH", S1, {"account_domain": "oak.org"})
    assert (after["students"]["domain"], after["staff"]["domain"]) == (None, "staff.oak.org")
    saved = await api.state.school(SCHOOL.id)
    assert saved and (saved.student_matching.domain, saved.staff_matching.domain) == ("oak.org", "staff.oak.org")
    await api.answer("PUT", S1, after | {"account_domain": "x.org"})
    saved = await api.state.school(SCHOOL.id)
    assert saved and saved.student_matching.domain == "x.org"


async def test_null_in_a_patch_is_the_default(api: Api) -> None:
    await api.answer("PATCH", S1, {"name": "Oak", "limits": {"class_loss": 0.5, "turnover": 0.9}})
    after = await api.answer("PATCH", S1, {"name": None, "limits": {"class_loss": None}})
    assert (after["name"], after["limits"]["class_loss"], after["limits"]["turnover"]) == ("", 0.4, 0.9)


async def test_a_patch_may_give_the_school_another_kind_of_source(api: Api) -> None:
    source = {"kind": "container", "folder": "oak", "path": None}
    after = await api.answer("PATCH", S1, {"source": source}, content_type="application/merge-patch+json")
    assert after["source"] == {"kind": "container", "folder": "oak", "after_sync": "keep"}
    detail = await api.refusal(422, "PATCH", S1, {"source": {"kind": "folder", "path": "feed"}})
    assert "source.folder.folder: Extra inputs are not permitted" in detail
    assert "null removes one, for example of another kind of source" in detail


async def test_every_fault_of_a_patch_is_named(api: Api) -> None:
    detail = await api.refusal(422, "PATCH", S1, {"mis": "capita", "limits": {"turnover": 2}, "colour": "red"})
    assert all(place in detail for place in ("mis: ", "limits.turnover: ", "colour: ")), detail


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_if_every_setting_is_wrong_one_answer_names_every_fault_once(api: Api, method: str, query: str) -> None:
    access = ["a\nb", "nobody@oak.org", HEAD, "Oak office", 7]
    body = {**EVERYTHING_WRONG, "id": "S2", "access": access, "colour": "red"}
    source = dict.fromkeys(("path", "after_sync")) if method == "PATCH" else {}
    detail = await api.refusal(422, method, S1 + query, {**body, "source": body["source"] | source})
    what, _, remedy = detail.partition(" — ")
    places = {"source.oneroster." + name for name in ("url", "secret", "version", "client")}
    places |= {
        "students.mis",
        "students.account",
        "students.domain",
        *(f"limits.{field.name}" for field in fields(Limits)),
        *(f"calendar.{field.name}" for field in fields(SchoolYear)),
    }
    places |= {
        "types.0",
        "team_types.0",
        "admin_owners.0",
        "webhook_secrets.0",
        *(f"access.{place}" for place in (0, 1, 3, 4)),
    }
    nested = {"source", "students", "limits", "calendar", "types", "team_types", "admin_owners", "access"}
    nested |= {"webhook_secrets"}
    assert sorted(places_in(what)) == sorted(places | (body.keys() - nested))
    for mark in ("^", "[A-Z", "\\", "pattern", "hush", "nobody@", "mis.example"):
        assert mark not in detail, mark
    assert "access.1: no user or group in Microsoft 365 has this user principal name" in what
    assert "access.3: no user or group in Microsoft 365 has the name Oak office" in what
    assert remedy == (
        "correct the settings named here; in a PATCH, null removes one, for example of another kind of source; "
        "send S1 as id, or leave it out; an id cannot be changed; "
        "correct the name, or give the Entra id of the user or group; nothing was saved"
    )


@dataclass(frozen=True)
class HomeAlone:
    """Tenants of which the app reaches only its own."""

    home: MemoryTenant

    def of(self, tenant: str, priority: Priority) -> Tenant:
        if tenant == TENANT:
            return self.home
        raise UnknownSetting(f"tenant {tenant} is not the home tenant of the app's identity", "set GRAPH_CLIENT_ID")

    def probed(self, tenant: str) -> ProbedTenant:
        return self.home


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
@pytest.mark.parametrize("wrong", [{}, {"mis": "capita", "access": ["Oak office"]}])
async def test_a_tenant_out_of_reach_and_an_identifier_that_is_taken_are_named_with_the_rest(
    api: Api, wrong: dict[str, Any], query: str
) -> None:
    other = entra_id("another tenant")
    elm = replace(settings(), school=SchoolId("ELM"), name_identifier="ELM", tenant=other)
    await api.state.save_school(elm)
    serve_api(App(parse_settings(ENVIRONMENT), replace(api.app.services, graph=HomeAlone(api.tenant))))
    change = {"tenant": other, "name_identifier": "elm"}
    detail = await api.refusal(422, "PATCH", S1 + query, change | wrong)
    assert f"tenant {other} is not the home tenant" in detail
    assert "name_identifier: school ELM of the same tenant has it already" in detail
    assert all(f"{place}: " in detail for place in {"mis": 0, "access.0": 0} if wrong), detail
    # A school's own admin may not move it, and does not learn which identifiers another tenant has.
    hidden = await api.call("PATCH", S1 + query, change | wrong, caller=HEAD)
    assert hidden.status_code == (422 if wrong else 403)
    assert "ELM" not in hidden.text


async def test_a_school_whose_tenant_is_out_of_reach_can_still_be_paused(api: Api) -> None:
    await api.state.save_school(replace(settings(access=[HEAD]), tenant=entra_id("another tenant")))
    serve_api(App(parse_settings(ENVIRONMENT), replace(api.app.services, graph=HomeAlone(api.tenant))))
    assert (await api.answer("POST", f"{S1}/pause", {"reason": "consent is missing"}))["enabled"] is False


async def test_an_unknown_school_is_not_patched(api: Api) -> None:
    assert (await api.call("PATCH", "schools/S9", {"name": "Oak"})).status_code == 404


# --- ETags


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_old_etag_is_refused_with_the_settings_that_changed(api: Api, method: str) -> None:
    read = await api.call("GET", S1)
    await api.answer("PATCH", S1, {"name": "Oak", "limits": {"turnover": 0.9}})
    old = read.headers["etag"]
    detail = await api.refusal(412, method, S1, read.json(), if_match=old)
    assert detail == (
        "settings of school S1 have changed since you read them (name, limits), so nothing was saved — "
        "read the settings again, and repeat your change with the new ETag"
    )
    assert "(name, limits)" in await api.refusal(412, method, S1 + "?dry_run=true", read.json(), if_match=old)
    # What would be refused anyway is refused for that (RFC 9110, 13.2.1).
    assert "mis: " in await api.refusal(422, method, S1, read.json() | {"mis": "capita"}, if_match=old)


@pytest.mark.parametrize(
    ("condition", "status"),
    [("{}", 200), ('"abc", {}', 200), ("*", 200), ('"abc"', 412), ("W/{}", 412), ("nonsense", 412), ("", 412)],
)
async def test_if_match_may_be_a_list_or_any_and_is_never_weak(api: Api, condition: str, status: int) -> None:
    etag = (await api.call("GET", S1)).headers["etag"]
    response = await api.call("PATCH", S1, {"name": "Oak"}, if_match=condition.format(etag))
    assert response.status_code == status, response.text
    saved = await api.state.school(SCHOOL.id)
    assert saved
    assert saved.name == ("Oak" if status == 200 else "")


async def test_a_school_without_settings_matches_no_etag(api: Api) -> None:
    body = await api.answer("GET", S1)
    response = await api.call("PUT", "schools/S2", body | {"id": "S2"}, if_match="*")
    assert response.status_code == 412
    assert "school S2 has no settings" in response.json()["what"]
    assert await api.state.school(SchoolId("S2")) is None


async def test_a_change_at_the_same_moment_is_not_lost(api: Api) -> None:
    """Somebody else's save comes between the read and the write."""
    other = replace(settings(access=[HEAD]), name="Elm")

    async def step(name: str) -> None:
        if name == "replace_school":
            racing._schools[SCHOOL.id] = other

    racing = MemoryState(step)
    await racing.save_school(settings(access=[HEAD]))
    serve_api(App(parse_settings(ENVIRONMENT), services(racing)))
    response = await api.call("PATCH", S1, {"name": "Oak"})
    assert (response.status_code, await racing.school(SCHOOL.id)) == (412, other)
    assert "somebody changed the settings of school S1 at the same moment" in response.json()["what"]


# --- pause and resume


async def test_a_pause_has_a_reason_that_every_answer_repeats(api: Api) -> None:
    paused = await api.answer("POST", f"{S1}/pause", {"reason": "new MIS in May"}, caller=HEAD)
    assert (paused["enabled"], paused["pause_reason"]) == (False, "new MIS in May")
    assert paused == await api.answer("GET", S1)
    conflict = await api.call("POST", f"{S1}/sync")
    assert conflict.status_code == 409
    assert conflict.json()["detail"] == (
        "school S1 is paused (new MIS in May) — resume the school, then request it again"
    )
    run = await sync_school(SyncSchool(SCHOOL.id, RunId("R"), Cause.ADMIN), api.app.services)
    assert run.notes == ("the school is paused (new MIS in May): nothing was planned — to sync it, resume the school",)
    resumed = await api.answer("POST", f"{S1}/resume", caller=HEAD)
    assert (resumed["enabled"], resumed["pause_reason"]) == (True, "")
    assert (await api.call("POST", f"{S1}/sync")).status_code == 202


async def test_a_pause_and_a_resume_are_recorded_with_their_reason(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await api.answer("POST", f"{S1}/pause", {"reason": "new MIS in May"}, caller=HEAD)
    await api.answer("POST", f"{S1}/resume", {"reason": " the new MIS works "}, caller=HEAD)
    await api.answer("POST", f"{S1}/resume", caller=HEAD)
    events = [vars(record) for record in caplog.records if record.getMessage() == "admin.requested"]
    assert [(event["sync.action"], event["sync.reason"]) for event in events] == [
        ("pause", "new MIS in May"),
        ("resume", "the new MIS works"),
        ("resume", ""),
    ]
    for body in ({}, {"reason": " "}, {"reason": "a\nb"}, {"why": "b"}):
        await api.refusal(422, "POST", f"{S1}/resume", body)


async def test_a_pause_needs_a_reason_and_an_enabled_school_has_none(api: Api) -> None:
    for body in ({}, {"reason": " "}, {"reason": "a\nb"}):
        await api.refusal(422, "POST", f"{S1}/pause", body)
    await api.answer("PATCH", S1, {"enabled": False, "pause_reason": "the holidays"})
    assert (await api.answer("PATCH", S1, {"enabled": True}))["pause_reason"] == ""


# --- dry runs


async def test_a_dry_run_answers_with_the_plan_and_saves_nothing(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    before = await api.state.school(SCHOOL.id)
    caplog.set_level(logging.INFO)
    body = await api.answer("GET", S1)
    plan = await api.answer("POST", f"{S1}/plan")
    assert plan["created"] == ["2026.teaching.G1"]
    for method, change in (("PATCH", {"types": ["year"]}), ("PUT", body | {"types": ["year"]})):
        assert (await api.answer(method, f"{S1}?dry_run=true", change))["created"] == []
    assert await api.answer("PATCH", f"{S1}?dry_run=true", {"name": "Oak"}) == plan
    assert await api.state.school(SCHOOL.id) == before
    assert await api.state.class_records(SCHOOL.id) == ()
    assert not [record for record in caplog.records if record.getMessage() == "admin.requested"]


async def test_a_dry_run_of_another_matching_reads_the_accounts_as_the_first_sync_would(api: Api) -> None:
    for person in PUPILS:
        values = {**api.tenant.accounts[entra_id(person)].values, AccountProperty.EMPLOYEE_ID: person}
        api.tenant.accounts[entra_id(person)] = Account(entra_id(person), values)
    change = {"students": {"mis": "id", "account": "employeeId", "domain": ""}}
    plan = await api.answer("PATCH", f"{S1}?dry_run=true", change)
    assert plan["people_without_account"] == []
    assert {*plan["classes"][0]["members_added"]} >= {entra_id(person) for person in PUPILS}
    wrong = await api.answer("PATCH", f"{S1}?dry_run=true", {"students": {"domain": "wrong.org"}})
    assert sorted(wrong["people_without_account"]) == PUPILS


@pytest.mark.parametrize("seconds_for_a_part", [29, 30])
async def test_a_dry_run_waits_a_minute_for_accounts_and_then_says_what_is_not_known(
    api: Api, seconds_for_a_part: int
) -> None:
    """Eight accounts, two in a part: the third of four parts is read in time, or it is not."""
    clock = FixedClock()

    async def step(name: str) -> None:
        if name == "first_accounts answered":
            clock.advance(timedelta(seconds=seconds_for_a_part))

    slow = MemoryTenant(step)
    slow.accounts |= api.tenant.accounts
    slow.add_account(entra_id("guy"), "guy@oak.org")
    slow.add_account(entra_id("may"), "may@oak.org")
    serve_api(App(parse_settings(ENVIRONMENT), services(api.state, tenant=slow, mis=api.mis, clock=clock)))
    change = {"students": {"account": "mailNickname"}, "staff": {"account": "employeeId"}}
    if seconds_for_a_part * 2 < 60:
        assert (await api.answer("PATCH", f"{S1}?dry_run=true", change))["outcome"] == "planned"
        return
    assert await api.refusal(409, "PATCH", f"{S1}?dry_run=true", change) == (
        f"the plan with these settings is not known: no school of tenant {TENANT} uses employeeId, mailNickname yet, "
        "and only 6 accounts could be read within 60 seconds; nothing was saved — "
        'save the settings with "enabled": false, and wait for the night or request a full resync of the tenant, '
        'which reads the accounts; a dry run with {"enabled": true} then shows the plan'
    )


async def test_a_dry_run_shows_what_a_paused_school_would_do_once_it_is_resumed(api: Api) -> None:
    await api.answer("POST", f"{S1}/pause", {"reason": "new MIS"})
    assert (await api.answer("PATCH", f"{S1}?dry_run=true", {"enabled": True}))["created"] == ["2026.teaching.G1"]


async def test_a_dry_run_of_invalid_settings_is_refused_like_a_save(api: Api) -> None:
    await api.state.save_school(replace(settings(), school=SchoolId("ELM"), name_identifier="ELM"))
    change = {"name_identifier": "ELM"}
    dry, saved = [await api.refusal(422, "PATCH", S1 + query, change) for query in ("?dry_run=true", "")]
    assert dry == saved


# --- access


async def test_access_takes_names_and_stores_ids(api: Api) -> None:
    api.tenant.add_account(DEPUTY, "deputy@oak.org")
    group = (await api.tenant.create_class(NewClass(ClassName("Oak admins", "oak-admins"), "", MisId("")))).id
    after = await api.answer("PATCH", S1, {"access": [HEAD.upper(), "Deputy@Oak.org", "oak admins", DEPUTY]})
    assert after["access"] == [HEAD, DEPUTY, group]


async def test_names_that_are_unknown_or_ambiguous_are_each_named(api: Api) -> None:
    named = [NewClass(ClassName("Admins", nickname), "", MisId("")) for nickname in "ab"]
    groups = [(await api.tenant.create_class(new)).id for new in named]
    detail = await api.refusal(422, "PATCH", S1, {"access": [HEAD, "Admins", "nobody@oak.org", "Oak office"]})
    assert detail == (
        f"access.1: 2 users and groups in Microsoft 365 have the name Admins: {', '.join(sorted(groups))}; "
        "access.2: no user or group in Microsoft 365 has this user principal name; "
        "access.3: no user or group in Microsoft 365 has the name Oak office — "
        "correct the name, or give the Entra id of the user or group; nothing was saved"
    )


async def test_a_schools_own_admin_may_add_a_deputy(api: Api) -> None:
    api.tenant.add_account(DEPUTY, "deputy@oak.org")
    after = await api.answer("PATCH", S1, {"access": ["deputy@oak.org", HEAD]}, caller=HEAD)
    assert after["access"] == [DEPUTY, HEAD]
    assert (await api.call("GET", S1, caller=DEPUTY)).status_code == 200


@pytest.mark.parametrize("access", [[], [DEPUTY], None])
async def test_a_schools_own_admin_may_lock_nobody_out(api: Api, access: list[str] | None) -> None:
    detail = await api.refusal(403, "PATCH", S1, {"access": access}, caller=HEAD)
    assert detail == (
        f"only an admin of all schools may take access away from {HEAD} — "
        "keep those ids in access, and add others to them"
    )
    body = {"tenant": TENANT, "source": {"kind": "folder", "path": "feed"}}
    assert "take access away" in await api.refusal(403, "PUT", S1, body, caller=HEAD)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": entra_id("another tenant")},
        {"source": {"path": "elsewhere"}},
        {"webhook_secrets": ["MIS_SECRET_OAK"]},
    ],
)
async def test_a_schools_own_admin_may_not_give_the_school_away(api: Api, change: dict[str, object]) -> None:
    assert "tenant, source and webhook_secrets" in await api.refusal(403, "PATCH", S1, change, caller=HEAD)
