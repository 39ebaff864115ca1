"""What the MIS side announces is in Microsoft 365 seconds later, and nothing else; who did not sign changes nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from local.mis.webhooks import announce, body_of, headers_of, wonde_event
from local.nightly import count, drain
from local.school.data import SchoolData
from local.school.oneroster_csv import write
from local.world import WEBHOOK_SECRET, WEBHOOK_SETTING
from tests.flow.trust import Trust, pupils, staff, start_trust, teaching

OTHER_SECRET = "whsec_" + base64.b64encode(b"the secret that follows it").decode()
# The more webhooks a school has sent within a minute, the longer it waits: each story has a school that was quiet.
SCHOOLS = {f"S{number}": f"100000{number}" for number in range(1, 8)}
HOOK = [WEBHOOK_SETTING]


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust")) as trust:
        assert trust.world.host
        trust.world.host.stop()
        trust.world.start_host(MIS_SECRET_NEXT=OTHER_SECRET)
        for id_, code in SCHOOLS.items():
            trust.add_school(at_first(id_, code), webhook_secrets=HOOK)
        trust.run_night()
        yield trust


def at_first(id_: str, code: str) -> SchoolData:
    """A school of four in one year, and in two teaching groups."""
    groups = (teaching("T1", "Art", "amy ben", "main"), teaching("T2", "Drama", "cleo dora", "main"))
    return SchoolData(id_, "A School", code, 2026, pupils("amy ben cleo dora"), staff("main"), groups)


def change(trust: Trust, school: str, art: str, drama: str) -> None:
    """Who is in the two groups from now on, in the MIS."""
    both = zip(trust.schools[school].groups, (art, drama), strict=True)
    groups = tuple(replace(group, pupils=tuple(who.split())) for group, who in both)
    trust.schools[school] = replace(trust.schools[school], groups=groups)
    write(trust.schools[school], trust.world.folder / f"feed {school}")


def told(trust: Trust, school: str, id_: str, groups: str = "", people: str = "") -> dict[str, Any]:
    """The run that came of a webhook, when all of it is done."""
    before = count(trust.addresses)
    announce(trust.addresses.host, school, id_, groups.split(), people.split())
    drain(trust.addresses, before)
    return trust.read_last_run(school)


def members(trust: Trust, school: str) -> tuple[str, str]:
    art, drama = (f"{name}.class.{SCHOOLS[school]}.2026" for name in ("Art", "Drama"))
    return trust.read_class(art)["members"], trust.read_class(drama)["members"]


def test_01_the_group_that_is_named_is_brought_in_step_and_no_other(trust: Trust) -> None:
    change(trust, "S1", "amy cleo", "dora ben")
    run = told(trust, "S1", "msg_01", groups="T1")
    assert (run["cause"], run["outcome"], run["groups"]) == ("webhook", "planned", 1)
    assert members(trust, "S1") == ("amy cleo main", "cleo dora main")


def test_02_people_who_are_named_stand_for_the_groups_they_are_in_and_were_in(trust: Trust) -> None:
    change(trust, "S2", "amy ben", "dora cleo")
    assert told(trust, "S2", "msg_02", people="ben")["groups"] == 2
    assert members(trust, "S2") == ("amy ben main", "cleo dora main")
    change(trust, "S2", "amy", "dora cleo ben")
    assert told(trust, "S2", "msg_02b", people="ben")["groups"] == 3
    assert members(trust, "S2") == ("amy main", "ben cleo dora main")


def test_03_where_nothing_is_named_the_whole_school_is_synced(trust: Trust) -> None:
    change(trust, "S3", "amy ben", "dora cleo")
    run = told(trust, "S3", "msg_03")
    assert run["groups"] == 3
    assert members(trust, "S3") == ("amy ben main", "cleo dora main")
    writes = trust.count_writes()
    assert told(trust, "S3", "msg_03b")["unchanged"] == 3
    assert trust.count_writes() == writes


def test_04_a_secret_is_rotated_without_a_webhook_lost(trust: Trust) -> None:
    def answer(id_: str, secret: str) -> int:
        body, url = body_of(["T1"]), f"{trust.addresses.host}/api/mis/S4/changes"
        return httpx.post(url, content=body, headers=headers_of(body, id_, secret)).status_code

    before = count(trust.addresses)
    assert (answer("msg_04a", WEBHOOK_SECRET), answer("msg_04b", OTHER_SECRET)) == (202, 401)
    trust.save_settings("S4", webhook_secrets=[WEBHOOK_SETTING, "MIS_SECRET_NEXT"])
    assert (answer("msg_04c", WEBHOOK_SECRET), answer("msg_04d", OTHER_SECRET)) == (202, 202)
    trust.save_settings("S4", webhook_secrets=["MIS_SECRET_NEXT"])
    assert (answer("msg_04e", WEBHOOK_SECRET), answer("msg_04f", OTHER_SECRET)) == (401, 202)
    trust.save_settings("S4", webhook_secrets=HOOK)
    drain(trust.addresses, before)
    assert WEBHOOK_SECRET[6:] not in (trust.world.folder / "host.jsonl").read_text(encoding="utf-8")


def test_05_what_is_not_signed_stale_replayed_oversized_or_not_understood_changes_nothing(trust: Trust) -> None:
    told(trust, "S5", "msg_05_first")
    change(trust, "S5", "cleo dora", "amy ben")
    fine, large = body_of(["T1"]), body_of(["T" * 100] * 2000)
    signed = headers_of(fine, "msg_05")
    empty = "{}"
    table = [
        ("S5", fine, {}, 401, "missing required headers"),
        ("S5", fine + " ", signed, 401, "no matching signature"),
        ("S5", fine, headers_of(fine, "msg_05", ago=timedelta(minutes=6)), 401, "too old"),
        ("S5", fine, headers_of(fine, "msg_05_first"), 409, "accepted before"),
        ("S5", large, headers_of(large, "msg_05"), 413, "more than 131072 bytes"),
        ("S5", empty, headers_of(empty, "msg_05"), 422, "type: Field required"),
        ("ELM", fine, signed, 401, "no webhook is set up"),
        ("S5/T1", fine, signed, 404, ""),
    ]
    before, writes, runs = count(trust.addresses), trust.count_writes(), trust.read_last_run("S5")
    for school, body, headers, status, words in table:
        answer = httpx.post(f"{trust.addresses.host}/api/mis/{school}/changes", content=body, headers=headers)
        assert answer.status_code == status, answer.text
        if words:
            assert words in answer.json()["what"]
            assert answer.json()["remedy"]
    assert httpx.get(f"{trust.addresses.host}/api/mis/S5/changes").status_code == 404
    assert (count(trust.addresses).queues, trust.count_writes()) == (before.queues, writes)
    assert trust.read_last_run("S5") == runs
    refused = [(event["school"], event["error"]) for event in trust.read_events("webhook.refused")][-6:]
    assert refused == [
        ("S5", "NotSignedIn"),
        ("S5", "NotSignedIn"),
        ("S5", "NotSignedIn"),
        ("S5", "Replayed"),
        ("S5", "Unreadable"),
        ("", "NotSignedIn"),
    ]


def test_06_what_is_too_much_is_held_as_at_night(trust: Trust) -> None:
    change(trust, "S5", "", "amy ben cleo dora")
    run = told(trust, "S5", "msg_06", groups="T1 T2")
    assert run["held"] == ["2026.teaching.T1"]
    assert members(trust, "S5") == ("amy ben main", "amy ben cleo dora main")


def test_07_a_burst_is_one_plan_or_two(trust: Trust) -> None:
    change(trust, "S6", "amy ben", "cleo dora")
    before, earlier = count(trust.addresses), len(trust.call("GET", "schools/S6/runs").json())
    for number in range(100):
        announce(trust.addresses.host, "S6", f"msg_07_{number}", ["T1", "T2"])
    drain(trust.addresses, before)
    runs = trust.call("GET", "schools/S6/runs").json()[earlier:]
    assert 1 <= len(runs) <= 5
    assert members(trust, "S6") == ("amy ben main", "cleo dora main")
    assert len(trust.read_events("webhook.accepted")) >= 100


def test_08_a_school_that_revokes_access_at_wonde_is_paused_and_its_admins_are_alerted(trust: Trust) -> None:
    wonde = {"kind": "wonde", "school": "A1930499544", "secret": "MIS_SECRET_NEXT"}
    trust.save_settings("S7", source=wonde, webhook_secrets=HOOK)
    host = trust.addresses.host
    assert wonde_event(host, "accessRevoked", "A1930499544", key="guessed").status_code == 401
    assert wonde_event(host, "accessRevoked", "another's").json() == {"schools": 0}
    assert wonde_event(host, "schoolApproved", "A1930499544").json() == {"schools": 1}
    assert wonde_event(host, "somethingNew", "A1930499544").status_code == 202
    assert trust.call("GET", "schools/S7").json()["enabled"]
    assert wonde_event(host, "accessRevoked", "A1930499544").json() == {"schools": 1}
    assert not trust.call("GET", "schools/S7").json()["enabled"]
    run = trust.read_last_run("S7")
    assert run["outcome"] == "paused"
    assert "approve access again" in run["notes"][0]
    told_of = [(event["access"], event["paused"]) for event in trust.read_events("mis.access_changed")]
    assert told_of == [("schoolApproved", False), ("accessRevoked", True)]
    assert members(trust, "S7") == ("amy ben main", "cleo dora main")


def test_09_a_webhook_of_a_paused_school_says_so_on_its_run(trust: Trust) -> None:
    assert told(trust, "S7", "msg_09", groups="T1")["outcome"] == "paused"
    trust.save_settings("S7", webhook_secrets=HOOK)
    assert told(trust, "S7", "msg_09b", groups="T1")["outcome"] == "planned"
