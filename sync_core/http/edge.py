"""What every request over HTTP passes: its checks, the start of the app, and the headers of its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from sync_core.errors import Forbidden, SyncError, TooLarge, Unreadable
from sync_core.http.problems import problem_response
from sync_core.wiring import ProcessApp, failures_reported

if TYPE_CHECKING:
    from sync_core.app import App

LARGEST_BODY = 128 * 1024
"""Bytes."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer that has none of its own by that name (OWASP "REST Security Cheat Sheet", Security Headers)."""
_CHANGES_NOTHING = {"GET", "HEAD", "OPTIONS"}
_FAILED = SyncError(
    "the request ended in an error that nobody expected, so it may have been carried out in part",
    "send it again; if it fails again, tell the people who run the app, whose log has the cause (function.failed)",
)
"""The cause itself is for the log: anybody may send a request, and it shows how the app is built."""


async def serve(
    process: ProcessApp, function: str, request: func.HttpRequest, answer: Callable[[App], Awaitable[func.HttpResponse]]
) -> func.HttpResponse:
    """As `respond`, once the app has started. A failed start is 503 whatever its cause."""

    async def answer_started() -> func.HttpResponse:
        try:
            app = await process.get()
        except SyncError as error:
            return problem_response(error, HTTPStatus.SERVICE_UNAVAILABLE)
        return await answer(app)

    return await respond(function, request, answer_started)


async def respond(
    function: str, request: func.HttpRequest, answer: Callable[[], Awaitable[func.HttpResponse]]
) -> func.HttpResponse:
    """Check the request, and let it be answered.

    An error that nobody expected is 500, after the event that failures_reported emits for this `function`.
    """
    try:
        with failures_reported(function):
            response = await _answer(request, answer)
    except SyncError:
        response = problem_response(_FAILED, HTTPStatus.INTERNAL_SERVER_ERROR)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _answer(request: func.HttpRequest, answer: Callable[[], Awaitable[func.HttpResponse]]) -> func.HttpResponse:
    try:
        check_request(request)
    except SyncError as error:
        return problem_response(error)
    return await answer()


def check_request(request: func.HttpRequest) -> None:
    """Raises Forbidden (a change that a page of another site sends), TooLarge, and Unreadable (another encoding)."""
    if request.method not in _CHANGES_NOTHING and _is_cross_site(request):
        raise Forbidden(
            "a page of another site sent this request, so nothing was changed",
            "send it from the app's own address, or from a program that sends neither Origin nor Sec-Fetch-Site",
        )
    body = request.get_body()
    if len(body) > LARGEST_BODY:
        raise TooLarge(
            f"the body has more than {LARGEST_BODY} bytes, so it was not read",
            "send less: a webhook may name fewer groups and people, or none for the whole school",
        )
    if not _is_utf_8(body):
        raise Unreadable("the body is not UTF-8", "send JSON in UTF-8, the only encoding that it has (RFC 8259)")


def _is_cross_site(request: func.HttpRequest) -> bool:
    """What the browser says, or, from a browser that says nothing, whether Origin is another address than this one."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.lower().partition("://")[2] != request.headers.get("host", "").lower()


def _is_utf_8(body: bytes) -> bool:
    """JSON in UTF-16 or UTF-32 has NUL bytes, and JSON in UTF-8 has none."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body
