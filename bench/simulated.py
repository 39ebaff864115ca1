"""A simulated tenant for one measurement: a separate process with Graph's limits, users, and counts of the cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from azure.core.credentials import AccessToken

from local.processes import Spawn, spawn_interpreter
from local.tenant.names import IDENTITY_HEADER, TENANT_ID
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.ids import AccountId, ClassId

_TOKEN_SECONDS = 86_400
_AT_ONCE = 500
_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Graph's counts; `refused` are its answers 429, which `requests` includes."""

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
    """An empty tenant whose time runs at `rate`; `latency` is the time of each answer, in seconds of the tenant.

    `answers` are those of its options (--tenant-answers), each NAME=VALUE. `spawn` starts its process.
    """

    id = TENANT_ID

    def __init__(
        self,
        rate: float = 1.0,
        latency: float = 0.0,
        size: str = "L",
        answers: Sequence[str] = (),
        spawn: Spawn = spawn_interpreter,
    ) -> None:
        self._rate, self._latency, self._size, self._spawn = rate, latency, size, spawn
        self._options = [option for answer in answers for option in ("--tenant-answers", answer)]
        self._exits = ExitStack()
        self.upns: dict[str, str] = {}

    def __enter__(self) -> Self:
        folder = self._exits.enter_context(tempfile.TemporaryDirectory(prefix="bench-tenant-"))
        child = self._spawn("local.tenant", ("--port", "0", *self._options), Path(folder) / "tenant.log", {})
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
        """Set switches of the simulation by name; `latency_seconds` are real seconds."""
        self.simulation("POST", "switches", switches)

    def add_users(self, upns: Sequence[str]) -> dict[str, AccountId]:
        """Create users and return their ids by UPN; `self.upns` are the UPNs of all users by id."""
        ids: list[AccountId] = []
        for at in range(0, len(upns), _AT_ONCE):
            ids += self.simulation("POST", "users", [{"userPrincipalName": upn} for upn in upns[at : at + _AT_ONCE]])
        self.upns |= dict(zip(ids, upns, strict=True))
        return dict(zip(upns, ids, strict=True))

    def seed(self, school: str, classes: Sequence[DesiredClass]) -> list[ClassId]:
        """Create classes with their people without counting the cost. Returns their ids."""
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
        ids: list[ClassId] = []
        for at in range(0, len(entries), _AT_ONCE):
            ids += self.simulation("POST", "classes", entries[at : at + _AT_ONCE])
        return ids

    def spent(self) -> Spent:
        """The cost since the tenant was created."""
        stats = self.simulation("GET", "stats")
        return Spent(stats["requests"], stats["writes"], stats["resource_units"], stats["throttled"])

    def differences(self, wanted: Iterable[DesiredClass]) -> list[str]:
        """A sentence for each difference from the wanted classes; empty if the tenant has exactly those."""
        existing = {class_["mailNickname"]: class_ for class_ in self.simulation("GET", "classes")}
        differences = []
        for one in wanted:
            class_ = existing.pop(one.name.mail_nickname, None)
            if class_ is None:
                differences.append(f"{one.name.mail_nickname} is missing")
                continue
            for collection, people in (("owners", one.owners), ("members", one.members)):
                if set(class_[collection]) != {self.upns[person] for person in people}:
                    differences.append(f"{one.name.mail_nickname} has other {collection}")
        return [*differences, *(f"{nickname} should not be there" for nickname in existing)]

    def check(self, wanted: Iterable[DesiredClass]) -> None:
        """Raises RuntimeError if the tenant has other classes than wanted, or other people in them."""
        if differences := self.differences(wanted):
            raise RuntimeError(f"{len(differences)} differences from the wanted classes: {'; '.join(differences[:3])}")

    def credential(self) -> FixedToken:
        """A token of the managed identity, fetched now."""
        answer = self._http.get("/msi/token", headers={"X-IDENTITY-HEADER": IDENTITY_HEADER}, params={"resource": ""})
        return FixedToken(answer.raise_for_status().json()["access_token"])

    def simulation(self, method: str, path: str, body: object = None) -> Any:
        """Call a control of the simulation by its path under /_sim. Returns the JSON of the answer."""
        return self._http.request(method, f"/_sim/{path}", json=body).raise_for_status().json()


class FixedToken:
    """Implements AsyncTokenCredential: one token for all scopes, valid for longer than a benchmark."""

    def __init__(self, token: str) -> None:
        self._token = AccessToken(token, int(time.time()) + _TOKEN_SECONDS)

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
