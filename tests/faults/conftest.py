"""A local world whose host reaches its servers through gates, with a small school."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from local import loopback
from local.expectation import ByHand, differences, expected_classes
from local.nightly import Counts, count, count_messages, drain, fire_timer
from local.school.data import SchoolData, SchoolGroup
from local.school.oneroster_csv import write
from local.servicebus import connection_string
from local.tenant.names import DOMAIN
from local.world import World
from sync_core.messaging.messages import CLASS_CHANGES, SYNC_REQUESTS
from tests.faults.gates import Call, Fault, Gates, Rule, no_rule
from tests.flow.trust import Trust, pupils, staff, teaching, upn
from tests.forked import Forked

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
KNOWN_FAULTS = {
    "throttled": Fault("429 with Retry-After", reaches_server=False, status=429, headers={"Retry-After": "1"}),
    "throttled silently": Fault("429 without Retry-After", reaches_server=False, status=429),
    "broken": Fault("500", reaches_server=False, status=500),
    "unavailable": Fault("503", reaches_server=False, status=503),
    "reset": Fault("connection reset before the work", reaches_server=False, status=0),
    "lost": Fault("connection reset after the work", status=0),
    "timed out": Fault("504 after the work", status=504),
}
"""What a server or the connection to it may do instead of responding correctly, by name."""
_LOCK_SECONDS = 61
_POLL = 0.3
"""Seconds between looks at the queues, to see whether a night has ended without a kill. A kill shows at once."""


@dataclass(slots=True)
class FaultyWorld:
    """A world, its gates, and a school as its MIS has it. `by_hand` holds the hand edits that must survive a sync."""

    world: World
    gates: Gates
    trust: Trust
    by_hand: ByHand = field(default_factory=ByHand)
    classes_added: int = 0

    # --- the school

    @property
    def school(self) -> SchoolData:
        return self.trust.schools[SCHOOL]

    def change(self, *groups: SchoolGroup) -> None:
        """Add these groups, replacing groups with the same ids."""
        merged = {group.id: group for group in self.school.groups} | {group.id: group for group in groups}
        self.trust.schools[SCHOOL] = replace(self.school, groups=tuple(merged.values()))

    def new_class(self, people: str = "p4 p5", teacher: str = "second") -> SchoolGroup:
        self.classes_added += 1
        group = teaching(f"N{self.classes_added}", f"New {self.classes_added}", people, teacher)
        self.change(group)
        return group

    # --- nights

    def start_night(self) -> Counts:
        """Write the feed and pull the timer."""
        write(self.school, self.world.folder / f"feed {SCHOOL}")
        before = count(self.trust.addresses)
        fire_timer(self.trust.addresses)
        return before

    def run_night(self, rule: Rule = no_rule) -> None:
        self.gates.set_rule(rule)
        drain(self.trust.addresses, self.start_night())
        self.gates.set_rule(no_rule)

    def run_night_with_kill(self, rule_with: Callable[[Callable[[], None]], Rule]) -> bool:
        """Run a night whose rule may kill the host. True if it did: the host was restarted and ended the night."""
        killed = threading.Event()

        def kill() -> None:
            assert self.world.host
            self.world.host.kill()
            killed.set()

        self.gates.set_rule(rule_with(kill))
        before = self.start_night()
        while not killed.wait(_POLL) and not self._is_over(before):
            pass
        self.gates.set_rule(no_rule)
        if killed.is_set():
            self._restart_host(before)
        return killed.is_set()

    def _is_over(self, before: Counts) -> bool:
        return replace(before, queues=count_messages(self.trust.addresses)).drained_since(before)

    def _restart_host(self, before: Counts) -> None:
        """Restart the killed host after its locks have expired, and wait for the end of its night.

        A night that was killed before it had sent a request is started again.
        """
        # A connection of the killed host that is still open would take the session again, and lock it for a minute.
        self.gates.cut_bus()
        self.lose_locks()
        self.gates.restore_bus()
        self.world.start_host()
        if count_messages(self.trust.addresses)[SYNC_REQUESTS]["sent"] == before.queues[SYNC_REQUESTS]["sent"]:
            fire_timer(self.trust.addresses)
        drain(self.trust.addresses, before)

    def advance_queues(self, seconds: float) -> None:
        clock = f"{self.trust.addresses.bus_status}/clock"
        loopback.post(clock, json={"advance_seconds": seconds}).raise_for_status()

    def lose_locks(self) -> None:
        self.advance_queues(_LOCK_SECONDS)

    # --- the result

    def find_errors(self) -> list[str]:
        """Wrong people and names, duplicate classes, forbidden deletions and dead-lettered messages."""
        addresses = self.trust.addresses
        classes = self.trust.list_classes()
        expected = expected_classes(self.world.folder / f"feed {SCHOOL}", [ADMIN], DOMAIN)
        errors = differences(expected, classes, self.by_hand)
        ids = [class_["externalId"] for class_ in classes]
        errors += [f"{id_} was created twice" for id_ in set(ids) if ids.count(id_) > 1]
        if forbidden := loopback.get(f"{addresses.tenant}/_sim/stats").json()["forbidden_deletes"]:
            errors.append(f"{forbidden} forbidden deletes")
        queues = count_messages(addresses)
        errors += [f"{name}: dead letters" for name in (SYNC_REQUESTS, CLASS_CHANGES) if queues[name]["dead_lettered"]]
        return errors

    def settle_and_find_errors(self) -> list[str]:
        """The errors, including writes that a night without any change repeats."""
        errors, writes = self.find_errors(), self.trust.count_writes()
        if not errors:
            self.run_night()
            repeated = self.trust.count_writes() - writes
            errors = [*self.find_errors(), *([f"{repeated} repeated writes"] if repeated else [])]
        return errors


@pytest.fixture(scope="module")
def faulty_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyWorld]:
    with start_faulty_world(tmp_path_factory.mktemp("world")) as faulty_world:
        yield faulty_world


@contextmanager
def start_faulty_world(folder: Path) -> Iterator[FaultyWorld]:
    world = World(folder, spawn=Forked)
    addresses = world.start()
    with Gates() as gates:
        azurite = re.search(r"TableEndpoint=(http://[^/]+)", addresses.tables)
        assert azurite
        graph, tables = gates.open_http("graph", addresses.tenant), gates.open_http("tables", azurite[1])
        bus = gates.open_bus(addresses.service_bus_port)
        assert world.host
        world.host.stop()
        world.start_host(
            GRAPH_SIMULATOR=f"{graph}/v1.0",
            STATE_TABLES_CONNECTION=addresses.tables.replace(azurite[1], tables),
            ServiceBusConnection=connection_string(bus),
        )
        faulty_world = FaultyWorld(world, gates, Trust(world))
        faulty_world.trust.add_school(OAK, admin_owners=[ADMIN], limits=LIMITS, departed_owners="revoke")
        faulty_world.run_night()
        assert faulty_world.find_errors() == []
        try:
            yield faulty_world
        finally:
            world.stop()


@pytest.fixture
def record_faults(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Record the faults that this test injected, for the summary at the end of the suite."""
    faulty_world: FaultyWorld = request.getfixturevalue("faulty_world")
    before = faulty_world.gates.fault_counts.copy()
    yield
    for kind, times in (faulty_world.gates.fault_counts - before).items():
        record_property(f"fault: {kind}", times)


def fail_first_attempt(fault: Fault, is_chosen: Callable[[Call], Any]) -> Rule:
    """Every chosen request fails the first time, and passes when it is retried."""
    seen: set[tuple[str, str, bytes]] = set()

    def rule(call: Call) -> Fault | None:
        if not is_chosen(call) or call.identity in seen:
            return None
        seen.add(call.identity)
        return fault

    return rule
