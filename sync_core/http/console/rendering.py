"""Pages: templates, what every template knows, and the headers of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader

from sync_core.domain.ids import SchoolId
from sync_core.http.admin.dependencies import Call
from sync_core.http.console import formats
from sync_core.http.console.session import COOKIE, FIELD, form_token, secret_of

ASSETS = Path(__file__).parent / "assets"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Tab:
    """A page of a school in its navigation."""

    name: str
    path: str


TABS: Sequence[Tab] = (
    Tab("Home", ""),
    Tab("Tonight", "/tonight"),
    Tab("Groups", "/groups"),
    Tab("Approvals", "/approvals"),
    Tab("Runs", "/runs"),
    Tab("People", "/people"),
    Tab("Why?", "/why"),
    Tab("Settings", "/settings"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page is: its title, and the school and tab that it belongs to, if it belongs to any."""

    title: str
    school: SchoolId = SchoolId("")
    tab: str = ""
    approvals: int = 0


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("sync_core.http.console"), PackageLoader("govuk_frontend_jinja")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(count=formats.count, day=formats.day, tabs=TABS, asset=asset_address, form_field=FIELD)
    return environment


@cache
def asset_address(name: str) -> str:
    """The address of a file of ASSETS. It changes with the content, so that browsers may keep the file."""
    content = (ASSETS / name).read_bytes()
    return f"/assets/{sha256(content).hexdigest()[:12]}/{name}"


def render(
    request: Request, call: Call, template: str, place: Place, status: int = 200, **values: object
) -> HTMLResponse:
    """The page, and the cookie of its forms if the browser has none."""
    secret, now = secret_of(request), call.services.clock.now()
    text = (
        _environment()
        .get_template(template)
        .render(
            place=place,
            caller=call.caller,
            simulated=call.app.settings.on_one_machine,
            token=form_token(secret, call.caller.id),
            moment=lambda at: formats.moment(at, now),
            **values,
        )
    )
    return _answer(request, text, status, secret)


def render_error(status: int, title: str, what: str, remedy: str) -> HTMLResponse:
    """A page for a request that is not carried out. It says nothing of any school."""
    text = (
        _environment()
        .get_template("error.html")
        .render(place=Place(title=title), caller=None, simulated=False, what=what, remedy=remedy)
    )
    return HTMLResponse(text, status, {"Content-Security-Policy": CONTENT_SECURITY_POLICY})


def _answer(request: Request, text: str, status: int, secret: str) -> HTMLResponse:
    response = HTMLResponse(text, status, {"Content-Security-Policy": CONTENT_SECURITY_POLICY})
    if COOKIE not in request.cookies:
        response.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="strict")
    return response
