"""What a preview of the command line reads in place of tables and of Graph."""

from __future__ import annotations

from datetime import timedelta

import pytest

from local import loopback
from local.known_school import KnownSchool
from local.tenant.names import DOMAIN
from local.world_preview import SimulatedTenants
from sync_core.domain.classes.tenant_groups import TenantClass
from sync_core.domain.ids import ClassId, RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.errors import NotThere
from sync_core.messaging.messages import Priority
from tests.builders import NOON, SCHOOL, TENANT, entra_id, entra_ids, settings


async def test_runs_can_be_listed_since_a_time() -> None:
    """A preview counts the removals of the last seven days only."""
    early, late = (
        RunRecord(
            school=SCHOOL.id,
            id=RunId(name),
            cause=Cause.NIGHTLY,
            at=NOON + timedelta(days=days),
            outcome=RunOutcome.PLANNED,
            removals=9,
        )
        for name, days in (("early", -8), ("late", 0))
    )
    school = KnownSchool(settings(), (), past=(early, late))
    assert await school.runs(SCHOOL.id) == (early, late)
    assert await school.runs(SCHOOL.id, NOON) == (late,)


async def test_the_people_of_a_class_of_the_simulated_tenant_are_ids(tenant_url: str) -> None:
    first, second = entra_ids(["known-a"]), entra_ids(["known-a", "known-b"])
    people = [
        {"id": entra_id(name), "userPrincipalName": f"{name}@{DOMAIN}", "displayName": name}
        for name in ("known-a", "known-b")
    ]
    loopback.post(f"{tenant_url}/_sim/users", json=people).raise_for_status()
    entry = {"displayName": "club", "mailNickname": "club", "owners": [*first], "members": [*second]}
    (class_id,) = loopback.post(f"{tenant_url}/_sim/classes", json=[entry]).raise_for_status().json()
    reader = SimulatedTenants(tenant_url).of(TENANT, Priority.URGENT)
    assert (await reader.owners(class_id), await reader.members(class_id)) == (first, second)
    with pytest.raises(NotThere):
        await reader.members(ClassId("nowhere"))


async def test_the_classes_of_the_simulated_tenant_are_those_that_exist(tenant_url: str) -> None:
    entries = [
        {"displayName": name, "mailNickname": f"Section_{name}", "externalId": "G1", "externalSource": "sis"}
        for name in ("kept", "deleted")
    ]
    by_hand = {"displayName": "by hand", "mailNickname": "by-hand"}
    ids = loopback.post(f"{tenant_url}/_sim/classes", json=[*entries, by_hand]).raise_for_status().json()
    delete = {"action": "delete", "class": "Section_deleted"}
    loopback.post(f"{tenant_url}/_sim/edit", json=delete).raise_for_status()
    classes = await SimulatedTenants(tenant_url).of(TENANT, Priority.URGENT).classes()
    assert {one for one in classes if one.id in ids} == {
        TenantClass(ids[0], "kept", "G1", "sis"),
        TenantClass(ids[2], "by hand"),
    }
