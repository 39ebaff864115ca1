"""What every request passes: other sites, large bodies and other encodings are refused; each answer has its headers."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import cast

import azure.functions as func
import pytest

from sync_core.app import App
from sync_core.backoff import MAX_CALLS
from sync_core.config import parse_settings
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Forbidden, TooLarge
from sync_core.http.asgi import AsgiFunction, admin_api
from sync_core.http.edge import HEADERS, LARGEST_BODY, LARGEST_UPLOAD, check_upload, respond, serve
from sync_core.http.health import report_health
from sync_core.http.webhooks.function import receive_changes, receive_wonde_event
from sync_core.telemetry import MAX_REFUSALS, MAX_REFUSALS_OF_ONE
from sync_core.wiring import ProcessApp
from tests.builders import SCHOOL, entra_id, settings
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services
from tests.http.memory_api import ALL_SCHOOLS, ENVIRONMENT, Started
from tests.http.test_webhooks import BODY, NEW, sign

Receive = Callable[[App, func.HttpRequest], Awaitable[func.HttpResponse]]
VISITOR = entra_id("visitor")


def principal(caller: str, *roles: str) -> str:
    claims = [{"typ": "oid", "val": caller}, *({"typ": "roles", "val": role} for role in roles)]
    return base64.b64encode(json.dumps({"claims": claims}).encode()).decode()


PRINCIPAL = {"x-ms-client-principal": principal(ALL_SCHOOLS, "GroupSync.Admin")}
HOST = "sync.school.example"
SETTING = "MIS_SECRET_OAK"


def make_request(method: str, path: str, body: bytes = b"", **headers: str) -> func.HttpRequest:
    named = {"host": HOST, **PRINCIPAL, **{name.replace("_", "-"): value for name, value in headers.items()}}
    parameters = {"school": path.split("/")[3]} if path.startswith("/api/mis/") else {}
    return func.HttpRequest(method, f"https://{HOST}{path}", headers=named, route_params=parameters, body=body)


@dataclass
class Site:
    """The app as function_app.py serves it, over tables that have the school S1."""

    state: MemoryState
    process: ProcessApp
    api: AsgiFunction
    app: App

    @property
    def clock(self) -> FixedClock:
        clock = self.app.services.clock
        assert isinstance(clock, FixedClock)
        return clock

    async def admin(self, method: str, path: str, body: bytes = b"", **headers: str) -> func.HttpResponse:
        request = make_request(method, f"/api/admin/{path}", body, **headers)
        return await serve(self.process, "manage", request, partial(self._manage, request))

    async def _manage(self, request: func.HttpRequest, app: App) -> func.HttpResponse:
        return await self.api.answer(app, request, cast("func.Context", None))

    async def webhook(self, receive: Receive, school: str, body: bytes = b"", **headers: str) -> func.HttpResponse:
        request = make_request("POST", f"/api/mis/{school}/changes", body, **headers)
        return await serve(self.process, "mis_changes", request, partial(_receive, receive, request))


async def _receive(receive: Receive, request: func.HttpRequest, app: App) -> func.HttpResponse:
    return await receive(app, request)


@pytest.fixture(scope="module")
def built() -> Site:
    state = MemoryState()
    app = App(parse_settings(ENVIRONMENT | {SETTING: NEW}), services(state))
    return Site(state, Started(app), AsgiFunction(admin_api), app)


@pytest.fixture
async def site(built: Site) -> Site:
    """The API takes half a second to build. A minute later it counts refused requests and calls anew."""
    await built.state.save_school(settings())
    built.clock.advance(timedelta(minutes=1))
    return built


def problem(response: func.HttpResponse) -> str:
    what: str = json.loads(response.get_body())["what"]
    return what


# --- pages of other sites


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "same-origin", "origin": "null"}, 200),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "cross-site", "origin": f"https://{HOST}"}, 403),
        ({"sec_fetch_site": ""}, 403),
        ({"origin": f"https://{HOST}"}, 200),
        ({"origin": f"https://{HOST.upper()}"}, 200),
        ({"origin": f"https://{HOST}:8443"}, 403),
        ({"origin": f"https://{HOST}.evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://["}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
    ],
)
async def test_a_change_is_refused_from_a_page_of_another_site(
    site: Site, headers: dict[str, str], status: int
) -> None:
    change = json.dumps({"name": "Oak"}).encode()
    response = await site.admin("PATCH", f"schools/{SCHOOL.id}", change, content_type="application/json", **headers)
    assert response.status_code == status, response.get_body()
    if status == 403:
        assert problem(response) == "a page of another site sent this request, so nothing was changed"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_that_changes_anything_is_refused(site: Site, method: str) -> None:
    assert (await site.admin(method, f"schools/{SCHOOL.id}", sec_fetch_site="cross-site")).status_code == 403


async def test_a_link_on_another_site_may_lead_here(site: Site) -> None:
    assert (await site.admin("GET", "schools", sec_fetch_site="cross-site")).status_code == 200


# --- bodies


@pytest.mark.parametrize("receive", [receive_changes, receive_wonde_event])
async def test_a_webhook_of_more_than_128_kb_is_rejected_unread(site: Site, receive: Receive) -> None:
    response = await site.webhook(receive, "S", b"x" * (LARGEST_BODY + 1))
    found = json.loads(response.get_body())
    assert (response.status_code, found["status"]) == (413, 413)
    assert found["what"] == "the body has more than 131072 bytes, so it was not read"


async def test_the_admin_api_reads_128_kb_and_no_more(site: Site) -> None:
    answers = [
        await site.admin("PUT", f"schools/{SCHOOL.id}", b" " * size) for size in (LARGEST_BODY, LARGEST_BODY + 1)
    ]
    assert [answer.status_code for answer in answers] == [422, 413]


def test_an_upload_of_16_mb_of_any_bytes_is_read_and_no_more() -> None:
    def sent(size: int, **headers: str) -> func.HttpRequest:
        return func.HttpRequest("POST", "https://app.example/connect/zip", headers=headers, body=b"\xff" * size)

    check_upload(sent(LARGEST_UPLOAD))
    with pytest.raises(TooLarge, match="the upload has more than 16777216 bytes, so it was not read"):
        check_upload(sent(LARGEST_UPLOAD + 1))
    with pytest.raises(Forbidden, match="a page of another site sent this request"):
        check_upload(sent(1, **{"sec-fetch-site": "cross-site"}))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
async def test_json_is_in_utf_8(site: Site, encoding: str) -> None:
    change = json.dumps({"name": "Eiche"})
    path, form = f"schools/{SCHOOL.id}", "application/json"
    assert (await site.admin("PATCH", path, change.encode(), content_type=form)).status_code == 200
    response = await site.admin("PATCH", path, change.encode(encoding), content_type=form)
    assert (response.status_code, problem(response)) == (422, "the body is not UTF-8")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_lone_surrogate_is_refused_as_a_key_and_as_a_value(site: Site, method: str) -> None:
    for change in (rb'{"\ud800": 1}', rb'{"name": "\ud800"}', rb'{"source": {"kind": "\ud800"}}'):
        response = await site.admin(method, f"schools/{SCHOOL.id}", change, content_type="application/json")
        assert response.status_code == 422, response.get_body()


# --- answers


async def _never(app: App) -> func.HttpResponse:
    raise AssertionError("the app did not start")


async def served(site: Site) -> dict[str, func.HttpResponse]:
    health = make_request("GET", "/api/health")
    return {
        "personal": await site.admin("GET", "schools"),
        "not found": await site.admin("GET", "nothing"),
        "refused": await site.admin("POST", "schools", origin="null"),
        "webhook": await site.webhook(receive_changes, "S"),
        "health": await respond(site.process, "health", health, partial(report_health, site.process)),
        "unhealthy": await respond(
            site.process, "health", health, partial(report_health, ProcessApp({}, FixedClock()))
        ),
        "failed start": await serve(ProcessApp({}, FixedClock()), "health", health, _never),
    }


async def test_every_answer_has_the_security_headers_and_no_banner(site: Site) -> None:
    answers = await served(site)
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "personal": 200,
        "not found": 404,
        "refused": 403,
        "webhook": 401,
        "health": 200,
        "unhealthy": 503,
        "failed start": 503,
    }
    for name, answer in answers.items():
        assert {header: answer.headers.get(header) for header in HEADERS} == HEADERS, name
        others = {header.lower() for header, _ in answer.headers} - {header.lower() for header in HEADERS}
        assert others <= {"content-type", "content-length"}, name
    assert HEADERS["Cache-Control"] == "no-store"


async def test_no_redirect_leads_to_the_host_that_the_caller_names(site: Site) -> None:
    for path in ("schools/", f"schools/{SCHOOL.id}/", "/schools"):
        response = await site.admin("GET", path, host="evil.example")
        assert (response.status_code, response.headers.get("location")) == (404, None), path
        assert b"evil" not in response.get_body()


async def test_an_error_that_nobody_expected_is_an_event_and_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    """Also behind the admin API, whose framework answers errors in a way of its own."""

    class Faulty(MemoryState):
        async def schools(self, tenant: str | None = None) -> tuple[SchoolSettings, ...]:
            raise KeyError("Amy Smith")

        async def school(self, school: SchoolId) -> SchoolSettings | None:
            raise KeyError("Amy Smith")

    caplog.set_level(logging.DEBUG)
    state = Faulty()
    app = App(parse_settings(ENVIRONMENT), services(state))
    site = Site(state, Started(app), AsgiFunction(admin_api), app)
    answers = [await site.admin("GET", "schools"), await site.webhook(receive_changes, "S1")]
    for answer in answers:
        assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
        assert {header: answer.headers.get(header) for header in HEADERS} == HEADERS
        assert "Amy Smith" not in answer.get_body().decode()
    events = [vars(record) for record in caplog.records if record.getMessage() == "function.failed"]
    assert [event["sync.function"] for event in events] == ["manage", "mis_changes"]
    assert all(str(event["sync.message"]).startswith("unexpected KeyError at test_edge.py:") for event in events)
    assert "Amy Smith" not in caplog.text


# --- refused requests


def refusals(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """The properties of the events `request.refused`, without those that are empty."""
    events = [vars(record) for record in caplog.records if record.getMessage() == "request.refused"]
    return [
        {name.removeprefix("sync."): value for name, value in event.items() if name.startswith("sync.") and value}
        for event in events
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "expected"),
    [
        ("GET", "schools", b"", {"x_ms_client_principal": ""}, {"status": 401, "error": "NotSignedIn"}),
        ("GET", "schools", b"", {"authorization": "Bearer t"}, {"status": 401, "error": "NotSignedIn"}),
        ("PUT", "schools/S1", b"{", {}, {"status": 422, "error": "Unreadable"}),
        ("PUT", "schools/S1", b'{"Amy Smith": 1}', {}, {"status": 422, "error": "FaultySettings"}),
        ("POST", "schools/S1/pause", b'{"Amy Smith": "x"}', {}, {"status": 422, "error": "Unreadable"}),
        ("GET", "amy-smith", b"", {}, {"status": 404, "error": "Not Found"}),
        ("POST", "schools/S1", b"", {}, {"status": 405, "error": "Method Not Allowed"}),
        ("PATCH", "schools/S1", b"", {"origin": "null"}, {"status": 403, "error": "Forbidden"}),
        ("PATCH", "schools/S1", b"x" * (LARGEST_BODY + 1), {}, {"status": 413, "error": "TooLarge"}),
    ],
)
async def test_a_refused_request_is_an_event_without_a_word_of_the_sender(
    site: Site,
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str],
    expected: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    response = await site.admin(method, path, body, content_type="application/json", **headers)
    assert response.status_code == expected["status"], response.get_body()
    (event,) = refusals(caplog)
    assert event.items() >= {"function": "manage", "method": method, **expected}.items()
    # A request that is refused before the admin API has it, or that has no principal, has no caller in its event.
    known = expected["status"] in (404, 405, 422) or "authorization" in headers
    assert event.get("caller") == (ALL_SCHOOLS if known else None)
    assert not re.search("amy|smith|Bearer", str(event), re.IGNORECASE)


async def test_a_refused_access_is_an_event_with_who_asked_and_for_which_school(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    visitor = principal(VISITOR, "GroupSync.Admin")
    for school in ("S1", "amy-smith"):
        response = await site.admin("POST", f"schools/{school}/plan", x_ms_client_principal=visitor)
        assert response.status_code == 403
    without_role = await site.admin("GET", "schools/S1", x_ms_client_principal=principal(VISITOR))
    assert without_role.status_code == 403
    refused = {"function": "manage", "status": 403, "error": "Forbidden", "caller": VISITOR}
    no_access = {"method": "POST", "route": "/schools/{school}/plan"}
    no_access["message"] = "you have no access to this school"
    assert refusals(caplog) == [
        {**refused, **no_access, "school": "S1"},
        {**refused, **no_access},
        {
            **refused,
            "method": "GET",
            "route": "/schools/{school}",
            "message": "this needs the app role GroupSync.Admin",
        },
    ]


async def test_what_is_no_refusal_is_no_event(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    answers = [await site.admin("GET", path) for path in ("schools", "schools/none", "schools/S1")]
    assert [answer.status_code for answer in answers] == [200, 404, 200]
    assert refusals(caplog) == []


async def test_a_flood_of_refused_requests_is_counted_and_not_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Each caller has 30 events in a minute, so that one of them hides no other; all have 300."""
    caplog.set_level(logging.WARNING)
    visitors = [entra_id(f"visitor {number}") for number in range(12)]
    for visitor in visitors:
        for _ in range(MAX_REFUSALS_OF_ONE + 2):
            await site.admin("GET", "schools/S1", x_ms_client_principal=principal(visitor))
    events = refusals(caplog)
    assert Counter(event["caller"] for event in events) == dict.fromkeys(visitors[:10], MAX_REFUSALS_OF_ONE)
    assert len(events) == MAX_REFUSALS
    site.clock.advance(timedelta(minutes=1))
    await site.admin("GET", "schools/S1", x_ms_client_principal=principal(visitors[0]))
    left_out = len(visitors) * (MAX_REFUSALS_OF_ONE + 2) - MAX_REFUSALS
    # The event that is not suppressed says how many were, so the sum is exact.
    assert sum(cast("int", event.get("without_event", 0)) for event in refusals(caplog)) == left_out


async def test_a_flood_of_unsigned_webhooks_hides_those_of_no_other_school(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await site.state.save_school(replace(settings(), webhook_secrets=(SETTING,)))
    for _ in range(MAX_REFUSALS_OF_ONE + 5):
        assert (await site.webhook(receive_changes, "S9", BODY)).status_code == 401
    await site.webhook(receive_changes, "S1", BODY)
    accepted = await site.webhook(receive_changes, "S1", BODY, **sign(NEW))
    assert accepted.status_code == 202
    events = [vars(record) for record in caplog.records if record.getMessage() == "webhook.refused"]
    assert [event["sync.school"] for event in events] == [""] * MAX_REFUSALS_OF_ONE + ["S1"]
    assert events[-1]["sync.without_event"] == 5


# --- too many calls


async def test_one_caller_makes_600_calls_in_a_minute_and_no_more(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    statuses = Counter([(await site.admin("GET", "schools/none")).status_code for _ in range(MAX_CALLS + 1)])
    assert statuses == {404: MAX_CALLS, 429: 1}
    refused = await site.admin("GET", "schools/none")
    assert problem(refused) == "you made more than 600 calls in a minute, so this one was not carried out"
    other = await site.admin("GET", "schools/none", x_ms_client_principal=principal(VISITOR, "GroupSync.Admin"))
    assert other.status_code == 403
    assert [event["error"] for event in refusals(caplog)] == ["TooManyCalls", "TooManyCalls", "Forbidden"]
    site.clock.advance(timedelta(seconds=1))
    later = Counter([(await site.admin("GET", "schools/none")).status_code for _ in range(12)])
    assert later == {404: 10, 429: 2}
    site.clock.advance(timedelta(hours=1))
    after = Counter([(await site.admin("GET", "schools/none")).status_code for _ in range(MAX_CALLS + 1)])
    assert after == {404: MAX_CALLS, 429: 1}


# --- which schools exist


async def test_a_webhook_is_refused_alike_whether_the_school_exists_or_not(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await site.state.save_school(replace(settings(), webhook_secrets=(SETTING,)))
    await site.state.save_school(replace(settings(), school=SchoolId("S2"), webhook_secrets=("MIS_SECRET_NONE",)))
    await site.state.save_school(replace(settings(), school=SchoolId("S3"), webhook_secrets=(SETTING,)))
    site.state.damage_settings(SchoolId("S3"))
    forged = sign("whsec_" + base64.b64encode(b"x" * 24).decode())
    requests = [{}, forged, sign(NEW, ago=400.0), {**forged, "Webhook-Id": "é"}, {**forged, "Webhook-Id": "m" * 201}]
    for headers in requests:
        answers = set()
        for school in ("S1", "S2", "S3", "S9"):
            response = await site.webhook(receive_changes, school, BODY, **headers)
            answers.add((response.status_code, response.get_body()))
        assert len(answers) == 1, headers
    refused = [vars(record) for record in caplog.records if record.getMessage() == "webhook.refused"]
    assert [(event["sync.school"], event["sync.message"]) for event in refused[:4]] == [
        ("S1", "the webhook's signature was not accepted: missing required headers"),
        ("S2", "no webhook is set up for this school"),
        ("S3", "the settings of school S3 cannot be read"),
        ("", "no webhook is set up for this school"),
    ]
