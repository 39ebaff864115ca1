"""Microsoft Graph as the person who is signed in with the Azure CLI or azd."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from command import Failure

try:
    import httpx
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import AzureCliCredential, AzureDeveloperCliCredential
except ModuleNotFoundError as missing:
    sys.exit(
        f"the Python package of {missing.name} is not installed, so nothing was changed: run "
        f"'{sys.executable} -m pip install --requirement infra/scripts/requirements.txt', then this again"
    )

# A failure has what the library logs as well.
logging.getLogger("azure").addHandler(logging.NullHandler())

GRAPH = "https://graph.microsoft.com/v1.0"
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
"""The client id of Microsoft Graph, the same in every tenant."""

_SECONDS_FOR_A_CLI = 60
_SECONDS_FOR_AN_ANSWER = 60
_WAITS = (1, 2, 4, 8, 16)
"""Seconds between attempts, where Graph does not say how long to wait."""
_NOT_YET = (
    "NoBackingApplicationObject",
    "does not reference a valid application",
    "Not a valid reference update",
    "was not found on application",
)
"""Parts of answers 400 about an object that not all replicas of the directory have yet."""

Entity = dict[str, Any]
"""A resource of Graph as JSON."""


class GraphRefused(Failure):
    """Graph refused a request; `status` is the HTTP status of its answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def access_token(tenant: str, resource: str = "https://graph.microsoft.com") -> str:
    """A token of the person who is signed in to the tenant with the Azure CLI or, if nobody is, with azd.

    `tenant` is its id; empty is the tenant that the person last signed in to. The token lasts about an hour.
    """
    causes = []
    for cli in (AzureCliCredential, AzureDeveloperCliCredential):
        try:
            signed_in = cli(tenant_id=tenant, process_timeout=_SECONDS_FOR_A_CLI)
            return str(signed_in.get_token(f"{resource}/.default").token)
        except ClientAuthenticationError as error:
            causes.append(str(error.message).strip().splitlines()[0].rstrip("."))
        except ValueError as error:
            raise Failure(f"{tenant} is no id of a tenant, so nothing was changed: {error}") from None
    of_az, of_azd = (f" {option} {tenant}" if tenant else "" for option in ("--tenant", "--tenant-id"))
    raise Failure(
        f"nobody is signed in{f' to tenant {tenant}' if tenant else ''}, so nothing was changed: run "
        f"'az login{of_az} --allow-no-subscriptions' or 'azd auth login{of_azd}', then this again "
        f"(az: {causes[0]}; azd: {causes[1]})"
    )


class Graph:
    """Requests to Microsoft Graph with a token.

    `role` says in a refusal who may make them, as "a Privileged Role Administrator". `wait` takes seconds.
    Paths are relative to the version; `options` are OData query options without their `$`, such as `select`.
    Each method raises GraphRefused if Graph refuses, and Failure if it cannot be reached.
    """

    def __init__(self, token: str, role: str, wait: Callable[[float], None] = time.sleep) -> None:
        self._role = role
        self._wait = wait
        self._client = httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=_SECONDS_FOR_AN_ANSWER)

    def get(self, path: str, **options: str) -> Entity:
        return self._send("GET", path, options=options)

    def find(self, path: str, **options: str) -> Entity | None:
        """A resource, or nothing if Graph knows none (404)."""
        try:
            return self.get(path, **options)
        except GraphRefused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def pages(self, path: str, **options: str) -> list[Entity]:
        """All resources of a list, from all its pages."""
        page = self._send("GET", path, options=options)
        found: list[Entity] = page["value"]
        while "@odata.nextLink" in page:
            page = self._send("GET", page["@odata.nextLink"].removeprefix(f"{GRAPH}/"))
            found += page["value"]
        return found

    def post(self, path: str, body: Mapping[str, object]) -> Entity:
        """Create a resource, and return it."""
        return self._send("POST", path, body)

    def post_about_new(self, path: str, body: Mapping[str, object]) -> Entity:
        """Create a resource that refers to one created a moment ago: Graph may not know that one for some seconds."""
        for seconds in _WAITS:
            try:
                return self.post(path, body)
            except GraphRefused as refusal:
                late = refusal.status == httpx.codes.NOT_FOUND or any(text in str(refusal) for text in _NOT_YET)
                if not late:
                    raise
                self._wait(seconds)
        return self.post(path, body)

    def patch(self, path: str, body: Mapping[str, object]) -> None:
        self._send("PATCH", path, body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def me(self) -> str:
        """The object id of the person who is signed in."""
        return str(self.get("me", select="id")["id"])

    def _send(
        self, method: str, path: str, body: Mapping[str, object] | None = None, options: Mapping[str, str] | None = None
    ) -> Entity:
        query = {f"${name}": value for name, value in (options or {}).items()}
        named = f"{method} {path.partition('?')[0]}"
        for seconds in (*_WAITS, None):
            try:
                answer = self._client.request(method, f"{GRAPH}/{path}", params=query or None, json=body)
            except httpx.TransportError as error:
                raise Failure(_unreachable(named, error)) from None
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or seconds is None:
                break
            self._wait(float(answer.headers.get("Retry-After", seconds)))
        if answer.is_success and not answer.content:
            return {}
        try:
            content: Entity = answer.json()
            if answer.is_success:
                return content
            code, message = content["error"]["code"], content["error"]["message"]
        except (ValueError, KeyError, TypeError):
            raise Failure(_not_graph(named, answer.status_code)) from None
        raise GraphRefused(answer.status_code, self._refusal(named, answer.status_code, code, message))

    def _refusal(self, named: str, status: int, code: str, message: str) -> str:
        match status:
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                remedy = f"sign in with 'az login' as {self._role}, then run this again"
            case httpx.codes.NOT_FOUND:
                remedy = "check that you are signed in to the tenant that has these ids, then run this again"
            case _:
                remedy = "run this again: it continues from there; if Graph answers the same, correct what it names"
        return f"Graph refused {named} ({status} {code}): {message.rstrip('.')}; {_DONE}; {remedy}"


_DONE = "what is printed above is done, and nothing else was changed"


def _unreachable(named: str, error: httpx.TransportError) -> str:
    return (
        f"Graph did not answer {named} ({type(error).__name__}: {error}), so it may have carried that out or not: "
        "check the network and the variable HTTPS_PROXY, then run this again: it continues from there"
    )


def _not_graph(named: str, status: int) -> str:
    return (
        f"the answer to {named} ({status}) is not one of Graph: a proxy may have answered in its place; {_DONE}; "
        "check the variable HTTPS_PROXY, then run this again"
    )
