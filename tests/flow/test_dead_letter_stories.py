"""Numbered stories of dead letters: listed with a remedy, replayed, or made up for by the next night."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from local import loopback
from local.nightly import count
from local.school.data import SchoolData
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.messaging.messages import CLASS_CHANGES, SYNC_REQUESTS, Action, ActOnClass, encode
from tests.flow.trust import HEAD, STAFF_ROOM, Trust, pupils, registration, staff, start_trust
from tests.waiting import wait_until

OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils("amy ben"), staff("tutor"), (registration("R1", "5L", "amy", "tutor"),)
)
DELIVERIES = 2


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage, deliveries=DELIVERIES) as trust:
        trust.add_more_users()
        trust.add_school(OAK, types=["registration"], access=[HEAD, STAFF_ROOM])
        trust.run_night()
        yield trust


def make_graph_fail(trust: Trust, path: str, times: int) -> None:
    fault = {"method": "POST", "path": path, "times": times, "status": 503}
    loopback.post(f"{trust.addresses.tenant}/_sim/faults", json=fault).raise_for_status()


def list_dead_letters(trust: Trust, user: str = "admin") -> list[dict[str, Any]]:
    return list(trust.call("GET", "dead-letters", user).json())


def list_of_class(trust: Trust, key: str) -> list[dict[str, Any]]:
    return [letter for letter in list_dead_letters(trust) if letter["key"] == key]


def replay(trust: Trust, path: str) -> int:
    before = count(trust.addresses)
    put_back = int(trust.call("POST", f"dead-letters/{path}", expected=202).json()["messages"])
    completed = before.queues[CLASS_CHANGES]["completed"] + put_back
    wait_until(lambda: count(trust.addresses).queues[CLASS_CHANGES]["completed"] >= completed)
    return put_back


def add_group(trust: Trust, id_: str, title: str) -> None:
    oak = trust.schools["OAK"]
    trust.schools["OAK"] = replace(oak, groups=(*oak.groups, registration(id_, title, "amy ben", "tutor")))


def test_01_a_change_that_graph_never_accepted_is_listed_with_class_reason_and_remedy(trust: Trust) -> None:
    add_group(trust, "R2", "5M")
    add_group(trust, "R3", "5N")
    make_graph_fail(trust, "^/education/classes$", 4 * DELIVERIES)
    trust.run_night()
    create, members = list_of_class(trust, "2026.registration.R2")
    assert (create["kind"], members["kind"]) == ("create-class", "change-members")
    for found in (create, members):
        assert (found["queue"], found["school"], found["key"]) == (CLASS_CHANGES, "OAK", "2026.registration.R2")
        assert found["reason"] == "Graph answered 503 to a create, and may have carried it out"
        assert found["remedy"] == (
            "wait for the next delivery, or replay the message if it is a dead letter: the class is looked up first, "
            "so it is not created twice"
        )
        assert found["run"] == trust.read_last_run("OAK")["id"]
        assert found["deliveries"] >= DELIVERIES
    assert "5M.class.1234567.2026" not in trust.list_nicknames()


def test_02_a_replayed_dead_letter_is_applied(trust: Trust) -> None:
    _, members = list_of_class(trust, "2026.registration.R2")
    assert replay(trust, f"{CLASS_CHANGES}/{members['number']}/replay") == 1
    assert trust.read_class("5M.class.1234567.2026")["members"] == "amy ben"
    assert [letter["kind"] for letter in list_of_class(trust, "2026.registration.R2")] == ["create-class"]


def test_03_the_next_night_plans_the_class_again_without_an_admin(trust: Trust) -> None:
    assert "5N.class.1234567.2026" not in trust.list_nicknames()
    trust.run_night()
    assert trust.read_last_run("OAK")["created"] == ["2026.registration.R3"]
    assert trust.read_class("5N.class.1234567.2026")["members"] == "amy ben"


def test_04_a_replay_that_is_no_longer_needed_does_nothing(trust: Trust) -> None:
    writes = trust.count_writes()
    assert replay(trust, "replay") == 3
    assert (list_dead_letters(trust), trust.count_writes()) == ([], writes)
    trust.call("POST", f"dead-letters/{CLASS_CHANGES}/1/replay", expected=404)


def test_05_only_a_schools_admins_see_its_dead_letters(trust: Trust) -> None:
    trust.send(CLASS_CHANGES, ServiceBusMessage(b"{", session_id="torn", message_id="torn"))
    wait_until(lambda: list_dead_letters(trust))
    (torn,) = list_dead_letters(trust)
    assert (torn["school"], torn["kind"]) == ("", "")
    assert "body: Invalid JSON" in torn["reason"]
    assert "see 'A message nobody can read' in docs/operations.md" in torn["remedy"]
    assert list_dead_letters(trust, "head") == []
    assert trust.call("POST", "dead-letters/replay", "head", 202).json()["messages"] == 0
    trust.call("GET", "dead-letters", "teacher", 403)
    trust.call("POST", "dead-letters/replay", "teacher", 403)
    trust.call("POST", f"dead-letters/{CLASS_CHANGES}/{torn['number']}/replay", "head", 404)
    assert trust.call("POST", "dead-letters/replay", expected=202).json()["messages"] == 1
    wait_until(lambda: list_dead_letters(trust))


def test_06_a_forged_deletion_under_the_run_of_another_class_is_dead_lettered_with_its_reason(trust: Trust) -> None:
    trust.call("POST", "dead-letters/replay", expected=202)
    run = RunId(trust.run_action("DELETE", "schools/OAK/classes/2026.registration.R2")["id"])
    forged = ActOnClass(SchoolId("OAK"), ClassKey("2026.registration.R1"), Action.DELETE, run)
    trust.send(SYNC_REQUESTS, ServiceBusMessage(encode(forged), session_id="OAK", message_id="forged"))
    wait_until(lambda: list_of_class(trust, "2026.registration.R1"))
    (letter,) = list_of_class(trust, "2026.registration.R1")
    assert (letter["kind"], letter["run"], letter["deliveries"]) == ("act-on-class", run, DELIVERIES)
    assert letter["reason"] == (
        f"the message asks for an action that is not on record as that of run {run}, so nothing was changed"
    )
    assert "find out what else may send to the queue" in letter["remedy"]
    assert not trust.read_class("5L.class.1234567.2026")["deleted"]
