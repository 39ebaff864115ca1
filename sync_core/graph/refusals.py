"""Graph's permanent refusals as our own errors, each with the remedy that fits its cause.

Graph answers most refusals with one of few codes (Request_BadRequest, Authorization_RequestDenied), so the words of the
message tell the cause. An answer of unknown words keeps Graph's code, and its words without values and names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sync_core.errors import (
    LATER_GRANT,
    LONGEST_SHOWN,
    AlreadyThere,
    DeltaExpired,
    GraphDenied,
    GraphRefused,
    NicknameTaken,
    NotThere,
    SyncError,
    TeamNotReady,
    Transient,
    one_line,
    without_addresses,
)

CONCURRENCY = "Directory_ConcurrencyViolation"
"""The code of 409 for a change that met another one of the same object: it may succeed a moment later."""

_CODE = re.compile(r"[A-Za-z0-9]+(?:[._][A-Za-z0-9]+)*")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|‘[^’]*’|“[^”]*”")
_OF_OBJECTS = re.compile(
    r"members|owners|teachers|students|id|displayName|mailNickname|externalId|externalName|description|visibility"
    r"|extension_[0-9a-f]{32}_\w{1,64}|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9]{1,6}"
)
"""What Graph may quote: a property that the app sends, an id, a count."""
_CAPITALS = re.compile(r"[^\W\d_a-z][\w'’-]*")
_NO_NAMES = """
DisplayName MailNickname ExternalId Education_ObjectType
A Access Additional After Allowed An And Another API App Application Authorization Azure AD Bad Cannot Class
Conflict Current Denied Directory Display Education Entra Error Exchange Failed Field For Forbidden Graph Group
Groups Guest Guests HTTP ID Id If In Insufficient Internal Invalid It JSON License Licence Mail Maximum Microsoft
Missing Name No Not Null Object Office On One Only Operation Owner Owners Permission Please Policy Property Provided
Quota Request Required Resource School Server Service Some Specified Student Students Teacher Teachers Teams Tenant
That The There This To Too Unable Unauthorized Unexpected Unified Unknown Unsupported Update URI URL User Users
Value Values We When While Without You Your
"""
"""Words that Graph's messages have with a capital."""
_EXPIRED = re.compile(r"sync_?state|resync|expiredpagetoken", re.IGNORECASE)

NO_TOKEN = (
    "check that the app's managed identity is enabled, "
    "and that a tenant other than its home tenant has consented to the app"
)
_GRANT = (
    f"grant the app's identity the Graph permissions that docs/operations.md lists, with admin consent; {LATER_GRANT}"
)
_CORRECT = "correct what Graph names, then resync the class"
_GRANT_TEAMS = (
    "grant the app's identity the permissions for teams that docs/operations.md lists (infra/scripts/grant_graph.py "
    f"--teams); {LATER_GRANT}; or choose no teams in the school's settings"
)
_WRAPPED = "failed to execute templates backend request"
"""Teams wraps what its own parts say, with ids and names of the tenant: those words are matched, and shown nowhere."""
_NOT_SHOWN = "Teams gave a reason with ids of the tenant in it, which are not recorded"


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
    code, message = _told(status, body)
    words, detail = message.lower(), _without_names(message)
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


def _without_licence(code: str, _: str) -> SyncError:
    """The words are those for a missing licence ("O365-EDU-Tools")."""
    return GraphRefused(
        code,
        "a person has no licence for Teams",
        "give the person a Microsoft 365 Education licence that has Teams switched on; the next sync tries again",
    )


_NO_LICENCE = _Cause(("you do not have permission to perform this operation",), _without_licence)
_TEAM_CAUSES = (
    _NO_LICENCE,
    _Cause(("is already provisioned",), lambda *_: AlreadyThere()),
    _Cause(
        ("must have one or more owners in order to create a team",),
        lambda *_: TeamNotReady(
            "Teams knows no owner of the class, so it made no team",
            "nothing to do: Teams learns of an owner within two hours, and the team is made in the next night",
        ),
    ),
    _Cause(
        ("can not be provisioned using a group which does not belong to a class",),
        lambda code, _: GraphRefused(
            code,
            "the group was not made as a class, so Teams makes no class team of it",
            "exclude the group from the sync, or delete it in Microsoft 365 and resync: the app then makes a class",
        ),
    ),
)


def team_refusal_of(status: int, body: object) -> SyncError:
    """The error for Teams' final answer of this status, 400 or more, to a request about a team.

    NotThere stands for a team, or a class, that Teams does not know, and AlreadyThere for a team that exists.
    """
    code, message = _told(status, body)
    words = message.lower()
    for cause in _TEAM_CAUSES:
        if any(word in words for word in cause.words):
            return cause.error(code, "")
    detail = _NOT_SHOWN if _WRAPPED in words else _without_names(message)
    match status:
        case 404:
            return NotThere()
        case 401:
            return GraphDenied(code, detail, NO_TOKEN)
        case 403:
            return GraphDenied(code, detail, _GRANT_TEAMS)
        case _:
            return GraphRefused(code, detail, "look at the team in the Teams admin center, then resync the class")


_TEMPORARY_CODES = frozenset(
    {"toomanyrequests", "serviceunavailable", "internalservererror", "gatewaytimeout", "timeout"}
)


def person_refusal_of(error: object) -> SyncError:
    """The error for the part of an answer that tells why a person was not added to a team.

    NotThere stands for a person whom Teams does not know, or not yet.
    """
    code, message = _told(0, {"error": error})
    words, kind = message.lower(), code.lower()
    if kind in _TEMPORARY_CODES:
        return Transient(f"Teams did not add a person: {code}", "the queue redelivers the message")
    if kind in ("notfound", "request_resourcenotfound"):
        return NotThere()
    # No source tells the words for somebody who is in the team already.
    if "already" in words or kind == "conflict":
        return AlreadyThere()
    if any(word in words for word in _NO_LICENCE.words):
        return _NO_LICENCE.error(code, "")
    return GraphRefused(
        code,
        _without_names(message),
        "look at the person in the Teams admin center: they may have no licence, or be in 1,000 teams, the most that "
        "Teams allows; the next sync tries again",
    )


def code_of(body: object) -> str:
    """Graph's code in an error's JSON; empty if it has none."""
    match body:
        case {"error": {"code": str(code)}}:
            return code
        case _:
            return ""


def _told(status: int, body: object) -> tuple[str, str]:
    """Code and message, which is cut. A code that is none of Graph's kind is replaced by the status."""
    match body:
        case {"error": {"code": code, "message": message}}:
            known = isinstance(code, str) and len(code) <= LONGEST_SHOWN and _CODE.fullmatch(code)
            return str(code) if known else str(status), one_line(str(message))
        case _:
            return str(status), "Graph gave no reason"


def _without_names(message: str) -> str:
    """The message without what may be a person's: addresses, quoted values and unknown capitals."""
    unquoted = _QUOTED.sub(lambda found: found[0] if _OF_OBJECTS.fullmatch(found[0][1:-1]) else "(a value)", message)
    known = frozenset(_NO_NAMES.split())
    return _CAPITALS.sub(lambda word: word[0] if word[0].rstrip("'’") in known else "…", without_addresses(unquoted))
