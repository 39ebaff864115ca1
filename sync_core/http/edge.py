"""What every request over HTTP passes: its checks, the start of the app, and the headers of its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from sync_core.errors import Forbidden, RequestError, SyncError, TooLarge, Unreadable
from sync_core.http.problems import problem_of, problem_response
from sync_core.telemetry import RefusedRequest
from sync_core.wiring import ProcessApp, failures_reported

if TYPE_CHECKING:
    from sync_core.app import App

LARGEST_BODY = 128 * 1024
"""Bytes."""
LARGEST_UPLOAD = 16 * 1024 * 1024
"""Bytes of a form with a file, on the paths that take files."""
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


def check_request(request: func.HttpRequest) -> None:
    """Raises Forbidden (a change that a page of another site sends), TooLarge, and Unreadable (another encoding)."""
    _check_origin(request)
    body = request.get_body()
    if len(body) > LARGEST_BODY:
        raise TooLarge(
            f"the body has more than {LARGEST_BODY} bytes, so it was not read",
            "send less: a webhook may name fewer groups and people, or none for the whole school",
        )
    if not _is_utf_8(body):
        raise Unreadable("the body is not UTF-8", "send JSON in UTF-8, the only encoding that it has (RFC 8259)")


def check_upload(request: func.HttpRequest) -> None:
    """The same for a form with a file, which may be larger and has any bytes. Raises Forbidden, TooLarge."""
    _check_origin(request)
    if len(request.get_body()) > LARGEST_UPLOAD:
        raise TooLarge(
            f"the upload has more than {LARGEST_UPLOAD} bytes, so it was not read",
            "export one school alone, or have the MIS write its files into a file drop, which takes more",
        )


def _check_origin(request: func.HttpRequest) -> None:
    if request.method not in _CHANGES_NOTHING and _is_cross_site(request):
        raise Forbidden(
            "a page of another site sent this request, so nothing was changed",
            "send it from the app's own address, or from a program that sends neither Origin nor Sec-Fetch-Site",
        )


async def serve(
    process: ProcessApp,
    function: str,
    request: func.HttpRequest,
    answer: Callable[[App], Awaitable[func.HttpResponse]],
    check: Callable[[func.HttpRequest], None] = check_request,
) -> func.HttpResponse:
    """As `respond`, once the app has started. A failed start is 503 whatever its cause."""

    async def answer_started() -> func.HttpResponse:
        try:
            app = await process.get()
        except SyncError as error:
            return problem_response(error, HTTPStatus.SERVICE_UNAVAILABLE)
        return await answer(app)

    return await respond(process, function, request, answer_started, check)


async def respond(
    process: ProcessApp,
    function: str,
    request: func.HttpRequest,
    answer: Callable[[], Awaitable[func.HttpResponse]],
    check: Callable[[func.HttpRequest], None] = check_request,
) -> func.HttpResponse:
    """Check the request, and let it be answered. A request that is refused here is an event.

    An error that nobody expected is 500, after the event that failures_reported emits for this `function`.
    """
    try:
        with failures_reported(function):
            response = await _answer(process, function, request, answer, check)
    except SyncError:
        response = problem_response(_FAILED, HTTPStatus.INTERNAL_SERVER_ERROR)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _answer(
    process: ProcessApp,
    function: str,
    request: func.HttpRequest,
    answer: Callable[[], Awaitable[func.HttpResponse]],
    check: Callable[[func.HttpRequest], None],
) -> func.HttpResponse:
    try:
        check(request)
    except RequestError as error:
        problem, name = problem_of(error), type(error).__name__
        process.refuse(
            RefusedRequest(
                function=function, method=request.method, status=problem.status, error=name, message=error.message
            )
        )
        return problem_response(error)
    return await answer()


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
