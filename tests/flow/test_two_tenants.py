"""Numbered stories of one deployment with several tenants: each has its own identity and none delays another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from local import loopback
from local.school.data import SchoolData
from sync_core.messaging.messages import SYNC_REQUESTS
from sync_core.state.store import TableState
from tests.flow.trust import Trust, pupils, staff, start_trust, teaching, upn

ELSEWHERE, NOWHERE = "d0000000-0000-4000-8000-000000000002", "d0000000-0000-4000-8000-000000000003"


def school(id_: str, dfe_code: str, pupil: str) -> SchoolData:
    groups = (teaching("T1", "Art", pupil, "main"),)
    return SchoolData(id_, f"{id_} School", dfe_code, 2026, pupils(pupil), staff("main"), groups)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage, deliveries=2) as trust:
        yield trust


def members_by_nickname(trust: Trust, tenant: str) -> dict[str, list[str]]:
    return {class_["mailNickname"]: class_["members"] for class_ in trust.list_classes(tenant)}


def test_01_each_school_has_its_classes_in_its_own_tenant(trust: Trust) -> None:
    loopback.post(f"{trust.addresses.tenant}/_sim/consent", json={"tenant": ELSEWHERE}).raise_for_status()
    people = [{"userPrincipalName": upn(name), "displayName": name} for name in ("zoe", "main")]
    loopback.post(f"{trust.addresses.tenant}/_sim/users", params={"tenant": ELSEWHERE}, json=people).raise_for_status()
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
    trust.run_night()
    assert trust.read_class("Art.class.1234567.2026")["members"] == "amy ben main"

    async def faults() -> list[str]:
        state = TableState.from_connection_string(trust.addresses.tables)
        try:
            return [fault.remedy for fault in await state.message_faults(SYNC_REQUESTS) if fault.session == NOWHERE]
        finally:
            await state.close()

    (remedy,) = asyncio.run(faults())
    assert "has consented to the app" in remedy
