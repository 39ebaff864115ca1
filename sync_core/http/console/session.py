"""Whose a form is: a token that only a page made for the same person, in the same browser, has.

The browser keeps a random secret in a cookie that no script reads and no other site sends. The token of a form is made
from the secret and the caller's id, so that a form of another site, or of somebody who used this browser before, is
refused. Both are the app's own, because App Service keeps its session to itself.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

from sync_core.domain.ids import AccountId
from sync_core.errors import Forbidden, Unreadable
from sync_core.http.admin.dependencies import SignedIn
from sync_core.http.edge import LARGEST_UPLOAD

# The prefix binds it to this host: another one of the same domain cannot set it (RFC 6265bis, "Cookie Name Prefixes").
COOKIE = "__Host-console"
FIELD = "form_token"


def secret_of(request: Request) -> str:
    """The browser's secret, or a new one for its cookie."""
    return request.cookies.get(COOKIE) or secrets.token_urlsafe(32)


def form_token(secret: str, caller: AccountId) -> str:
    return hmac.new(secret.encode(), caller.encode(), sha256).hexdigest()


async def _checked_form(request: Request, call: SignedIn) -> FormData:
    return _checked(request, call, await request.form())


class InMemoryParser(MultiPartParser):
    """Keeps each file that is small enough to be let in in memory. Starlette writes what is over 1 MB to the disk."""

    spool_max_size = LARGEST_UPLOAD


async def _checked_upload(request: Request, call: SignedIn) -> FormData:
    try:
        form = await InMemoryParser(request.headers, request.stream(), max_files=1, max_fields=100).parse()
    except (MultiPartException, KeyError, AssertionError):
        raise Unreadable("this is no form with a file", "open the page again, and choose the file again") from None
    return _checked(request, call, form)


def _checked(request: Request, call: SignedIn, form: FormData) -> FormData:
    secret, token = request.cookies.get(COOKIE, ""), form.get(FIELD)
    expected = form_token(secret, call.caller.id).encode()
    if not secret or not isinstance(token, str) or not hmac.compare_digest(expected, token.encode(errors="replace")):
        raise Forbidden(
            "this form is from an earlier session, so nothing was changed",
            "open the page again, and repeat your change",
        )
    return form


CheckedForm = Annotated[FormData, Depends(_checked_form)]
"""The fields of a form that a page of the console made for this caller. Raises Forbidden for any other."""
CheckedUpload = Annotated[FormData, Depends(_checked_upload)]
"""The same with one file, which is in memory and on no disk. Raises Unreadable too."""
