"""A trust of small schools in one local world, managed as its admins manage it: over the admin API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from local import loopback
from local.nightly import count, drain, fire_timer
from local.processes import Spawn
from local.school.data import SchoolData, SchoolGroup, SchoolPerson, Staffing
from local.school.oneroster_csv import write
from local.tenant.names import DOMAIN, TENANT_ID
from local.tenant.options import TenantOptions
from local.world import USERS, Addresses, World
from tests.forked import Forked

STAFF_ROOM = "b0000000-0000-4000-8000-000000000001"
"""The Entra group of a school's staff, which the school's `access` setting names."""

_MORE_USERS = {
    "head": {"id": "a0000000-0000-4000-8000-000000000011", "tenant": TENANT_ID, "roles": ["GroupSync.Admin"]},
    "colleague": {
        "id": "a0000000-0000-4000-8000-000000000012",
        "tenant": TENANT_ID,
        "roles": ["GroupSync.Teacher"],
        "groups": [STAFF_ROOM],
    },
}
HEAD: str = str(_MORE_USERS["head"]["id"])


def upn(person: str) -> str:
    return f"{person}@{DOMAIN}"


def pupils(names: str, year: str = "7") -> tuple[SchoolPerson, ...]:
    """Pupils whose ids, user names and accounts are these names."""
    return tuple(SchoolPerson(name, name.title(), "Pupil", name, "", year) for name in names.split())


def staff(names: str) -> tuple[SchoolPerson, ...]:
    return tuple(SchoolPerson(name, name.title(), "Teacher", name, "") for name in names.split())


def teaching(id_: str, title: str, people: str, teachers: str) -> SchoolGroup:
    """The first of `teachers` is the main one."""
    staffing = tuple(Staffing(name, place == 0) for place, name in enumerate(teachers.split()))
    return SchoolGroup(id_, title, False, staffing, tuple(people.split()))


def registration(id_: str, title: str, people: str, tutor: str) -> SchoolGroup:
    return SchoolGroup(id_, title, True, (Staffing(tutor, True),), tuple(people.split()))


@dataclass(slots=True)
class Trust:
    """Schools by id, all in one tenant. A test may change each of them between nights."""

    world: World
    schools: dict[str, SchoolData] = field(default_factory=dict)

    @property
    def addresses(self) -> Addresses:
        assert self.world.addresses
        return self.world.addresses

    def add_more_users(self) -> None:
        """Add the head and the colleague to the host's users, and give them accounts in the tenant."""
        (self.world.folder / "users.json").write_text(json.dumps(USERS | _MORE_USERS), encoding="utf-8")
        self.add_accounts(("head.user", "colleague.user"), [user["id"] for user in _MORE_USERS.values()])

    # --- the schools

    def consent(self, tenant: str, *without: str) -> None:
        """An admin of the tenant consents to all permissions except those `without`."""
        loopback.post(f"{self.addresses.tenant}/_sim/consent", json={"tenant": tenant}).raise_for_status()
        granted = sorted(TenantOptions(without).granted)
        address = f"{self.addresses.tenant}/_sim/permissions"
        loopback.post(address, params={"tenant": tenant}, json={"granted": granted}).raise_for_status()

    def add_school(self, school: SchoolData, **settings: Any) -> None:
        """Create accounts for the school's people, write its feed, and save its settings over the API."""
        self.add_accounts(person.username for person in (*school.pupils, *school.staff))
        self.schools[school.id] = school
        self.save_settings(school.id, **settings)

    def save_settings(self, school: str, user: str = "admin", expected: int = 200, **settings: Any) -> httpx.Response:
        feed = str(self.world.folder / f"feed {school}")
        write(self.schools[school], self.world.folder / f"feed {school}")
        source = {"kind": "folder", "path": feed}
        body = {"tenant": TENANT_ID, "source": source, "account_domain": DOMAIN} | settings
        return self.call("PUT", f"schools/{school}", user, expected, body)

    def add_accounts(self, names: Iterable[str], ids: Iterable[object] = ()) -> None:
        listed = [{"userPrincipalName": upn(name), "displayName": name} for name in names]
        for entry, id_ in zip(listed, ids, strict=False):
            entry["id"] = str(id_)
        loopback.post(f"{self.addresses.tenant}/_sim/users", json=listed).raise_for_status()

    def update_account(self, name: str, **properties: object) -> None:
        loopback.request("PATCH", f"{self.addresses.tenant}/_sim/users/{upn(name)}", json=properties).raise_for_status()

    def delete_account(self, name: str) -> None:
        loopback.request("DELETE", f"{self.addresses.tenant}/_sim/users/{upn(name)}").raise_for_status()

    # --- nights, actions and edits

    def run_night(self, spoil: Callable[[], None] = lambda: None) -> None:
        """Write every feed, run the nightly sync and wait for its end. `spoil` may change the feeds before the sync."""
        for id_, school in self.schools.items():
            write(school, self.world.folder / f"feed {id_}")
        spoil()
        before = count(self.addresses)
        fire_timer(self.addresses)
        drain(self.addresses, before)

    def call(
        self,
        method: str,
        path: str,
        user: str = "admin",
        expected: int = 200,
        body: Mapping[str, object] | None = None,
        accept: str = "application/json",
    ) -> httpx.Response:
        response = loopback.request(
            method,
            f"{self.addresses.host}/api/admin/{path}",
            headers={"Authorization": f"Bearer {user}", "Accept": accept},
            json=body,
            timeout=60,
        )
        assert response.status_code == expected, response.text
        return response

    def run_action(self, method: str, path: str, user: str = "admin", body: Mapping[str, object] | None = None) -> Any:
        """Request an action (202), wait until the queues are empty, and return its run."""
        before = count(self.addresses)
        run = self.call(method, path, user, 202, body).json()["run"]
        drain(self.addresses, before)
        school = path.split("/")[1]
        return self.call("GET", f"schools/{school}/runs/{run}").json()

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        """Send messages that the product would not: duplicates, late ones, unreadable ones."""
        with (
            ServiceBusClient.from_connection_string(self.addresses.service_bus) as client,
            client.get_queue_sender(queue) as sender,
        ):
            for message in messages:
                sender.send_messages(message)

    def edit_by_hand(self, action: str, nickname: str, **details: object) -> None:
        edit = {"action": action, "class": nickname, **details}
        loopback.post(f"{self.addresses.tenant}/_sim/edit", json=edit).raise_for_status()

    def act_in_teams(self, action: str, nickname: str, **details: object) -> None:
        """What somebody does in the Teams client with the team of a class."""
        body = {"action": action, "class": nickname, **details}
        loopback.post(f"{self.addresses.tenant}/_sim/teams", json=body).raise_for_status()

    def advance_tenant(self, seconds: float) -> None:
        """Move the clock of the simulated tenant on."""
        loopback.post(f"{self.addresses.tenant}/_sim/clock", json={"advance_seconds": seconds}).raise_for_status()

    def set_switches(self, answers: Mapping[str, str] = MappingProxyType({}), **numbers: float) -> None:
        """Change the answers and the lags of the simulated tenant."""
        loopback.post(f"{self.addresses.tenant}/_sim/switches", json={**answers, **numbers}).raise_for_status()

    # --- reading the result

    def read_team(self, nickname: str) -> dict[str, Any]:
        """The team of a class, its people as in `read_class`. Raises ValueError if there is none."""
        teams = loopback.get(f"{self.addresses.tenant}/_sim/teams").json()
        (team,) = [team for team in teams if team["mailNickname"] == nickname]
        for role in ("owners", "members", "waiting"):
            if role in team:
                team[role] = " ".join(sorted(person.partition("@")[0] for person in team[role]))
        return dict(team)

    def list_classes(self, tenant: str = TENANT_ID) -> list[dict[str, Any]]:
        """All classes of a tenant, including deleted ones."""
        return list(loopback.get(f"{self.addresses.tenant}/_sim/classes", params={"tenant": tenant}).json())

    def read_class(self, nickname: str) -> dict[str, Any]:
        """The class in the tenant. Its owners and members are user names, sorted and joined by spaces."""
        (class_,) = [class_ for class_ in self.list_classes() if class_["mailNickname"] == nickname]
        for role in ("owners", "members"):
            class_[role] = " ".join(sorted(person.partition("@")[0] for person in class_[role]))
        return dict(class_)

    def list_nicknames(self) -> list[str]:
        """The sorted mail nicknames of the classes that are not deleted."""
        return sorted(class_["mailNickname"] for class_ in self.list_classes() if not class_["deleted"])

    def read_last_run(self, school: str) -> dict[str, Any]:
        return dict(self.call("GET", f"schools/{school}/runs").json()[-1])

    def read_status(self, school: str, key: str) -> dict[str, Any]:
        return dict(self.call("GET", f"schools/{school}/classes/{key}").json())

    def read_events(self, name: str = "") -> list[dict[str, Any]]:
        """The host's telemetry events with this name, or all, oldest first."""
        lines = (self.world.folder / "host.jsonl").read_text(encoding="utf-8").splitlines()
        events = [line["event"] for line in map(json.loads, lines) if "event" in line]
        return [event for event in events if name in ("", event["name"])]

    def count_writes(self) -> int:
        return int(loopback.get(f"{self.addresses.tenant}/_sim/stats").json()["writes"])


def keys_of(hold: Mapping[str, Any]) -> list[str]:
    """The keys of the classes of a hold, as the API returns it."""
    return [part["key"] for part in hold["classes"]]


def conflict(what: str, remedy: str) -> dict[str, object]:
    """The whole body of a 409 (RFC 9457)."""
    return {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": f"{what} — {remedy}",
        "what": what,
        "remedy": remedy,
    }


@contextmanager
def start_trust(
    folder: Path,
    storage: str = "",
    deliveries: int = 10,
    spawn: Spawn = Forked,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Trust]:
    """Start a world, and stop it at the end. The arguments are the world's."""
    world = World(folder, deliveries, spawn, storage, settings)
    world.start()
    try:
        yield Trust(world)
    finally:
        world.stop()
