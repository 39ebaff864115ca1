"""A client of the simulated tenant, and how it is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from local.tenant.permissions import GRANTED
from tests.forked import Forked


@dataclass(slots=True)
class Graph:
    """A client with a token, and the tenant's simulation API."""

    url: str
    http: httpx.Client

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        return self.http.request(method, f"{self.url}/v1.0{path}", json=body)

    def sim(self, path: str, body: object = None) -> Any:
        url = f"{self.url}/_sim/{path}"
        response = self.http.get(url) if body is None else self.http.post(url, json=body)
        return response.raise_for_status().json()

    def sign_in(self, resource: str = "") -> str:
        """Get a new token, and send it with each request that follows."""
        query, identity = {"resource": resource}, {"X-IDENTITY-HEADER": "local"}
        token = self.http.get(f"{self.url}/msi/token", headers=identity, params=query).raise_for_status().json()
        self.http.headers["Authorization"] = f"Bearer {token['access_token']}"
        return str(token["access_token"])

    def switch(self, **answers: object) -> None:
        self.sim("switches", {name.replace("_", "-"): value for name, value in answers.items()})

    def grant(self, *permissions: str) -> None:
        """Grant these and no others, and sign in again."""
        self.sim("permissions", {"granted": permissions})
        self.sign_in()

    def grant_all_but(self, *permissions: str) -> None:
        self.grant(*(permission for permission in GRANTED if permission not in permissions))

    def users(self, count: int) -> list[str]:
        entries = [{"userPrincipalName": f"{uuid4().hex}@x.org", "displayName": "x"} for _ in range(count)]
        ids: list[str] = self.sim("users", entries)
        return ids

    def new_class(self, nickname: str | None = None) -> str:
        created = self.call("POST", "/education/classes", {"displayName": "c", "mailNickname": nickname or uuid4().hex})
        assert created.status_code == 201, created.text
        return str(created.json()["id"])

    def bind(self, class_id: str, people: list[str]) -> httpx.Response:
        references = [f"https://graph.microsoft.com/v1.0/directoryObjects/{person}" for person in people]
        return self.call("PATCH", f"/groups/{class_id}", {"members@odata.bind": references})

    def teach(self, class_id: str, person: str, collection: str = "education/users") -> httpx.Response:
        reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/{collection}/{person}"}
        return self.call("POST", f"/education/classes/{class_id}/teachers/$ref", reference)

    def members(self, class_id: str) -> set[str]:
        return {person["id"] for person in self.call("GET", f"/groups/{class_id}/members?$top=999").json()["value"]}


def start(folder: Path, *options: str) -> tuple[Forked, Graph]:
    child = Forked("local.tenant", ("--port", "0", *options), folder / "tenant.log", {})
    graph = Graph(f"http://127.0.0.1:{child.ready_line()['port']}", httpx.Client())
    graph.sign_in()
    return child, graph


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message."""
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]
