"""The admin API of a deployment, called as the person who is signed in to the Azure CLI."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx

from cli.failures import Failed
from cli.remembered import Deployment
from local.exit_status import Status

_TIMEOUT = httpx.Timeout(120, connect=10)
"""Seconds. A health check takes a minute at most, and a plan of a large school about as long."""
_SIGN_IN_HOSTS = {"login.microsoftonline.com", "login.windows.net", "login.microsoftonline.us"}
_STATUSES = {409: Status.WAITS, 412: Status.WAITS, 429: Status.UNREACHABLE}
"""Of refusals: a plan that has changed, say, needs another decision."""
_INSTALL = "https://learn.microsoft.com/cli/azure/install-azure-cli"


def address_of(text: str) -> str:
    """The address of an app without its path, from what a person typed. Raises Failed."""
    whole = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(whole)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or not re.fullmatch(r"[A-Za-z0-9.:-]+", host):
        raise Failed(f"{text} is no address of an app", "name one like https://APP.azurewebsites.net", Status.REFUSED)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        remedy = "name the address that begins with https://"
        raise Failed(f"{text} is not encrypted, so nothing was sent to it", remedy, Status.REFUSED)
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def is_local(address: str) -> bool:
    """Whether the app of this address runs on this machine."""
    return _is_this_machine(urlsplit(address).hostname or "")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_sign_in(address: str) -> tuple[str, str]:
    """The client id and the tenant of the app's sign-in, from the page that its sign-in leads a browser to.

    Both are empty if the app does not lead to Microsoft's sign-in and back to itself. Raises Failed.
    """
    with httpx.Client(timeout=_TIMEOUT) as http:
        answer = _send(http, address, "GET", f"{address}/.auth/login/aad")
    target = urlsplit(answer.headers.get("location", ""))
    query = {name: values[0] for name, values in parse_qs(target.query).items()}
    # The token that is requested next goes to this address: it must be one that the registration is for.
    if target.hostname not in _SIGN_IN_HOSTS or not query.get("redirect_uri", "").startswith(f"{address}/"):
        return "", ""
    return query.get("client_id", ""), target.path.strip("/").partition("/")[0]


def token_of(deployment: Deployment) -> str:
    """An access token for the app, from the Azure CLI; it is kept nowhere. Raises Failed."""
    if deployment.user:
        return deployment.user
    # It takes half a second to import, and the help needs none of it.
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import AzureCliCredential

    try:
        credential = AzureCliCredential(tenant_id=deployment.tenant, process_timeout=60)
        token: str = credential.get_token(f"api://{deployment.client}/.default").token
    except ClientAuthenticationError as error:
        raise _not_signed_in(str(error), deployment) from None
    return token


def _not_signed_in(message: str, deployment: Deployment) -> Failed:
    """The Azure CLI's message may name an account, so only its code is repeated."""
    sign_in = f"az login --tenant {deployment.tenant} --allow-no-subscriptions"
    if "not found on path" in message:
        what, remedy = "the Azure CLI (az) is not installed", f"install it ({_INSTALL}), then run '{sign_in}'"
    elif "az login" in message and "AADSTS" not in message:
        what, remedy = "you are not signed in to the Azure CLI", f"run '{sign_in}'"
    elif code := re.search(r"AADSTS\d+", message):
        what = f"Microsoft Entra ID gives you no token for this app ({code[0]})"
        remedy = f"sign in with an account of the app's tenant: run '{sign_in}'"
    else:
        what, remedy = "the Azure CLI gave no token for this app", f"run '{sign_in}', then this again"
    return Failed(what, remedy, Status.REFUSED)


class AdminApi:
    """Calls the admin API of one deployment. Every method raises Failed with what the API said."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        headers = {"Authorization": f"Bearer {token_of(deployment)}", "Accept": "application/json"}
        self._http = httpx.Client(timeout=_TIMEOUT, headers=headers)

    def get(self, *path: str, **query: object) -> Any:
        return self._call("GET", path, query, None)

    def post(self, *path: str, body: object = None, **query: object) -> Any:
        return self._call("POST", path, query, body)

    def delete(self, *path: str) -> Any:
        return self._call("DELETE", path, {}, None)

    def _call(self, method: str, path: tuple[str, ...], query: dict[str, object], body: object) -> Any:
        address = self.deployment.address
        url = "/".join([f"{address}/api/admin", *(quote(part, safe="") for part in path)])
        answer = _send(self._http, address, method, url, params=query, json=body)
        document = _json_of(answer)
        if answer.is_success and document is not None:
            return document
        raise _refusal(answer, document, self.deployment)


def _send(http: httpx.Client, address: str, method: str, url: str, **options: Any) -> httpx.Response:
    try:
        return http.request(method, url, **options)
    except httpx.TimeoutException:
        remedy = "try again in some minutes; 'mis-class-sync doctor' checks the app"
        raise Failed(f"{address} did not answer in time", remedy, Status.UNREACHABLE) from None
    except httpx.HTTPError as error:
        remedy = "check the address, and that this machine has a network"
        raise Failed(f"{address} cannot be reached ({type(error).__name__})", remedy, Status.UNREACHABLE) from None


def _json_of(answer: httpx.Response) -> Any:
    """None if the answer is no JSON, such as a web page."""
    try:
        return answer.json()
    except ValueError:
        return None


def _refusal(answer: httpx.Response, problem: Any, deployment: Deployment) -> Failed:
    address, code = deployment.address, answer.status_code
    if isinstance(problem, dict) and {"what", "remedy"} <= problem.keys():
        usual = Status.REFUSED if code < 500 else Status.UNREACHABLE
        return Failed(problem["what"], problem["remedy"], _STATUSES.get(code, usual))
    if code == 401:
        sign_in = f"run 'az login --tenant {deployment.tenant} --allow-no-subscriptions'"
        remedy = "log in again as one of the test users" if deployment.user else f"{sign_in}, then this again"
        return Failed(f"{address} does not accept your sign-in", remedy, Status.REFUSED)
    if code == 403:
        remedy = "see in the Azure portal whether the app runs, and which networks may reach it"
        return Failed(f"{address} refuses every request (403)", remedy, Status.UNREACHABLE)
    if code >= 500:
        remedy = "try again in some minutes, and look at the app's health in the Azure portal"
        return Failed(f"{address} is not well: it answers {code}", remedy, Status.UNREACHABLE)
    remedy = "check the address: 'mis-class-sync login ADDRESS' takes the one of the app, without a path"
    return Failed(f"{address} answers {code} with no answer of the admin API", remedy, Status.UNREACHABLE)
