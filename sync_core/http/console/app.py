"""The console as a whole: its pages, its files, and what becomes of a request that is not carried out."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from sync_core.app import App
from sync_core.errors import NotFound, NotSignedIn, SyncError
from sync_core.http.admin.refusals import note_not_served, note_refused
from sync_core.http.console.pages import connect, health, owner_rules, rehearsal, schools, year_end
from sync_core.http.console.pages.school import (
    approvals,
    classes,
    groups,
    home,
    people,
    runs,
    settings,
    teacher,
    tonight,
    why,
    year,
)
from sync_core.http.console.rendering import ASSETS, asset_address, render_error
from sync_core.http.problems import problem_of

_PAGES = (
    schools,
    home,
    tonight,
    approvals,
    groups,
    year_end,
    owner_rules,
    rehearsal,
    classes,
    people,
    year,
    why,
    runs,
    settings,
    connect,
    health,
    teacher,
)
_FUNCTION = "console"
"""What events call the functions of the console, which answer alike."""
# App Service authentication signs a person in there, and leads back ("Customize sign-ins and sign-outs").
_SIGN_IN = "/.auth/login/aad?post_login_redirect_uri="
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
_TITLES = {
    403: "This is not open to you",
    404: "Not found",
    409: "This cannot be done now",
    412: "Somebody else was first",
    413: "Too large",
    422: "This was not understood",
    429: "Too many requests at once",
    503: "This does not work just now",
}
"""What an error page says in place of the phrase of HTTP."""
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def build_console(app: App) -> FastAPI:
    """The pages that serve `app`. Every error is a page; who is not signed in is led to the sign-in."""
    console = FastAPI(
        routes=[route for pages in _PAGES for route in pages.router.routes],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the host that the caller named
        exception_handlers={SyncError: _refuse, RequestValidationError: _unknown, HTTPException: _unknown},
    )
    console.state.app = app
    console.add_api_route("/assets/{version}/{name}", _asset)
    return console


async def _asset(version: str, name: str) -> Response:
    known = {path.name: path for path in ASSETS.iterdir()}
    if name not in known or asset_address(name) != f"/assets/{version}/{name}":
        raise NotFound("there is no such file", "open the page again")
    return FileResponse(known[name], headers=_KEPT, media_type=_MEDIA_TYPES[known[name].suffix])


async def _refuse(request: Request, error: SyncError) -> Response:
    if isinstance(error, NotSignedIn) and request.method == "GET":
        # The path alone: what a query holds is not written into the address of another page.
        return RedirectResponse(_SIGN_IN + quote(request.url.path), 302)
    note_refused(request, _FUNCTION, error)
    problem = problem_of(error)
    return render_error(problem.status, _TITLES.get(problem.status, problem.title), error.message, error.remedy)


async def _unknown(request: Request, error: HTTPException | RequestValidationError) -> Response:
    note_not_served(request, _FUNCTION, 404, "Page not found")
    return render_error(
        404, "Page not found", "this address is no page of the console", "start again from the list of schools"
    )
