"""Numbered stories of one deployment with several tenants: each has its own identity and none delays another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local import loopback
from local.mis.webhooks import send_webhook
from local.nightly import Counts, count, drain, increase
from local.school.data import SchoolData
from local.world import WEBHOOK_SETTING
from sync_core.messaging.messages import SYNC_REQUESTS
from tests.flow.trust import Trust, pupils, staff, start_trust, teaching, upn

ELSEWHERE, NOWHERE = "d0000000-0000-4000-8000-000000000002", "d0000000-0000-4000-8000-000000000003"
LACKING = "d0000000-0000-4000-8000-000000000004"
HIDDEN = "Member.Read.Hidden"


def school(id_: str, dfe_code: str, pupil: str) -> SchoolData:
    groups = (teaching("T1", "Art", pupil, "main"),)
    return SchoolData(id_, f"{id_} School", dfe_code, 2026, pupils(pupil), staff("main"), groups)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        yield trust


def members_by_nickname(trust: Trust, tenant: str) -> dict[str, list[str]]:
    return {class_["mailNickname"]: class_["members"] for class_ in trust.list_classes(tenant)}


def add_accounts(trust: Trust, tenant: str, *names: str) -> None:
    people = [{"userPrincipalName": upn(name), "displayName": name} for name in names]
    loopback.post(f"{trust.addresses.tenant}/_sim/users", params={"tenant": tenant}, json=people).raise_for_status()


def read_missing(trust: Trust, tenant: str) -> dict[str, list[str]]:
    """The permissions that the app lacks by tenant, over the admin API, if `tenant` is among them."""
    checks = {check["tenant"]: check for check in trust.call("GET", "tenants").json()}
    assert checks[tenant]["blocked"] is bool(checks[tenant]["what"])
    return {
        listed: [permission["name"] for permission in check["permissions"] if permission["granted"] is False]
        for listed, check in checks.items()
    }


def count_requests(before: Counts, trust: Trust) -> list[int]:
    """The requests that were sent, completed and dead-lettered since `before`."""
    after = count(trust.addresses)
    return [increase(before, after, kind, SYNC_REQUESTS) for kind in ("sent", "completed", "dead_lettered")]


def test_01_each_school_has_its_classes_in_its_own_tenant(trust: Trust) -> None:
    trust.consent(ELSEWHERE)
    add_accounts(trust, ELSEWHERE, "zoe", "main")
    trust.add_school(school("OAK", "1234567", "amy"))
    trust.add_school(school("FIR", "7654321", "zoe"), tenant=ELSEWHERE)
    trust.run_night()
    assert trust.list_nicknames() == ["7.class.1234567.2026", "Art.class.1234567.2026"]
    assert members_by_nickname(trust, ELSEWHERE) == {
        "7.class.7654321.2026": [upn("zoe")],
        "Art.class.7654321.2026": [upn("main"), upn("zoe")],
    }


def test_02_a_second_night_changes_nothing_in_either_tenant(trust: Trust) -> None:
    def writes() -> list[int]:
        stats = f"{trust.addresses.tenant}/_sim/stats"
        return [trust.count_writes(), loopback.get(stats, params={"tenant": ELSEWHERE}).json()["writes"]]

    before = writes()
    trust.run_night()
    assert writes() == before


def test_03_a_tenant_without_consent_is_reported_and_delays_no_other(trust: Trust) -> None:
    trust.add_school(school("YEW", "1112223", "amy"), tenant=NOWHERE)
    trust.schools["OAK"] = school("OAK", "1234567", "amy ben")
    trust.add_accounts(["ben"])
    failures, requests = len(trust.read_events("message.failed")), count(trust.addresses)
    trust.run_night()
    assert trust.read_class("Art.class.1234567.2026")["members"] == "amy ben main"

    run = trust.read_last_run("YEW")
    assert (run["outcome"], run["cause"]) == ("blocked", "nightly")
    assert run["notes"][0] == f"the app's identity got no token for tenant {NOWHERE}: nothing was planned"
    assert "has consented to the app" in run["notes"][1]
    (event,) = trust.read_events("tenant.blocked")
    assert (event["tenant"], event["permissions"], event["run"]) == (NOWHERE, "", run["id"])
    assert event["message"] == f"the app's identity got no token for tenant {NOWHERE}"
    # Each message was delivered once: the night's three refreshes, and the plans of the two other schools.
    assert len(trust.read_events("message.failed")) == failures
    assert count_requests(requests, trust) == [5, 5, 0]
    (check,) = [check for check in trust.call("GET", "tenants").json() if check["tenant"] == NOWHERE]
    assert (check["blocked"], {permission["granted"] for permission in check["permissions"]}) == (True, {None})


def test_04_a_tenant_that_lacks_a_permission_is_not_planned_and_delays_no_other(trust: Trust) -> None:
    trust.consent(LACKING, HIDDEN)
    add_accounts(trust, LACKING, "ivy", "main")
    trust.add_school(school("ASH", "4445556", "ivy"), tenant=LACKING, webhook_secrets=[WEBHOOK_SETTING])
    trust.call("DELETE", "schools/YEW", expected=204)
    del trust.schools["YEW"]
    trust.schools["OAK"] = school("OAK", "1234567", "amy ben cleo")
    trust.add_accounts(["cleo"])
    failures, requests = len(trust.read_events("message.failed")), count(trust.addresses)
    trust.run_night()
    assert trust.read_class("Art.class.1234567.2026")["members"] == "amy ben cleo main"
    run = trust.read_last_run("ASH")
    assert (run["outcome"], run["cause"]) == ("blocked", "nightly")
    assert run["notes"][0].startswith(f"the app's token for tenant {LACKING} lacks {HIDDEN} (to see who is in a class")
    assert f"python infra/scripts/grant_graph.py --tenant={LACKING}" in run["notes"][1]
    assert "24 hours" in run["notes"][1]
    _, event = trust.read_events("tenant.blocked")
    assert (event["tenant"], event["permissions"], event["run"]) == (LACKING, HIDDEN, run["id"])
    assert [event["school"] for event in trust.read_events("school.blocked")] == ["YEW", "ASH"]
    # Each message was delivered once: the night's three refreshes, and the plans of the two other schools.
    assert len(trust.read_events("message.failed")) == failures
    assert count_requests(requests, trust) == [5, 5, 0]
    assert loopback.get(f"{trust.addresses.tenant}/_sim/log", params={"tenant": LACKING}).json() == []
    assert read_missing(trust, LACKING)[LACKING] == [HIDDEN]
    assert read_missing(trust, ELSEWHERE)[ELSEWHERE] == []
    before = count(trust.addresses)
    send_webhook(trust.addresses.host, "ASH", "msg_1", ["T1"])
    drain(trust.addresses, before)
    assert (trust.read_last_run("ASH")["outcome"], trust.read_last_run("ASH")["cause"]) == ("blocked", "webhook")
    assert trust.list_classes(LACKING) == []


def test_05_a_later_grant_works_once_a_token_carries_it(trust: Trust) -> None:
    trust.consent(LACKING)
    trust.run_night()
    assert trust.read_last_run("ASH")["outcome"] == "blocked"
    # The host keeps its token for as long as it is valid, and a new host has none.
    assert trust.world.host
    trust.world.host.stop()
    trust.world.start_host()
    trust.run_night()
    assert trust.read_last_run("ASH")["outcome"] == "planned"
    assert members_by_nickname(trust, LACKING) == {
        "7.class.4445556.2026": [upn("ivy")],
        "Art.class.4445556.2026": [upn("ivy"), upn("main")],
    }
    assert read_missing(trust, LACKING)[LACKING] == []
