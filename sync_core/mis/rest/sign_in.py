"""Gets an access token by OAuth 2 client credentials (RFC 6749, 4.4), as the token server of a vendor wants it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlsplit

import httpx

from sync_core.clock import Clock
from sync_core.errors import SnapshotRejected
from sync_core.mis.budget import MAX_HEADER, ServerBudget
from sync_core.mis.records import Record
from sync_core.mis.rest.answer import Answer
from sync_core.mis.rest.client import Server
from sync_core.mis.rest.quirks import Quirks

_CLIENT = "check the client and the application setting that the secret in the school's source names"
_TOKEN_URL = "check token_url in the school's source"
_REMEDIES = {
    "invalid_client": _CLIENT,
    "invalid_scope": "have the vendor give this client the scope to read rosters",
    "unauthorized_client": "have the vendor allow this client to sign in with client credentials",
    "unsupported_grant_type": f"ask the vendor for a server with OAuth 2 client credentials, and {_TOKEN_URL}",
}
_ABOUT_SCOPE_OR_GRANT = ("invalid_scope", "invalid_grant", "unsupported_grant_type")
_ERRORS = _REMEDIES.keys() | {"invalid_request", "invalid_grant", "access_denied", "server_error"}
"""Of RFC 6749, 5.2 and 4.1.2.1. A server may put anything else there."""
_MAX_DESCRIPTION = 200
_TOKEN = re.compile(rf"[\x20-\x7e]{{1,{MAX_HEADER}}}")
"""What a header can hold."""
_WORD = re.compile(r"\S+")
_UNSAFE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An answer without a token: the status, and OAuth's error with its description, if the server sends them."""

    status: int
    error: str
    description: str

    def __str__(self) -> str:
        return f"{self.status}, {self.error}" if self.error in _ERRORS else str(self.status)

    @property
    def described(self) -> str:
        """With the words of the server, which are for an admin alone."""
        return ", ".join(filter(None, (str(self.status), self.error))) + (
            f" ({self.description})" if self.description else ""
        )

    @property
    def remedy(self) -> str:
        return _REMEDIES.get(self.error, _CLIENT if self.status == 401 else _TOKEN_URL)


class TokenServer(Server):
    """The token server of a OneRoster source, open for one reading. `scopes` are tried from the first to the last."""

    def __init__(
        self, url: str, client: str, secret: str, scopes: Sequence[str], budget: ServerBudget, clock: Clock
    ) -> None:
        super().__init__(f"the token server {urlsplit(url).hostname}", "", budget, clock)
        self._url, self._identity, self._scopes = url, (client, secret), scopes

    async def token(self, quirks: Quirks) -> tuple[str, Quirks]:
        """An access token, and the quirks of a server that gives one. Raises SnapshotRejected, Transient.

        A server that refuses the client's secret in the header gets it in the form, and the other way round. One that
        refuses a scope is asked for the next choice.
        """
        refusals: dict[bool, _Refusal] = {}
        while True:
            result = await self._request(quirks)
            if isinstance(result, str):
                return result, quirks
            if result.error == "invalid_scope" and quirks.scopes + 1 < len(self._scopes):
                quirks = replace(quirks, scopes=quirks.scopes + 1)
                continue
            refusals[quirks.form] = result
            may_differ = result.status in (400, 401) and result.error not in _ABOUT_SCOPE_OR_GRANT
            if not may_differ or len(refusals) > 1:
                raise self._refused(refusals)
            quirks = replace(quirks, form=not quirks.form)

    async def _request(self, quirks: Quirks) -> str | _Refusal:
        client, secret = self._identity
        form = {"grant_type": "client_credentials", "scope": self._scopes[min(quirks.scopes, len(self._scopes) - 1)]}
        data = {name: value for name, value in form.items() if value}
        identity = {"client_id": client, "client_secret": secret} if quirks.form else {}
        auth = httpx.Auth() if quirks.form else httpx.BasicAuth(client, secret)
        sending = partial(self._client.stream, "POST", self._url, data=data | identity, auth=auth)
        return await self.send(sending, self._read_token)

    async def _read_token(self, response: httpx.Response) -> str | _Refusal:
        fields = (await self.read_json(response, _no_record) or Answer()).fields
        given = fields.get("access_token")
        token = given.strip() if isinstance(given, str) else ""
        if response.status_code < 300 and _TOKEN.fullmatch(token):
            return token
        if response.status_code < 300 and "error" not in fields:
            raise self.rejection("returned no access token that a request can carry", _TOKEN_URL)
        return _Refusal(response.status_code, self._safe(fields, "error"), self._safe(fields, "error_description"))

    def _refused(self, refusals: Mapping[bool, _Refusal]) -> SnapshotRejected:
        """The rejection says both answers if the server refuses the client in both ways."""
        ways = {False: "the header", True: "the form"}
        last = [*refusals.values()][-1]
        if len(refusals) == 1 or str(refusals[False]) == str(refusals[True]):
            return self.rejection(f"returned {last}", last.remedy, f"returned {last.described}")
        told, shown = (
            " and ".join(f"{tell(refusal)} for the secret in {ways[form]}" for form, refusal in refusals.items())
            for tell in (str, lambda refusal: refusal.described)
        )
        known = next((refusal for refusal in refusals.values() if refusal.error in _REMEDIES), last)
        return self.rejection(f"returned {told}", known.remedy, f"returned {shown}")

    def _safe(self, fields: Mapping[str, object], name: str) -> str:
        """A text of the server for a message: without the secret, addresses and control characters, and cut."""
        told = fields.get(name)
        shown = told.replace(self._identity[1], "***") if isinstance(told, str) else ""
        without_addresses = _WORD.sub(lambda word: "" if "@" in word[0] else word[0], shown)
        return _UNSAFE.sub("", without_addresses)[:_MAX_DESCRIPTION].strip()


def _no_record(_: object) -> Record | None:
    """A token server returns no records."""
