"""Numbered stories of webhooks: a change that is notified is applied within seconds, and an unsigned one never."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local import loopback
from local.mis.webhooks import body_of, headers_of, send_webhook, send_wonde_event
from local.nightly import count, drain
from local.school.data import SchoolData
from local.school.oneroster_csv import write
from local.world import WEBHOOK_SECRET, WEBHOOK_SETTING
from tests.flow.trust import Trust, pupils, staff, start_trust, teaching

OTHER_SECRET = "whsec_" + base64.b64encode(b"the secret that follows it").decode()
# A school that sent more webhooks within a minute waits longer: each story has a school without earlier ones.
SCHOOLS = {f"S{number}": f"100000{number}" for number in range(1, 8)}
HOOK = [WEBHOOK_SETTING]


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        assert trust.world.host
        trust.world.host.stop()
        trust.world.start_host(MIS_SECRET_NEXT=OTHER_SECRET)
        for id_, code in SCHOOLS.items():
            trust.add_school(make_school(id_, code), webhook_secrets=HOOK)
        trust.run_night()
        yield trust


def make_school(id_: str, code: str) -> SchoolData:
    """A school of four pupils in one year group and two teaching groups."""
    groups = (teaching("T1", "Art", "amy ben", "main"), teaching("T2", "Drama", "cleo dora", "main"))
    return SchoolData(id_, "A School", code, 2026, pupils("amy ben cleo dora"), staff("main"), groups)


def set_mis(trust: Trust, school: str, art: str, drama: str) -> None:
    """Change the pupils of the two groups in the MIS."""
    pupils_by_group = zip(trust.schools[school].groups, (art, drama), strict=True)
    groups = tuple(replace(group, pupils=tuple(people.split())) for group, people in pupils_by_group)
    trust.schools[school] = replace(trust.schools[school], groups=groups)
    write(trust.schools[school], trust.world.folder / f"feed {school}")


def notify(trust: Trust, school: str, id_: str, groups: str = "", people: str = "") -> dict[str, Any]:
    """Send a webhook, wait until the queues are empty, and return the run."""
    before = count(trust.addresses)
    send_webhook(trust.addresses.host, school, id_, groups.split(), people.split())
    drain(trust.addresses, before)
    return trust.read_last_run(school)


def members(trust: Trust, school: str) -> tuple[str, str]:
    art, drama = (f"{name}.class.{SCHOOLS[school]}.2026" for name in ("Art", "Drama"))
    return trust.read_class(art)["members"], trust.read_class(drama)["members"]


def test_01_only_the_named_group_is_synced(trust: Trust) -> None:
    set_mis(trust, "S1", "amy cleo", "dora ben")
    run = notify(trust, "S1", "msg_01", groups="T1")
    assert (run["cause"], run["outcome"], run["groups"]) == ("webhook", "planned", 1)
    assert members(trust, "S1") == ("amy cleo main", "cleo dora main")


def test_02_named_people_sync_the_groups_they_join_and_leave(trust: Trust) -> None:
    set_mis(trust, "S2", "amy ben", "dora cleo")
    assert notify(trust, "S2", "msg_02", people="ben")["groups"] == 2
    assert members(trust, "S2") == ("amy ben main", "cleo dora main")
    set_mis(trust, "S2", "amy", "dora cleo ben")
    assert notify(trust, "S2", "msg_02b", people="ben")["groups"] == 3
    assert members(trust, "S2") == ("amy main", "ben cleo dora main")


def test_03_a_webhook_that_names_nothing_syncs_the_whole_school(trust: Trust) -> None:
    set_mis(trust, "S3", "amy ben", "dora cleo")
    run = notify(trust, "S3", "msg_03")
    assert run["groups"] == 3
    assert members(trust, "S3") == ("amy ben main", "cleo dora main")
    writes = trust.count_writes()
    assert notify(trust, "S3", "msg_03b")["unchanged"] == 3
    assert trust.count_writes() == writes


def test_04_a_secret_is_rotated_without_losing_a_webhook(trust: Trust) -> None:
    def post(id_: str, secret: str) -> int:
        body, url = body_of(["T1"]), f"{trust.addresses.host}/api/mis/S4/changes"
        return loopback.post(url, content=body, headers=headers_of(body, id_, secret)).status_code

    before = count(trust.addresses)
    assert (post("msg_04a", WEBHOOK_SECRET), post("msg_04b", OTHER_SECRET)) == (202, 401)
    trust.save_settings("S4", webhook_secrets=[WEBHOOK_SETTING, "MIS_SECRET_NEXT"])
    assert (post("msg_04c", WEBHOOK_SECRET), post("msg_04d", OTHER_SECRET)) == (202, 202)
    trust.save_settings("S4", webhook_secrets=["MIS_SECRET_NEXT"])
    assert (post("msg_04e", WEBHOOK_SECRET), post("msg_04f", OTHER_SECRET)) == (401, 202)
    trust.save_settings("S4", webhook_secrets=HOOK)
    drain(trust.addresses, before)
    assert WEBHOOK_SECRET[6:] not in (trust.world.folder / "host.jsonl").read_text(encoding="utf-8")


def test_05_an_unsigned_old_replayed_oversized_or_unreadable_webhook_changes_nothing(trust: Trust) -> None:
    notify(trust, "S5", "msg_05_first")
    set_mis(trust, "S5", "cleo dora", "amy ben")
    valid, large = body_of(["T1"]), body_of(["T" * 100] * 2000)
    signed = headers_of(valid, "msg_05")
    empty = "{}"
    table = [
        ("S5", valid, {}, 401, "missing required headers"),
        ("S5", valid + " ", signed, 401, "no matching signature"),
        ("S5", valid, headers_of(valid, "msg_05", ago=timedelta(minutes=6)), 401, "too old"),
        ("S5", valid, headers_of(valid, "msg_05_first"), 409, "accepted before"),
        ("S5", large, headers_of(large, "msg_05"), 413, "more than 131072 bytes"),
        ("S5", empty, headers_of(empty, "msg_05"), 422, "type: Field required"),
        ("ELM", valid, signed, 401, "no matching signature"),
        ("S5/T1", valid, signed, 404, ""),
    ]
    before, writes, runs = count(trust.addresses), trust.count_writes(), trust.read_last_run("S5")
    for school, body, headers, status, message in table:
        answer = loopback.post(f"{trust.addresses.host}/api/mis/{school}/changes", content=body, headers=headers)
        assert answer.status_code == status, answer.text
        if message:
            assert message in answer.json()["what"]
            assert answer.json()["remedy"]
    assert loopback.get(f"{trust.addresses.host}/api/mis/S5/changes").status_code == 404
    assert (count(trust.addresses).queues, trust.count_writes()) == (before.queues, writes)
    assert trust.read_last_run("S5") == runs
    refusals = [(event["school"], event["error"]) for event in trust.read_events("webhook.refused")][-6:]
    assert refusals == [
        ("S5", "NotSignedIn"),
        ("S5", "NotSignedIn"),
        ("S5", "NotSignedIn"),
        ("S5", "Replayed"),
        ("S5", "Unreadable"),
        ("", "NotSignedIn"),
    ]


def test_06_a_change_over_the_limits_is_held(trust: Trust) -> None:
    set_mis(trust, "S5", "", "amy ben cleo dora")
    run = notify(trust, "S5", "msg_06", groups="T1 T2")
    assert run["held"] == ["2026.teaching.T1"]
    assert members(trust, "S5") == ("amy ben main", "amy ben cleo dora main")


def test_07_a_burst_of_webhooks_shares_a_few_plans(trust: Trust) -> None:
    set_mis(trust, "S6", "amy ben", "cleo dora")
    before, earlier = count(trust.addresses), len(trust.call("GET", "schools/S6/runs").json())
    for number in range(100):
        send_webhook(trust.addresses.host, "S6", f"msg_07_{number}", ["T1", "T2"])
    drain(trust.addresses, before)
    runs = trust.call("GET", "schools/S6/runs").json()[earlier:]
    assert 1 <= len(runs) <= 5
    assert members(trust, "S6") == ("amy ben main", "cleo dora main")
    assert len(trust.read_events("webhook.accepted")) >= 100


def test_08_a_school_that_revokes_access_at_wonde_is_paused_and_reported(trust: Trust) -> None:
    wonde = {"kind": "wonde", "school": "A1930499544", "secret": "MIS_SECRET_NEXT"}
    trust.save_settings("S7", source=wonde, webhook_secrets=HOOK)
    host = trust.addresses.host
    assert send_wonde_event(host, "accessRevoked", "A1930499544", key="guessed").status_code == 401
    assert send_wonde_event(host, "accessRevoked", "another's").json() == {"schools": 0}
    assert send_wonde_event(host, "schoolApproved", "A1930499544").json() == {"schools": 1}
    assert send_wonde_event(host, "somethingNew", "A1930499544").status_code == 202
    assert trust.call("GET", "schools/S7").json()["enabled"]
    assert send_wonde_event(host, "accessRevoked", "A1930499544").json() == {"schools": 1}
    assert not trust.call("GET", "schools/S7").json()["enabled"]
    run = trust.read_last_run("S7")
    assert run["outcome"] == "paused"
    assert "approve access again" in run["notes"][0]
    access_changes = [(event["access"], event["paused"]) for event in trust.read_events("mis.access_changed")]
    assert access_changes == [("schoolApproved", False), ("accessRevoked", True)]
    assert members(trust, "S7") == ("amy ben main", "cleo dora main")


def test_09_a_webhook_of_a_paused_school_reports_the_pause_in_its_run(trust: Trust) -> None:
    assert notify(trust, "S7", "msg_09", groups="T1")["outcome"] == "paused"
    trust.save_settings("S7", webhook_secrets=HOOK)
    assert notify(trust, "S7", "msg_09b", groups="T1")["outcome"] == "planned"
