"""A local world whose host goes through gates to everything else, and a small school to break it with."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.expectation import ByHand, differences, expected_classes
from local.nightly import Counts, count, drain, fire_timer
from local.school.data import SchoolData, SchoolGroup
from local.school.oneroster_csv import write
from local.servicebus import connection_string
from local.world import World
from sync_core.messaging.messages import CLASS_CHANGES, SYNC_REQUESTS
from tests.faults.gates import Call, Deed, Gates, Rule, no_rule
from tests.flow.trust import DOMAIN, Trust, pupils, staff, teaching, upn

SCHOOL = "OAK"
ADMIN = upn("boss")
PUPILS = " ".join(f"p{number}" for number in range(30))
OAK = SchoolData(
    SCHOOL,
    "Oak School",
    "1234567",
    2026,
    pupils(PUPILS),
    staff("main second boss"),
    (teaching("T0", "Art", "p0 p1 p2 p3", "main"),),
)
LIMITS = {"school_loss": 1, "week_loss": 1, "class_loss": 1, "turnover": 1, "new_classes": 1000}
ANSWERS = {
    "throttled": Deed("429 with Retry-After", work=False, status=429, headers={"Retry-After": "1"}),
    "throttled silently": Deed("429 without Retry-After", work=False, status=429),
    "broken": Deed("500", work=False, status=500),
    "unavailable": Deed("503", work=False, status=503),
    "reset": Deed("connection reset before the work", work=False, status=0),
    "lost": Deed("connection reset after the work", status=0),
    "timed out": Deed("504 after the work", status=504),
}
"""What a server or the wire to it may answer in place of the truth."""
_LOCK_SECONDS = 61


@dataclass(slots=True)
class Afflicted:
    """The world, its gates, and the school as its MIS has it. `by_hand` is what is to last."""

    world: World
    gates: Gates
    trust: Trust
    by_hand: ByHand = field(default_factory=ByHand)
    made: int = 0

    # --- the school

    @property
    def school(self) -> SchoolData:
        return self.trust.schools[SCHOOL]

    def change(self, *groups: SchoolGroup) -> None:
        """These groups come, or take the place of those with their ids."""
        kept = {group.id: group for group in self.school.groups} | {group.id: group for group in groups}
        self.trust.schools[SCHOOL] = replace(self.school, groups=tuple(kept.values()))

    def new_class(self, people: str = "p4 p5", teacher: str = "second") -> SchoolGroup:
        self.made += 1
        group = teaching(f"N{self.made}", f"New {self.made}", people, teacher)
        self.change(group)
        return group

    # --- nights

    def begin(self) -> Counts:
        """Write the feed and pull the timer."""
        write(self.school, self.world.folder / f"feed {SCHOOL}")
        before = count(self.trust.addresses)
        fire_timer(self.trust.addresses)
        return before

    def night(self, rule: Rule = no_rule) -> None:
        self.gates.set(rule)
        drain(self.trust.addresses, self.begin())
        self.gates.set(no_rule)

    def deadly_night(self, rule_with: Callable[[Callable[[], None]], Rule]) -> bool:
        """A night whose rule may kill the host, by what it is made with; True if it did, and the host came back."""
        dead = threading.Event()

        def kill() -> None:
            assert self.world.host
            self.world.host.kill()
            dead.set()

        self.gates.set(rule_with(kill))
        before = self.begin()
        while not dead.wait(0.02) and not count(self.trust.addresses).drained_since(before):
            pass
        self.gates.set(no_rule)
        if dead.is_set():
            self._revive(before)
        return dead.is_set()

    def _revive(self, before: Counts) -> None:
        """Start the host anew after its death, when its locks have expired, and wait for the end of its night.

        A night that ended before it had asked for anything is begun again.
        """
        self.lose_locks()
        self.world.start_host()
        if count(self.trust.addresses).queues[SYNC_REQUESTS]["sent"] == before.queues[SYNC_REQUESTS]["sent"]:
            fire_timer(self.trust.addresses)
        drain(self.trust.addresses, before)

    def advance_queues(self, seconds: float) -> None:
        clock = f"{self.trust.addresses.bus_status}/clock"
        httpx.post(clock, json={"advance_seconds": seconds}).raise_for_status()

    def lose_locks(self) -> None:
        self.advance_queues(_LOCK_SECONDS)

    # --- what has come of it

    def wrong(self) -> list[str]:
        """All that is not as it should be: people, names, classes made twice, deletions, messages given up."""
        addresses = self.trust.addresses
        classes = self.trust.classes()
        expected = expected_classes(self.world.folder / f"feed {SCHOOL}", [ADMIN], DOMAIN)
        found = differences(expected, classes, self.by_hand)
        ids = [one["externalId"] for one in classes]
        found += [f"{id_} was made twice" for id_ in set(ids) if ids.count(id_) > 1]
        if forbidden := httpx.get(f"{addresses.tenant}/_sim/stats").json()["forbidden_deletes"]:
            found.append(f"{forbidden} forbidden deletes")
        queues = count(addresses).queues
        found += [f"{name}: dead letters" for name in (SYNC_REQUESTS, CLASS_CHANGES) if queues[name]["dead_lettered"]]
        return found

    def settled(self) -> list[str]:
        """What is wrong, or is done again by a night in which nothing has changed."""
        wrong, writes = self.wrong(), self.trust.writes()
        if not wrong:
            self.night()
            again = self.trust.writes() - writes
            wrong = [*self.wrong(), *([f"{again} writes again"] if again else [])]
        return wrong


@pytest.fixture(scope="module")
def afflicted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Afflicted]:
    with afflicted_world(tmp_path_factory.mktemp("world")) as found:
        yield found


@contextmanager
def afflicted_world(folder: Path) -> Iterator[Afflicted]:
    world = World(folder)
    addresses = world.start()
    with Gates() as gates:
        azurite = re.search(r"TableEndpoint=(http://[^/]+)", addresses.tables)
        assert azurite
        graph, tables = gates.http("graph", addresses.tenant), gates.http("tables", azurite[1])
        bus = gates.bus(addresses.service_bus_port)
        assert world.host
        world.host.stop()
        world.start_host(
            GRAPH_BASE_URL=f"{graph}/v1.0",
            STATE_TABLES_CONNECTION=addresses.tables.replace(azurite[1], tables),
            ServiceBusConnection=connection_string(bus),
        )
        afflicted = Afflicted(world, gates, Trust(world))
        afflicted.trust.join(OAK, admin_owners=[ADMIN], limits=LIMITS, departed_owners="revoke")
        afflicted.night()
        assert afflicted.wrong() == []
        try:
            yield afflicted
        finally:
            world.stop()


@pytest.fixture
def tell(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """The faults of this test, for the summary."""
    afflicted: Afflicted = request.getfixturevalue("afflicted")
    before = afflicted.gates.done.copy()
    yield
    for kind, times in (afflicted.gates.done - before).items():
        record_property(f"fault: {kind}", times)


def once_each(deed: Deed, chosen: Callable[[Call], Any]) -> Rule:
    """Every chosen request meets the fault when it comes for the first time, and passes when it is repeated."""
    seen: set[tuple[str, str, bytes]] = set()

    def rule(call: Call) -> Deed | None:
        if not chosen(call) or call.same in seen:
            return None
        seen.add(call.same)
        return deed

    return rule
