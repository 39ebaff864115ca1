"""A simulated tenant for one measurement: a process of its own with Graph's limits, users, and a count of the cost."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from azure.core.credentials import AccessToken

from local.processes import Child
from local.tenant.__main__ import TENANT_ID
from local.tenant.entra import IDENTITY_HEADER
from sync_core.domain.classes import DesiredClass

_TOKEN_LIFE = 86_400
_AT_ONCE = 500
_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What Graph has counted; `refused` are its 429s, which are among the requests."""

    requests: int = 0
    writes: int = 0
    units: int = 0
    refused: int = 0

    def __sub__(self, before: Spent) -> Spent:
        return Spent(
            self.requests - before.requests,
            self.writes - before.writes,
            self.units - before.units,
            self.refused - before.refused,
        )


class SimulatedTenant:
    """An empty tenant whose time runs at `rate`; `latency` is what each answer takes, in seconds of its own time."""

    id = TENANT_ID

    def __init__(self, rate: float = 1.0, latency: float = 0.0, size: str = "L") -> None:
        self._rate, self._latency, self._size = rate, latency, size
        self._exits = ExitStack()
        self.upns: dict[str, str] = {}

    def __enter__(self) -> Self:
        folder = self._exits.enter_context(tempfile.TemporaryDirectory(prefix="bench-tenant-"))
        child = Child("tenant", [sys.executable, "-m", "local.tenant", "--port", "0"], Path(folder) / "tenant.log")
        self._exits.callback(child.stop)
        self._url = f"http://127.0.0.1:{child.ready_line()['port']}"
        self._http = self._exits.enter_context(httpx.Client(base_url=self._url, timeout=_TIMEOUT))
        self.simulation("POST", "clock", {"rate": self._rate})
        self.switch(latency_seconds=self._latency / self._rate, tenant_size=self._size)
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def graph_url(self) -> str:
        return f"{self._url}/v1.0"

    @property
    def identity(self) -> dict[str, str]:
        """The settings by which a process gets the managed identity's token."""
        return {"IDENTITY_ENDPOINT": f"{self._url}/msi/token", "IDENTITY_HEADER": IDENTITY_HEADER}

    def switch(self, **switches: object) -> None:
        """Set switches of the simulation by name; `latency_seconds` are seconds on the wall."""
        self.simulation("POST", "switches", switches)

    def add_users(self, upns: Sequence[str]) -> dict[str, str]:
        """Ids by UPN; `self.upns` knows all users the other way round."""
        ids: list[str] = []
        for at in range(0, len(upns), _AT_ONCE):
            ids += self.simulation("POST", "users", [{"userPrincipalName": upn} for upn in upns[at : at + _AT_ONCE]])
        made = dict(zip(upns, ids, strict=True))
        self.upns |= {id_: upn for upn, id_ in made.items()}
        return made

    def seed(self, school: str, classes: Sequence[DesiredClass]) -> list[str]:
        """Have these classes there with their people, at no cost. Returns their ids."""
        entries = [
            {
                "displayName": wanted.name.display_name,
                "mailNickname": wanted.name.mail_nickname,
                "externalId": f"{school}|{wanted.key}",
                "owners": sorted(wanted.owners),
                "members": sorted(wanted.members),
            }
            for wanted in classes
        ]
        ids: list[str] = []
        for at in range(0, len(entries), _AT_ONCE):
            ids += self.simulation("POST", "classes", entries[at : at + _AT_ONCE])
        return ids

    def spent(self) -> Spent:
        """Since the tenant was made."""
        counted = self.simulation("GET", "stats")
        units, refused = counted["resource_units"], counted["throttled"]
        return Spent(counted["requests"], counted["writes"], units, refused)

    def differences(self, wanted: Iterable[DesiredClass]) -> list[str]:
        """What is otherwise in the tenant than wanted, in words; empty where exactly these classes are there."""
        found = {listed["mailNickname"]: listed for listed in self.simulation("GET", "classes")}
        differences = []
        for one in wanted:
            listed = found.pop(one.name.mail_nickname, None)
            if listed is None:
                differences.append(f"{one.name.mail_nickname} is not there")
                continue
            for collection, people in (("owners", one.owners), ("members", one.members)):
                if set(listed[collection]) != {self.upns[person] for person in people}:
                    differences.append(f"{one.name.mail_nickname} has other {collection}")
        return [*differences, *(f"{nickname} is there and should not be" for nickname in found)]

    def check(self, wanted: Iterable[DesiredClass]) -> None:
        """Raises RuntimeError where other classes are there than wanted, or with other people."""
        if wrong := self.differences(wanted):
            raise RuntimeError(f"{len(wrong)} classes are not as wanted: {'; '.join(wrong[:3])}")

    def credential(self) -> HeldToken:
        """A token of the managed identity, fetched now."""
        answer = self._http.get("/msi/token", headers={"X-IDENTITY-HEADER": IDENTITY_HEADER}, params={"resource": ""})
        return HeldToken(answer.raise_for_status().json()["access_token"])

    def simulation(self, method: str, what: str, body: object = None) -> Any:
        """What the simulation is told or asked beside Graph, by its path under /_sim."""
        return self._http.request(method, f"/_sim/{what}", json=body).raise_for_status().json()


class HeldToken:
    """Implements AsyncTokenCredential: one token for all scopes, for as long as a benchmark takes."""

    def __init__(self, token: str) -> None:
        self._token = AccessToken(token, int(time.time()) + _TOKEN_LIFE)

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AccessToken:
        return self._token

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass
