"""REST services of Microsoft, as the person who is signed in with the Azure CLI or azd."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from azd import Environment
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

AZURE = "https://management.azure.com"
GRAPH = "https://graph.microsoft.com"
VAULT = "https://vault.azure.net"
"""The services for which there are tokens: Azure Resource Manager, Microsoft Graph, and Key Vault."""

GRAPH_V1 = f"{GRAPH}/v1.0"
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
"""The client id of Microsoft Graph, the same in every tenant."""

_WAITS = (1, 2, 4, 8, 16)
"""Seconds between attempts, where a service does not say how long to wait."""

_SECONDS_FOR_A_CLI = 60
_SECONDS_FOR_AN_ANSWER = 60
_NOT_YET = (
    "NoBackingApplicationObject",
    "does not reference a valid application",
    "Not a valid reference update",
    "was not found on application",
)
"""Parts of answers 400 about an object that not all replicas of the directory have yet."""
_DONE = "what is printed above is done, and nothing else was changed"

Entity = dict[str, Any]
"""A resource as JSON."""


class RequestRefused(Failure):
    """A service refused a request: the HTTP `status` of its answer, and the most exact `code` in it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def access_token(tenant: str, service: str = GRAPH) -> str:
    """A token of the person who is signed in to the tenant with the Azure CLI or, if nobody is, with azd.

    `tenant` is its id; empty is the tenant that the person last signed in to. The token lasts about an hour.
    """
    causes = []
    for cli in (AzureCliCredential, AzureDeveloperCliCredential):
        try:
            signed_in = cli(tenant_id=tenant, process_timeout=_SECONDS_FOR_A_CLI)
            return str(signed_in.get_token(f"{service}/.default").token)
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


def tenant_of(environment: Environment) -> str:
    """The id of the tenant of an azd environment; empty if azd has not chosen a subscription yet.

    Before the first provision it is that of the subscription, which Azure names to whoever asks without a token.
    """
    tenant, subscription = environment.get("AZURE_TENANT_ID"), environment.get("AZURE_SUBSCRIPTION_ID")
    if tenant or not subscription:
        return tenant
    try:
        answer = httpx.get(
            f"{AZURE}/subscriptions/{subscription}?api-version=2022-12-01", timeout=_SECONDS_FOR_AN_ANSWER
        )
    except httpx.TransportError as error:
        raise Failure(
            f"Azure did not answer ({type(error).__name__}: {error}), so nothing was changed: check the network and "
            "the variable HTTPS_PROXY, then run this again"
        ) from None
    named = re.search(r'authorization_uri="https://[^/"]+/([0-9a-f-]{36})"', answer.headers.get("WWW-Authenticate", ""))
    if not named:
        raise Failure(
            f"Azure does not know the subscription {subscription}, the value of AZURE_SUBSCRIPTION_ID, so nothing was "
            "changed: correct it with 'azd env set AZURE_SUBSCRIPTION_ID', then run this again"
        )
    return named[1]


class Service:
    """Requests to a service with a token. `name` is that of the service in messages, `base` its address.

    `role` says in a refusal who may make the requests, as "a Privileged Role Administrator". `wait` takes seconds.
    Paths are relative to `base`. Each method raises RequestRefused if the service refuses, and Failure if it cannot be
    reached.
    """

    def __init__(self, name: str, base: str, token: str, role: str, wait: Callable[[float], None] = time.sleep) -> None:
        self._name = name
        self._base = base
        self._role = role
        self._wait = wait
        self._client = httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=_SECONDS_FOR_AN_ANSWER)

    def send(
        self, method: str, path: str, body: Mapping[str, object] | None = None, query: Mapping[str, str] | None = None
    ) -> Entity:
        """The answer, empty if it has no content."""
        named = f"{method} {path.partition('?')[0]}"
        for seconds in (*_WAITS, None):
            try:
                answer = self._client.request(method, f"{self._base}/{path}", params=query or None, json=body)
            except httpx.TransportError as error:
                raise Failure(self._unreachable(named, error)) from None
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or seconds is None:
                break
            self._wait(float(answer.headers.get("Retry-After", seconds)))
        if answer.is_success and not answer.content:
            return {}
        try:
            content: Entity = answer.json()
            if answer.is_success:
                return content
            described = content["error"]
            code, message = (described.get("innererror") or described)["code"], " ".join(described["message"].split())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Failure(self._not_the_service(named, answer.status_code)) from None
        raise RequestRefused(answer.status_code, code, self._refusal(named, answer.status_code, code, message))

    def pages(self, path: str, query: Mapping[str, str]) -> list[Entity]:
        """All resources of a list, from all its pages."""
        page = self.send("GET", path, query=query)
        found: list[Entity] = page["value"]
        while following := page.get("@odata.nextLink") or page.get("nextLink"):
            page = self.send("GET", following.removeprefix(f"{self._base}/"))
            found += page["value"]
        return found

    def _refusal(self, named: str, status: int, code: str, message: str) -> str:
        match status:
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                remedy = f"sign in with 'az login' as {self._role}, then run this again"
            case httpx.codes.NOT_FOUND:
                remedy = "check that you are signed in to the tenant that has these ids, then run this again"
            case _:
                remedy = (
                    f"run this again: it continues from there; if {self._name} answers the same, correct what it names"
                )
        return f"{self._name} refused {named} ({status} {code}): {message.rstrip('.')}; {_DONE}; {remedy}"

    def _unreachable(self, named: str, error: httpx.TransportError) -> str:
        return (
            f"{self._name} did not answer {named} ({type(error).__name__}: {error}), so it may have carried that "
            "out or not: check the network and the variable HTTPS_PROXY, then run this again: it continues from there"
        )

    def _not_the_service(self, named: str, status: int) -> str:
        return (
            f"the answer to {named} ({status}) is not one of {self._name}: a proxy may have answered in its place; "
            f"{_DONE}; check the variable HTTPS_PROXY, then run this again"
        )


class Graph:
    """Requests to Microsoft Graph with a token, as those of Service.

    Paths are relative to the version; `options` are OData query options without their `$`, such as `select`.
    """

    def __init__(self, token: str, role: str, wait: Callable[[float], None] = time.sleep) -> None:
        self._wait = wait
        self._service = Service("Graph", GRAPH_V1, token, role, wait)

    def get(self, path: str, **options: str) -> Entity:
        return self._service.send("GET", path, query=_query(options))

    def find(self, path: str, **options: str) -> Entity | None:
        """A resource, or nothing if Graph knows none (404)."""
        try:
            return self.get(path, **options)
        except RequestRefused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def pages(self, path: str, **options: str) -> list[Entity]:
        """All resources of a list, from all its pages."""
        return self._service.pages(path, _query(options))

    def post(self, path: str, body: Mapping[str, object]) -> Entity:
        """Create a resource, and return it."""
        return self._service.send("POST", path, body)

    def post_about_new(self, path: str, body: Mapping[str, object]) -> Entity:
        """Create a resource that refers to one created a moment ago: Graph may not know that one for some seconds."""
        for seconds in _WAITS:
            try:
                return self.post(path, body)
            except RequestRefused as refusal:
                late = refusal.status == httpx.codes.NOT_FOUND or any(text in str(refusal) for text in _NOT_YET)
                if not late:
                    raise
                self._wait(seconds)
        return self.post(path, body)

    def patch(self, path: str, body: Mapping[str, object]) -> None:
        self._service.send("PATCH", path, body)

    def delete(self, path: str) -> None:
        self._service.send("DELETE", path)

    def me(self) -> str:
        """The object id of the person who is signed in."""
        return str(self.get("me", select="id")["id"])


def _query(options: Mapping[str, str]) -> dict[str, str]:
    return {f"${name}": value for name, value in options.items()}
