"""A trust of small schools in one local world, run as its admins would: settings and actions over the admin API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from local.nightly import count, drain, fire_timer
from local.school.data import SchoolData, SchoolGroup, SchoolPerson, Staffing
from local.school.oneroster_csv import write
from local.tenant.__main__ import TENANT_ID
from local.world import USERS, Addresses, World

DOMAIN = "school.onmicrosoft.com"
STAFF_ROOM = "b0000000-0000-4000-8000-000000000001"
"""The Entra group of a school's staff, to which its access is granted."""

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
    """Pupils whose ids, user names and accounts are these words."""
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
    """The schools by id, each of which may be changed between nights; the tenant is one."""

    world: World
    schools: dict[str, SchoolData] = field(default_factory=dict)

    @property
    def addresses(self) -> Addresses:
        assert self.world.addresses
        return self.world.addresses

    def begin(self) -> None:
        """Tell the host of the more users, who have accounts as the others do."""
        (self.world.folder / "users.json").write_text(json.dumps(USERS | _MORE_USERS), encoding="utf-8")
        self.accounts(("head.user", "colleague.user"), [user["id"] for user in _MORE_USERS.values()])

    # --- the schools

    def join(self, school: SchoolData, **settings: Any) -> None:
        """Its people get accounts, its feed a place, and its settings are saved over the API."""
        self.accounts(person.username for person in (*school.pupils, *school.staff))
        self.schools[school.id] = school
        self.save(school.id, **settings)

    def save(self, school: str, user: str = "admin", expected: int = 200, **settings: Any) -> httpx.Response:
        feed = str(self.world.folder / f"feed {school}")
        write(self.schools[school], self.world.folder / f"feed {school}")
        body = {"tenant": TENANT_ID, "source": {"kind": "folder", "path": feed}} | settings
        return self.call("PUT", f"schools/{school}", user, expected, body)

    def accounts(self, names: Iterable[str], ids: Iterable[object] = ()) -> None:
        listed = [{"userPrincipalName": upn(name), "displayName": name} for name in names]
        for entry, id_ in zip(listed, ids, strict=False):
            entry["id"] = str(id_)
        httpx.post(f"{self.addresses.tenant}/_sim/users", json=listed).raise_for_status()

    def account(self, name: str, **properties: object) -> None:
        """Change what an account says."""
        httpx.patch(f"{self.addresses.tenant}/_sim/users/{upn(name)}", json=properties).raise_for_status()

    # --- what happens

    def night(self, spoil: Callable[[], None] = lambda: None) -> None:
        """`spoil` may do something to the feeds that were written."""
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
    ) -> httpx.Response:
        answer = httpx.request(
            method,
            f"{self.addresses.host}/api/admin/{path}",
            headers={"Authorization": f"Bearer {user}"},
            json=body,
            timeout=60,
        )
        assert answer.status_code == expected, answer.text
        return answer

    def act(self, method: str, path: str, user: str = "admin", body: Mapping[str, object] | None = None) -> Any:
        """An action that is taken, and its run when all of it is done."""
        before = count(self.addresses)
        run = self.call(method, path, user, 202, body).json()["run"]
        drain(self.addresses, before)
        school = path.split("/")[1]
        return self.call("GET", f"schools/{school}/runs/{run}").json()

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        """What nobody sends by itself: a message that comes again, or late, or cannot be read."""
        with (
            ServiceBusClient.from_connection_string(self.addresses.service_bus) as client,
            client.get_queue_sender(queue) as sender,
        ):
            for message in messages:
                sender.send_messages(message)

    def by_hand(self, action: str, nickname: str, **what: object) -> None:
        edit = {"action": action, "class": nickname, **what}
        httpx.post(f"{self.addresses.tenant}/_sim/edit", json=edit).raise_for_status()

    # --- what there is

    def classes(self, tenant: str = TENANT_ID) -> list[dict[str, Any]]:
        """All classes of a tenant, the deleted ones too."""
        return list(httpx.get(f"{self.addresses.tenant}/_sim/classes", params={"tenant": tenant}).json())

    def made(self, nickname: str) -> dict[str, Any]:
        """The class in the tenant, its people as words."""
        (found,) = [one for one in self.classes() if one["mailNickname"] == nickname]
        for role in ("owners", "members"):
            found[role] = " ".join(sorted(person.partition("@")[0] for person in found[role]))
        return dict(found)

    def nicknames(self) -> list[str]:
        """Of the classes that are there."""
        return sorted(one["mailNickname"] for one in self.classes() if not one["deleted"])

    def last_run(self, school: str) -> dict[str, Any]:
        return dict(self.call("GET", f"schools/{school}/runs").json()[-1])

    def stands(self, school: str, key: str) -> dict[str, Any]:
        """The class's status."""
        return dict(self.call("GET", f"schools/{school}/classes/{key}").json())

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """What the host has told, of one name or all, oldest first."""
        lines = (self.world.folder / "host.jsonl").read_text(encoding="utf-8").splitlines()
        found = [line["event"] for line in map(json.loads, lines) if "event" in line]
        return [event for event in found if name in ("", event["name"])]

    def writes(self) -> int:
        return int(httpx.get(f"{self.addresses.tenant}/_sim/stats").json()["writes"])


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
def trust_in(folder: Path, deliveries: int = 10) -> Iterator[Trust]:
    """A trust in a world of its own, which ends with it."""
    world = World(folder, deliveries)
    world.start()
    try:
        yield Trust(world)
    finally:
        world.stop()
