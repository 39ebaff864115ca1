"""Attacks on each page of the console. The pages are the console's own list of routes, so that none is left out."""

from __future__ import annotations

import gzip
import logging
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from urllib.parse import quote

import azure.functions as func
import pytest
import pytest_asyncio

from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId
from sync_core.http.console.rendering import CONTENT_SECURITY_POLICY
from sync_core.http.console.session import FIELD, form_token
from sync_core.http.edge import serve
from tests.builders import SCHOOL, desired, teaching
from tests.http.console.hostile_scene import HOSTILE, PageRoute, Scene, build_scene, principal, routes
from tests.http.memory_api import ALL_SCHOOLS, DEPUTY, HEAD, Started

PAGES, FORMS = routes("GET"), routes("POST")
OF_SCHOOL = [route for route in [*PAGES, *FORMS] if "{school}" in route.path]
LARGEST = 60 * 1024
"""Bytes of a page on the wire."""
MANY = 10_000

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda route: route.path)
each_form = pytest.mark.parametrize("form", FORMS, ids=lambda route: route.path)
each_route = pytest.mark.parametrize("route", [*PAGES, *FORMS], ids=lambda route: f"{route.method} {route.path}")


@pytest.fixture
async def scene() -> Scene:
    return await build_scene()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large_scene() -> Scene:
    """A scene with MANY rows of each kind, built once: to build it takes longer than most pages, which only read it."""
    scene = await build_scene()
    state = scene.state
    (run,) = (run for run in await state.runs(SCHOOL.id) if run.id == "R1")
    (hold,) = await state.holds(SCHOOL.id)
    keys = tuple(ClassKey(f"2026.teaching.M{number}") for number in range(MANY))
    await state.write_desired(SCHOOL.id, [desired(key, ["amy"], ["main"]) for key in keys])
    people = tuple(MisId(f"person{number}") for number in range(MANY))
    changes = {"changed": keys, "people_without_account": people, "notes": (HOSTILE,) * 100}
    await state.write_run(replace(run, **changes))  # type: ignore[arg-type]
    for number in range(1_000):
        await state.write_run(replace(run, id=RunId(f"M{number}"), whole=False))
    parts = tuple(replace(hold.classes[0], key=key, digest=f"P{key}") for key in keys)
    await state.replace_holds(SCHOOL.id, (hold,), (replace(hold, classes=parts),))
    scene.letters.dead = [replace(scene.letters.dead[0], number=number) for number in range(MANY)]
    scene.mis.groups += (teaching(f"M{number}", f"Set {number}", ["amy"], ["main"]) for number in range(MANY))
    return scene


def refused(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Function, caller and school of each event of a refused request."""
    events = [vars(record) for record in caplog.records if record.getMessage() == "request.refused"]
    return [tuple(str(event[f"sync.{name}"]) for name in ("function", "caller", "school")) for event in events]  # type: ignore[misc]


def requested(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The actions that were allowed."""
    return [vars(record)["sync.action"] for record in caplog.records if record.getMessage() == "admin.requested"]


class Tags(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


# --- who calls


@each_route
async def test_who_is_not_signed_in_is_led_to_the_sign_in_of_this_host_or_refused(
    scene: Scene, route: PageRoute
) -> None:
    before = scene.kept()
    response = await scene.ask(route, caller="")
    if route.method == "GET":
        expected = f"/.auth/login/aad?post_login_redirect_uri={quote(route.address)}"
        assert (response.status_code, response.headers["location"]) == (302, expected)
    else:
        assert (response.status_code, str(SCHOOL.id) in response.text) == (401, False)
    assert scene.kept() == before


@each_route
async def test_who_has_no_role_is_refused(scene: Scene, route: PageRoute) -> None:
    before = scene.kept()
    response = await scene.ask(route, role="")
    assert (response.status_code, "hostile" in response.text) == (403, False)
    assert scene.kept() == before


@each_route
async def test_a_principal_that_is_no_principal_is_nobody(scene: Scene, route: PageRoute) -> None:
    response = await scene.ask(route, caller="", **{"x-ms-client-principal": "e30="})
    assert response.status_code in (302, 401)


@pytest.mark.parametrize("route", OF_SCHOOL, ids=lambda route: f"{route.method} {route.path}")
async def test_another_school_is_refused_like_one_that_does_not_exist(
    scene: Scene, route: PageRoute, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = scene.kept()
    answers = [await scene.ask(route, route.address_with(school=school), HEAD) for school in ("S2", "NONE")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].text == answers[1].text
    assert refused(caplog) == [("console", HEAD, "S2"), ("console", HEAD, "")]
    assert requested(caplog) == []
    assert scene.kept() == before


# --- forged forms


@each_form
@pytest.mark.parametrize(
    ("secret", "token"),
    [
        ("a browser", ""),
        ("a browser", "0" * 64),
        ("a browser", form_token("a browser", AccountId(DEPUTY))),
        ("a browser", form_token("another browser", AccountId(ALL_SCHOOLS))),
        ("", form_token("", AccountId(ALL_SCHOOLS))),
        ("a browser", "\N{SNOWMAN}"),
    ],
    ids=["none", "guessed", "of another person", "of another browser", "without a cookie", "no ASCII"],
)
async def test_a_form_that_this_console_did_not_make_for_this_person_changes_nothing(
    scene: Scene, form: PageRoute, secret: str, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = scene.kept()
    response = await scene.ask(form, secret=secret, token=token)
    assert response.status_code == 403
    assert [(function, caller) for function, caller, _ in refused(caplog)] == [("console", ALL_SCHOOLS)]
    assert "this form is from an earlier session" in response.text.lower()
    assert requested(caplog) == []
    assert scene.kept() == before


@each_form
@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}],
    ids=["cross-site", "same-site", "origin"],
)
async def test_a_form_of_another_site_is_refused_before_it_is_read(
    scene: Scene, form: PageRoute, headers: dict[str, str]
) -> None:
    """Even with the right cookie and token."""
    app, before = scene.app, scene.kept()
    token = form_token("a browser", AccountId(ALL_SCHOOLS))
    sent = {
        "host": "console",
        "cookie": "__Host-console=a browser",
        "content-type": "application/x-www-form-urlencoded",
    }
    request = func.HttpRequest(
        "POST",
        f"https://console{form.address}",
        headers={**sent, **principal(ALL_SCHOOLS), **headers},
        body=f"{FIELD}={token}".encode(),
    )
    response = await serve(Started(app), "console_schools", request, partial(_answer, request))
    assert response.status_code == 403
    assert scene.kept() == before


async def _answer(request: func.HttpRequest, app: object) -> func.HttpResponse:
    raise AssertionError("the request was read")


@each_page
async def test_a_page_changes_nothing(scene: Scene, page: PageRoute, caplog: pytest.LogCaptureFixture) -> None:
    """So a link or a picture of another site does no harm, although it sends the session."""
    caplog.set_level(logging.INFO)
    before = scene.kept()
    await scene.ask(page)
    assert requested(caplog) == []
    assert scene.kept() == before


async def test_the_cookie_of_the_forms_is_of_this_host_alone(scene: Scene) -> None:
    (page,) = (route for route in PAGES if route.path == "/health/pause")
    response = await scene.ask(page, secret="")
    name, _, attributes = response.headers["set-cookie"].partition("=")
    assert name == "__Host-console"
    assert set(attributes.split("; ")[1:]) == {"HttpOnly", "Path=/", "SameSite=strict", "Secure"}


# --- hostile content


@each_page
@pytest.mark.parametrize("query", ["", "?source=mis"])
async def test_every_name_is_shown_as_text(scene: Scene, page: PageRoute, query: str) -> None:
    response = await scene.ask(page, page.address + query)
    assert response.status_code < 500, response.text
    tags = Tags(response.text).found
    assert [tag for tag, attributes in tags if tag == "hostile" or "hostile" in attributes] == []


@each_page
async def test_a_page_has_no_code_and_no_style_of_its_own_and_takes_none_from_elsewhere(
    scene: Scene, page: PageRoute
) -> None:
    response = await scene.ask(page)
    assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    for tag, attributes in Tags(response.text).found:
        assert tag not in ("style", "iframe", "object", "base"), tag
        assert not any(name == "style" or name.startswith("on") for name in attributes), (tag, attributes)
        assert tag != "script" or (attributes.get("src") or "").startswith("/assets/"), attributes
        assert not (attributes.get("href") or "").lower().startswith("javascript:"), attributes


@each_page
async def test_every_page_offers_to_sign_out(scene: Scene, page: PageRoute) -> None:
    response = await scene.ask(page)
    assert 'href="/.auth/logout?post_logout_redirect_uri=/"' in response.text


@each_route
@pytest.mark.parametrize("id_", [HOSTILE, "..%2fS2", "x" * 5_000, "\N{BELL}", "S1\nS2"])
async def test_a_hostile_id_in_a_path_is_refused_and_not_repeated(scene: Scene, route: PageRoute, id_: str) -> None:
    before = scene.kept()
    for name in route.parameters:
        response = await scene.ask(route, route.address_with(**{name: quote(id_, safe="")}))
        assert 400 <= response.status_code < 500, (name, response.status_code)
        assert [tag for tag, _ in Tags(response.text).found if tag == "hostile"] == []
    assert scene.kept() == before


@each_page
async def test_ten_thousand_rows_are_pages_of_a_small_size(large_scene: Scene, page: PageRoute) -> None:
    before = large_scene.kept()
    response = await large_scene.ask(page)
    assert response.status_code < 500
    assert len(gzip.compress(response.content)) < LARGEST
    assert large_scene.kept() == before


def test_the_attacks_reach_every_kind_of_page() -> None:
    assert {route.path for route in PAGES} >= {"/", "/schools/{school}", "/health"}
    assert {route.path for route in FORMS} >= {"/health/dead-letters/replay", "/health/pause", "/health/resume"}
