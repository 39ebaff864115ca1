"""Graph's permanent refusals as our own errors, each with the remedy that fits its cause.

Graph answers most refusals with one of few codes (Request_BadRequest, Authorization_RequestDenied), so the words of the
message tell the cause. An answer of unknown words keeps Graph's code and words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sync_core.errors import (
    LATER_GRANT,
    AlreadyThere,
    DeltaExpired,
    GraphDenied,
    GraphRefused,
    NicknameTaken,
    NotThere,
    SyncError,
)

CONCURRENCY = "Directory_ConcurrencyViolation"
"""The code of 409 for a change that met another one of the same object: it may succeed a moment later."""

_ADDRESS = re.compile(r"[^\s'\"<>]+@[^\s'\"<>]+")
_EXPIRED = re.compile(r"sync_?state|resync|expiredpagetoken", re.IGNORECASE)

NO_TOKEN = (
    "check that the app's managed identity is enabled, "
    "and that a tenant other than its home tenant has consented to the app"
)
_GRANT = (
    f"grant the app's identity the Graph permissions that docs/operations.md lists, with admin consent; {LATER_GRANT}"
)
_CORRECT = "correct what Graph names, then resync the class"


@dataclass(frozen=True, slots=True)
class _Cause:
    """A cause that the words of a message tell: `words` are lower-case, and any of them is enough."""

    words: tuple[str, ...]
    error: Callable[[str, str], SyncError]


def _with_remedy(remedy: str) -> Callable[[str, str], SyncError]:
    return lambda code, detail: GraphRefused(code, detail, remedy)


_CAUSES = (
    _Cause(("added object references already exist",), lambda *_: AlreadyThere()),
    _Cause(("removed object references do not exist",), lambda *_: NotThere()),
    _Cause(("same value for property mailnickname already exists",), lambda *_: NicknameTaken()),
    _Cause(
        ("guest",),
        _with_remedy(
            "the account is a guest, whom the tenant does not let into groups: give the person an account of the "
            "school's own, or allow guests in the Microsoft 365 groups settings, then resync the class"
        ),
    ),
    _Cause(
        ("for forward-link owners",),
        _with_remedy(
            "Microsoft 365 allows a class 100 owners: choose fewer admin owners in the school's settings, or take "
            "owners out of the class in Microsoft 365, then resync the class"
        ),
    ),
    _Cause(
        ("at least one owner",),
        _with_remedy("add another owner to the class in Microsoft 365, or leave it as it is"),
    ),
    _Cause(
        ("education_objecttype",),
        _with_remedy(
            "Microsoft 365 has classes in education tenants of the global cloud alone: check that TENANT_ID, or the "
            "tenant in the school's settings, is the school's own and has an education subscription"
        ),
    ),
    _Cause(
        ("licence", "license"),
        _with_remedy("give the person an education licence, or correct the MIS; the next sync tries again"),
    ),
    _Cause(
        ("naming policy", "naming requirements", "blocked word", "missing prefix", "missing suffix"),
        _with_remedy(
            "the tenant's group naming policy refuses the name: allow what class names hold (Entra admin center, "
            "Groups, Naming policy), or choose another name identifier for the school; the next sync tries again"
        ),
    ),
)


def refusal_of(status: int, body: object) -> SyncError:
    """The error for Graph's final answer of this status, 400 or more; `body` is its JSON, or None."""
    code, detail = _told(status, body)
    words = detail.lower()
    if status == 410 or _EXPIRED.search(code):
        return DeltaExpired()
    if status == 404:
        return NotThere()
    for cause in _CAUSES:
        if any(word in words for word in cause.words):
            return cause.error(code, detail)
    match status:
        case 401:
            return GraphDenied(code, detail, NO_TOKEN)
        case 403:
            return GraphDenied(code, detail, _GRANT)
        case _:
            return GraphRefused(code, detail, _CORRECT)


def code_of(body: object) -> str:
    """Graph's code in an error's JSON; empty if it has none."""
    match body:
        case {"error": {"code": str(code)}}:
            return code
        case _:
            return ""


def _told(status: int, body: object) -> tuple[str, str]:
    """Code and message; an address in the message is replaced, as it may be a pupil's."""
    match body:
        case {"error": {"code": code, "message": message}}:
            return str(code), _ADDRESS.sub("(an address)", str(message))
        case _:
            return str(status), "Graph gave no reason"
