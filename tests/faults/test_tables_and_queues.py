"""Tables and queues fail: etag conflicts, outages of the store and the broker, lost locks, old messages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count as numbers
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusMessage

from local.nightly import count, count_messages, drain
from local.tenant.names import TENANT_ID
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import (
    CLASS_CHANGES,
    SYNC_REQUESTS,
    Change,
    ChangeMembers,
    CreateClass,
    GrantOwners,
    RefreshTenant,
    Request,
    RevokeOwners,
    SyncSchool,
    encode,
)
from sync_core.state.store import TableState
from tests.builders import mis_ids
from tests.faults.conftest import KNOWN_FAULTS, SCHOOL, FaultyWorld, fail_first_attempt
from tests.faults.gates import Call, Fault, Rule
from tests.flow.trust import teaching, upn
from tests.waiting import wait_until

AN_OLD_RUN = RunId("an-old-run")

pytestmark = pytest.mark.usefixtures("record_faults")

# --- the tables


@pytest.mark.parametrize("fault", ["unavailable", "reset", "lost"])
def test_a_night_survives_each_table_write_failing_once(faulty_world: FaultyWorld, fault: str) -> None:
    faulty_world.new_class()
    faulty_world.run_night(
        fail_first_attempt(
            KNOWN_FAULTS[fault].for_server("tables"), lambda call: call.server == "tables" and call.method != "GET"
        )
    )
    assert faulty_world.settle_and_find_errors() == []


def test_a_night_survives_a_table_outage_of_some_seconds(faulty_world: FaultyWorld) -> None:
    """The client does not retry this kind of outage: a message must not use up its deliveries at once."""
    faulty_world.new_class()
    attempts: list[float] = []

    def rule(call: Call) -> Fault | None:
        if not _reads_a_row(call):
            return None
        attempts.append(time.monotonic())
        if attempts[-1] - attempts[0] > 5:
            return None
        return Fault("tables: refused for five seconds", reaches_server=False, status=409)

    faulty_world.run_night(rule)
    assert len(attempts) > 2
    assert faulty_world.settle_and_find_errors() == []


@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_a_night_survives_repeated_etag_conflicts(faulty_world: FaultyWorld, times: int) -> None:
    """Another writer changes the row just before the write, `times` times in one night."""
    group = faulty_world.new_class()
    conflicts = iter(range(times))

    def write_first() -> None:
        asyncio.run(_mark_stale(faulty_world, f"2026.teaching.{group.id}"))

    def rule(call: Call) -> Fault | None:
        conditional = call.server == "tables" and b"If-Match: W/" in call.body
        return (
            Fault("tables: conflict of etags", before=write_first)
            if conditional and next(conflicts, None) is not None
            else None
        )

    faulty_world.run_night(rule)
    assert next(conflicts, None) is None
    assert faulty_world.settle_and_find_errors() == []


def test_a_night_survives_a_restart_of_the_tables(faulty_world: FaultyWorld) -> None:
    faulty_world.new_class()
    faulty_world.change(teaching("T0", "Art", "p1 p2 p3 p4", "main"))
    faulty_world.run_night(
        fail_first_write_to_graph(Fault("Azurite restarted", before=faulty_world.world.restart_azurite))
    )
    assert faulty_world.settle_and_find_errors() == []


# --- the queues


def test_a_night_survives_an_outage_of_the_queues(faulty_world: FaultyWorld) -> None:
    faulty_world.new_class()
    faulty_world.change(teaching("T0", "Art", "p2 p3 p4 p5", "main"))

    is_cut = threading.Event()

    def cut() -> None:
        faulty_world.gates.cut_bus()
        faulty_world.lose_locks()
        is_cut.set()

    faulty_world.gates.set_rule(fail_first_write_to_graph(Fault("bus: every connection cut", before=cut)))
    before = faulty_world.start_night()
    assert is_cut.wait(30)
    faulty_world.gates.restore_bus()
    drain(faulty_world.trust.addresses, before)
    assert faulty_world.settle_and_find_errors() == []


def test_the_next_night_plans_lost_messages_again(faulty_world: FaultyWorld) -> None:
    faulty_world.new_class()
    faulty_world.change(teaching("T0", "Art", "p3 p4 p5 p6", "main"))
    bus_is_back = threading.Event()

    def lose() -> None:
        faulty_world.world.restart_bus()
        bus_is_back.set()

    lost_bus = Fault("bus: everything that was queued lost", reaches_server=False, status=503, before=lose)
    faulty_world.gates.set_rule(fail_first_write_to_graph(lost_bus))
    faulty_world.start_night()
    assert bus_is_back.wait(30)
    faulty_world.run_night()
    assert faulty_world.settle_and_find_errors() == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_lock_lost_in_the_middle_of_a_change_does_no_harm(faulty_world: FaultyWorld, method: str) -> None:
    """The change is delivered again while its first delivery is still writing to Graph, and both continue."""
    faulty_world.new_class()
    (art,) = (group for group in faulty_world.school.groups if group.id == "T0")
    other = "second" if art.staff[0].teacher == "main" else "main"
    faulty_world.change(teaching("T0", "Art", "p3 p4 p5 p6", other))
    faulty_world.trust.edit_by_hand("add-member", "7.class.1234567.2026", upn=upn("main"))

    written_after_all = threading.Event()

    def lose() -> None:
        calls = faulty_world.gates.calls  # the second delivery may end the night, after which another list is kept
        seen = len(calls)
        faulty_world.lose_locks()
        wait_until(lambda: any(_reads_a_row(call) for call in calls[seen:]))
        written_after_all.set()

    faulty_world.run_night(fail_first_write_to_graph(Fault("lock lost in the middle of a change", before=lose), method))
    assert written_after_all.wait(30)
    assert faulty_world.settle_and_find_errors() == []


def test_duplicate_late_and_reordered_messages_change_nothing(faulty_world: FaultyWorld) -> None:
    faulty_world.new_class()
    faulty_world.run_night()
    faulty_world.change(teaching("T0", "Art", "p4 p5 p6 p7", "second"))
    faulty_world.run_night()
    writes = faulty_world.trust.count_writes()
    keys = [class_["key"] for class_ in faulty_world.trust.call("GET", f"schools/{SCHOOL}/classes").json()]
    targets = [(SchoolId(SCHOOL), key, AN_OLD_RUN, Cause.NIGHTLY) for key in keys]
    changes: list[Change] = [
        change
        for target in targets
        for change in (
            ChangeMembers(*target),
            RevokeOwners(*target),
            GrantOwners(*target),
            CreateClass(*target),
        )
    ]
    requests: list[Request] = [
        SyncSchool(SchoolId(SCHOOL), AN_OLD_RUN, Cause.NIGHTLY),
        RefreshTenant(TENANT_ID, AN_OLD_RUN, Cause.NIGHTLY),
        SyncSchool(SchoolId(SCHOOL), AN_OLD_RUN, Cause.NIGHTLY, mis_ids("T0")),
    ]
    before = count(faulty_world.trust.addresses)
    late = datetime.now(UTC) + timedelta(hours=12)
    faulty_world.trust.send(SYNC_REQUESTS, *_encode_all(requests + requests))
    faulty_world.trust.send(CLASS_CHANGES, *_encode_all(changes + changes))
    faulty_world.trust.send(CLASS_CHANGES, *_encode_all(changes, late))
    wait_until(lambda: _idle(faulty_world))
    faulty_world.advance_queues(timedelta(days=2).total_seconds())
    drain(faulty_world.trust.addresses, before)
    assert faulty_world.trust.count_writes() == writes
    assert faulty_world.settle_and_find_errors() == []
    faulty_world.gates.fault_counts["messages sent twice"] += len(changes) + len(requests)
    faulty_world.gates.fault_counts["messages delayed"] += len(changes)


# --- the clocks


def test_clocks_of_graph_and_the_queues_may_run_ahead(faulty_world: FaultyWorld) -> None:
    faulty_world.change(teaching("T0", "Art", "p0 p1 p2 p3", "main"))
    faulty_world.run_night()
    for minutes in (1, 5, 30):
        faulty_world.trust.advance_tenant(minutes * 60)
        faulty_world.advance_queues(minutes * 3600)
        faulty_world.new_class()
        faulty_world.trust.edit_by_hand("remove-member", "Art.class.1234567.2026", upn=upn("p0"))
        faulty_world.run_night()
        assert faulty_world.settle_and_find_errors() == []
        faulty_world.gates.fault_counts["clock skew"] += 2


# --- helpers


def fail_first_write_to_graph(fault: Fault, method: str = "") -> Rule:
    matches = numbers()

    def rule(call: Call) -> Fault | None:
        is_chosen = call.server == "graph" and call.method != "GET" and call.method in (method or call.method)
        return fault if is_chosen and next(matches) == 0 else None

    return rule


def _reads_a_row(call: Call) -> bool:
    return call.server == "tables" and call.method == "GET" and "/classes(PartitionKey=" in call.path


def _idle(faulty_world: FaultyWorld) -> bool:
    queues = count_messages(faulty_world.trust.addresses).values()
    return not any(queue["active"] + queue["locked"] for queue in queues)


async def _mark_stale(faulty_world: FaultyWorld, key: str) -> None:
    state = TableState.from_connection_string(faulty_world.trust.addresses.tables)
    try:
        await state.write_drift(SchoolId(SCHOOL), [Drift(ClassKey(key), stale=True)])
    finally:
        await state.close()


def _encode_all(messages: Iterable[Change | Request], at: datetime | None = None) -> Iterator[ServiceBusMessage]:
    for message in messages:
        raw = ServiceBusMessage(encode(message), session_id=message.session, message_id=uuid4().hex)
        raw.scheduled_enqueue_time_utc = at
        yield raw
