"""The tables and the queues failing: rows changed under a write, stores and brokers away, locks lost, old messages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count as numbers
from uuid import uuid4

import httpx
import pytest
from azure.servicebus import ServiceBusMessage

from local.nightly import count, drain
from local.tenant.__main__ import TENANT_ID
from sync_core.domain.classes import Drift
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
from tests.faults.conftest import ANSWERS, SCHOOL, Afflicted, once_each
from tests.faults.gates import Call, Deed, Rule
from tests.flow.trust import teaching, upn

pytestmark = pytest.mark.usefixtures("tell")

# --- the tables


@pytest.mark.parametrize("fault", ["unavailable", "reset", "lost"])
def test_each_write_of_a_night_fails_once(afflicted: Afflicted, fault: str) -> None:
    afflicted.new_class()
    afflicted.night(
        once_each(ANSWERS[fault].of("tables"), lambda call: call.server == "tables" and call.method != "GET")
    )
    assert afflicted.settled() == []


def test_an_outage_of_some_seconds_is_outlasted(afflicted: Afflicted) -> None:
    """Of a kind that the client does not wait out: a message must not use up its deliveries within a moment."""
    afflicted.new_class()
    began: list[float] = []

    def rule(call: Call) -> Deed | None:
        if not _reads_a_row(call):
            return None
        began.append(time.monotonic())
        if began[-1] - began[0] > 5:
            return None
        return Deed("tables: refused for five seconds", work=False, status=409)

    afflicted.night(rule)
    assert len(began) > 2
    assert afflicted.settled() == []


@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_a_row_changes_under_the_write(afflicted: Afflicted, times: int) -> None:
    """A conflict of etags, as often in one night: somebody else has written the row a moment before."""
    group = afflicted.new_class()
    left = iter(range(times))

    def meddle() -> None:
        asyncio.run(_mark_stale(afflicted, f"2026.teaching.{group.id}"))

    def rule(call: Call) -> Deed | None:
        conditional = call.server == "tables" and b"If-Match: W/" in call.body
        return Deed("tables: conflict of etags", first=meddle) if conditional and next(left, None) is not None else None

    afflicted.night(rule)
    assert next(left, None) is None
    assert afflicted.settled() == []


def test_azurite_is_restarted_in_the_middle_of_a_night(afflicted: Afflicted) -> None:
    afflicted.new_class()
    afflicted.change(teaching("T0", "Art", "p1 p2 p3 p4", "main"))
    afflicted.night(first_write_to_graph(Deed("Azurite restarted", first=afflicted.world.restart_azurite)))
    assert afflicted.settled() == []


# --- the queues


def test_the_bus_goes_away_in_the_middle_of_a_night_and_comes_back(afflicted: Afflicted) -> None:
    afflicted.new_class()
    afflicted.change(teaching("T0", "Art", "p2 p3 p4 p5", "main"))

    is_cut = threading.Event()

    def cut() -> None:
        afflicted.gates.cut_bus()
        afflicted.lose_locks()
        is_cut.set()

    afflicted.gates.set(first_write_to_graph(Deed("bus: every connection cut", first=cut)))
    before = afflicted.begin()
    assert is_cut.wait(30)
    afflicted.gates.mend_bus()
    drain(afflicted.trust.addresses, before)
    assert afflicted.settled() == []


def test_messages_that_are_lost_with_their_bus_are_planned_again_by_the_next_night(afflicted: Afflicted) -> None:
    afflicted.new_class()
    afflicted.change(teaching("T0", "Art", "p3 p4 p5 p6", "main"))
    back = threading.Event()

    def lose() -> None:
        afflicted.world.restart_bus()
        back.set()

    gone = Deed("bus: everything that was queued lost", work=False, status=503, first=lose)
    afflicted.gates.set(first_write_to_graph(gone))
    afflicted.begin()
    assert back.wait(30)
    afflicted.night()
    assert afflicted.settled() == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_lock_is_lost_in_the_middle_of_a_change(afflicted: Afflicted, method: str) -> None:
    """The change comes again while the first delivery is still at work in Graph, and both go on."""
    afflicted.new_class()
    afflicted.trust.by_hand("add-member", "7.class.1234567.2026", upn=upn("main"))

    def lose() -> None:
        seen = len(afflicted.gates.calls)
        afflicted.lose_locks()
        until(lambda: any(_reads_a_row(call) for call in afflicted.gates.calls[seen:]))

    afflicted.night(first_write_to_graph(Deed("lock lost in the middle of a change", first=lose), method))
    assert afflicted.settled() == []


def test_messages_that_come_twice_late_and_in_any_order_do_nothing(afflicted: Afflicted) -> None:
    afflicted.new_class()
    afflicted.night()
    afflicted.change(teaching("T0", "Art", "p4 p5 p6 p7", "second"))
    afflicted.night()
    writes = afflicted.trust.writes()
    keys = [stands["key"] for stands in afflicted.trust.call("GET", f"schools/{SCHOOL}/classes").json()]
    where = [(TENANT_ID, SCHOOL, key, "an-old-run", Cause.NIGHTLY) for key in keys]
    changes: list[Change] = [
        change
        for of_class in where
        for change in (
            ChangeMembers(*of_class),
            RevokeOwners(*of_class),
            GrantOwners(*of_class),
            CreateClass(*of_class),
        )
    ]
    requests: list[Request] = [
        SyncSchool(SCHOOL, "an-old-run", Cause.NIGHTLY),
        RefreshTenant(TENANT_ID, "an-old-run", Cause.NIGHTLY),
        SyncSchool(SCHOOL, "an-old-run", Cause.NIGHTLY, ("T0",)),
    ]
    before = count(afflicted.trust.addresses)
    late = datetime.now(UTC) + timedelta(hours=12)
    afflicted.trust.send(SYNC_REQUESTS, *_messages(requests + requests))
    afflicted.trust.send(CLASS_CHANGES, *_messages(changes + changes))
    afflicted.trust.send(CLASS_CHANGES, *_messages(changes, late))
    until(lambda: _idle(afflicted))
    afflicted.advance_queues(timedelta(days=2).total_seconds())
    drain(afflicted.trust.addresses, before)
    assert afflicted.trust.writes() == writes
    assert afflicted.settled() == []
    afflicted.gates.done["messages sent twice"] += len(changes) + len(requests)
    afflicted.gates.done["messages delayed"] += len(changes)


# --- the clocks


def test_the_clocks_of_graph_and_of_the_queues_go_ahead_of_ours(afflicted: Afflicted) -> None:
    afflicted.change(teaching("T0", "Art", "p0 p1 p2 p3", "main"))
    afflicted.night()
    for minutes in (1, 5, 30):
        ahead = {"advance_seconds": minutes * 60}
        httpx.post(f"{afflicted.trust.addresses.tenant}/_sim/clock", json=ahead).raise_for_status()
        afflicted.advance_queues(minutes * 3600)
        afflicted.new_class()
        afflicted.trust.by_hand("remove-member", "Art.class.1234567.2026", upn=upn("p0"))
        afflicted.night()
        assert afflicted.settled() == []
        afflicted.gates.done["clock skew"] += 2


# --- within


def first_write_to_graph(deed: Deed, method: str = "") -> Rule:
    met = numbers()

    def rule(call: Call) -> Deed | None:
        chosen = call.server == "graph" and call.method != "GET" and call.method in (method or call.method)
        return deed if chosen and next(met) == 0 else None

    return rule


def until(true: Callable[[], bool], within: float = 60) -> None:
    give_up = time.monotonic() + within
    while not true():
        assert time.monotonic() < give_up, "it did not come true"
        time.sleep(0.05)


def _reads_a_row(call: Call) -> bool:
    return call.server == "tables" and call.method == "GET" and "/classes(PartitionKey=" in call.path


def _idle(afflicted: Afflicted) -> bool:
    queues = count(afflicted.trust.addresses).queues.values()
    return not any(queue["active"] + queue["locked"] for queue in queues)


async def _mark_stale(afflicted: Afflicted, key: str) -> None:
    state = TableState.from_connection_string(afflicted.trust.addresses.tables)
    try:
        await state.write_drift(SCHOOL, [Drift(key, stale=True)])
    finally:
        await state.close()


def _messages(sent: Iterable[Change | Request], at: datetime | None = None) -> Iterator[ServiceBusMessage]:
    for message in sent:
        raw = ServiceBusMessage(encode(message), session_id=message.session, message_id=uuid4().hex)
        raw.scheduled_enqueue_time_utc = at
        yield raw
