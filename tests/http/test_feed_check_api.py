"""The check of a feed over the admin API: of saved settings and of a draft, who may do it, and bad input."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.sources import FeedFolder
from sync_core.planning.limits.snapshot import statistics_of
from tests.builders import SCHOOL, TENANT, entra_id, mis_sources, settings
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services
from tests.http.built import serve_api
from tests.http.memory_api import ALL_SCHOOLS, ENVIRONMENT, HEAD
from tests.mis import feeds

PATH = f"schools/{SCHOOL.id}/feed-check"
STRANGER, TEACHER = entra_id("stranger"), entra_id("teacher")
ROLES: dict[str, str] = {TEACHER: "GroupSync.Teacher"}


@dataclass
class World:
    """The API over tables in memory and real files. S1 is saved with the feed in `feed`; S2 is in the feed only."""

    api: FastAPI
    state: MemoryState
    outbox: MemoryOutbox
    feed: Path

    async def call(self, body: object = None, path: str = PATH, caller: str = ALL_SCHOOLS) -> httpx.Response:
        claims = [{"typ": "oid", "val": caller}, {"typ": "roles", "val": ROLES.get(caller, "GroupSync.Admin")}]
        header = {"x-ms-client-principal": base64.b64encode(json.dumps({"claims": claims}).encode()).decode()}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.api), base_url="http://api") as client:
            return await client.post(f"/api/admin/{path}", json=body, headers=header)

    async def report(self, body: object = None, path: str = PATH, caller: str = ALL_SCHOOLS) -> Any:
        response = await self.call(body, path, caller)
        assert response.status_code == 200, response.text
        return response.json()


def two_schools() -> feeds.Feed:
    feed = feeds.oneroster()
    feed["orgs.csv"] += "S2,,,Elm School,school,7654321,D1\n"
    feed["users.csv"] += "q1,,,true,S2,student,qpupil,,Quin,Pupil,,7,secret\n"
    feed["enrollments.csv"] += "E9,,,C1,S1,nobody,student,\n"
    return feed


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    state, outbox, clock = MemoryState(), MemoryOutbox(), FixedClock()
    feed = feeds.write(two_schools(), tmp_path / "feed")
    await state.save_school(replace(settings(access=[HEAD]), source=FeedFolder(str(feed))))
    mis = mis_sources(clock, {"MIS_SECRET_SET": "secret"})
    api = serve_api(App(parse_settings(ENVIRONMENT), services(state, mis=mis, outbox=outbox, clock=clock)))
    yield World(api, state, outbox, feed)


async def test_the_feed_of_a_saved_school_is_told_in_counts(world: World) -> None:
    report = await world.report()
    assert report["format"] == "OneRoster 1.1 CSV (manifest.csv says so)"
    assert report["schools"] == {"S1": "A School", "S2": "Elm School"}
    assert [(groups["type"], groups["groups"]) for groups in report["groups"]] == [
        ("year", 1),
        ("registration", 1),
        ("teaching", 1),
    ]
    assert report["students"] == {
        "people": 2,
        "with_username": 1,
        "username_is_address": 0,
        "with_email": 1,
        "with_neither": 0,
    }
    assert (report["left_out_rows"], report["left_out"][0]["place"]) == (1, "line 7")
    assert (report["accepted"], report["rejections"]) == (None, [])
    values = json.dumps(report)
    assert not [value for value in ("APupil", "Anne", "ben@else.org", "First", "nobody") if value in values]


async def test_it_is_compared_with_the_last_accepted_feed_and_a_rejection_is_told(world: World) -> None:
    snapshot = await mis_sources(FixedClock(), {}).snapshot(replace(settings(), source=FeedFolder(str(world.feed))))
    accepted = replace(statistics_of(snapshot), students=9)
    await world.state.write_accepted_statistics(SCHOOL.id, accepted)
    report = await world.report()
    assert report["accepted"]["students"] == 9
    ((what, remedy),) = [(each["what"], each["remedy"]) for each in report["rejections"]]
    assert "it has 2 students and the last accepted one had 9: under 80%" in what
    assert "limits.smallest_snapshot" in remedy
    draft = {"tenant": TENANT, "source": _folder(world.feed), "limits": {"smallest_snapshot": 0.1}}
    assert (await world.report(draft))["rejections"] == []


async def test_a_draft_is_checked_and_neither_saved_nor_planned(world: World) -> None:
    draft = {"tenant": TENANT, "source": _folder(world.feed)}
    report = await world.report(draft, "schools/S2/feed-check")
    assert (report["school"], report["name"], report["year_groups"]) == (
        "S2",
        "Elm School",
        [{"name": "7", "students": 1}],
    )
    assert await world.state.school(SchoolId("S2")) is None
    assert await world.state.accepted_statistics(SchoolId("S2")) is None
    assert await world.state.runs(SchoolId("S2")) == ()
    assert (world.outbox.requests, world.outbox.changes) == ([], [])


async def test_a_paused_school_can_be_checked(world: World) -> None:
    saved = await world.state.school(SCHOOL.id)
    assert saved
    await world.state.save_school(replace(saved, enabled=False))
    assert (await world.report())["school"] == SCHOOL.id


async def test_a_schools_own_admin_sees_that_school_only_and_may_not_read_from_elsewhere(world: World) -> None:
    report = await world.report(caller=HEAD)
    assert report["schools"] == {"S1": "A School"}
    same = {"tenant": TENANT, "source": _folder(world.feed), "access": [HEAD]}
    assert (await world.report({**same, "year_starts_in": 8}, caller=HEAD))["school"] == "S1"
    server = {"kind": "oneroster", "version": "1.1", "url": "https://elsewhere.example", "secret": "MIS_SECRET_SET"}
    refused = await world.call({**same, "source": server}, caller=HEAD)
    assert refused.status_code == 403
    assert "only an admin of all schools may change tenant, source and webhook_secrets" in refused.json()["what"]


def _folder(path: Path) -> dict[str, str]:
    return {"kind": "folder", "path": str(path)}


WONDE = {"kind": "wonde", "school": "A1", "secret": "MIS_SECRET_UNSET"}
BAD: list[tuple[str, int, object, str, str, str]] = [
    ("not an object", 422, ["S1"], PATH, ALL_SCHOOLS, "body: should be an object"),
    ("no source", 422, {"tenant": TENANT}, PATH, ALL_SCHOOLS, "source: "),
    ("no tenant", 422, {"source": WONDE}, PATH, ALL_SCHOOLS, "tenant: "),
    ("a tenant that is no id", 422, {"tenant": "oak", "source": WONDE}, PATH, ALL_SCHOOLS, "tenant: "),
    (
        "an unknown kind",
        422,
        {"tenant": TENANT, "source": {"kind": "ftp"}},
        PATH,
        ALL_SCHOOLS,
        "source: 'kind' should be one of",
    ),
    ("no kind", 422, {"tenant": TENANT, "source": {}}, PATH, ALL_SCHOOLS, "source: 'kind' is missing"),
    (
        "a secret in place of its name",
        422,
        {"tenant": TENANT, "source": {**WONDE, "secret": "hunter2"}},
        PATH,
        ALL_SCHOOLS,
        "source.wonde.secret: ",
    ),
    (
        "an address that is none",
        422,
        {"tenant": TENANT, "source": {**WONDE, "url": "wonde"}},
        PATH,
        ALL_SCHOOLS,
        "source.wonde.url: ",
    ),
    (
        "an unknown setting",
        422,
        {"tenant": TENANT, "source": WONDE, "colour": "red"},
        PATH,
        ALL_SCHOOLS,
        "colour: Extra inputs are not permitted",
    ),
    (
        "another school's id",
        422,
        {"tenant": TENANT, "source": WONDE, "id": "S2"},
        PATH,
        ALL_SCHOOLS,
        "id: is that of another school",
    ),
    ("an id with a blank", 422, None, "schools/S%201/feed-check", ALL_SCHOOLS, "path.school: "),
    ("no settings at all", 404, None, "schools/S9/feed-check", ALL_SCHOOLS, "there is no school S9, so nothing was"),
    ("a school of others", 403, None, PATH, STRANGER, "you have no access to this school"),
    (
        "a new school, by an admin of one",
        403,
        {"tenant": TENANT, "source": WONDE},
        "schools/S9/feed-check",
        HEAD,
        "you have no access to this school",
    ),
    ("a teacher", 403, None, PATH, TEACHER, "this needs the app role GroupSync.Admin"),
    (
        "a secret that is not set",
        409,
        {"tenant": TENANT, "source": WONDE},
        PATH,
        ALL_SCHOOLS,
        "the application setting MIS_SECRET_UNSET, which the school's source names, is not set",
    ),
    (
        "a folder that is not there",
        409,
        {"tenant": TENANT, "source": {"kind": "folder", "path": "/nowhere"}},
        PATH,
        ALL_SCHOOLS,
        "/nowhere",
    ),
    (
        "a container without one",
        409,
        {"tenant": TENANT, "source": {"kind": "container", "folder": "oak"}},
        PATH,
        ALL_SCHOOLS,
        "this deployment has none",
    ),
]


@pytest.mark.parametrize(("what", "status", "body", "path", "caller", "detail"), BAD, ids=[row[0] for row in BAD])
async def test_bad_input_is_refused_with_its_place_and_a_remedy(
    what: str, status: int, body: object, path: str, caller: str, detail: str, world: World
) -> None:
    response = await world.call(body, path, caller)
    assert response.status_code == status, response.text
    problem = response.json()
    assert detail in problem["what"], problem
    assert problem["remedy"]
    assert "hunter2" not in response.text


async def test_a_school_that_the_feed_does_not_have_is_answered_with_those_that_it_has(world: World) -> None:
    draft = {"tenant": TENANT, "source": _folder(world.feed)}
    response = await world.call(draft, "schools/S9/feed-check")
    assert response.status_code == 409
    assert response.json()["what"] == "the feed has no school S9, but S1 (A School), S2 (Elm School)"


async def test_a_feed_that_is_cut_off_is_refused_with_its_line(world: World) -> None:
    (world.feed / "users.csv").write_text(
        "sourcedId,status,orgSourcedIds,role,username,email\np1,,S1", encoding="utf-8"
    )
    response = await world.call()
    assert response.status_code == 409
    assert response.json()["what"] == "users.csv line 2: the file is cut off"
    assert "export the feed again" in response.json()["remedy"]
