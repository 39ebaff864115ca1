"""The health of the app: each line broken once, the lines of each caller, and checks that hang or fail unexpectedly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

import pytest

from sync_core.admin.health.checks import health_of_schools
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.permissions import PERMISSIONS, Grants
from sync_core.domain.runs import Cause, RunOutcome
from sync_core.domain.school.settings import Teams
from sync_core.errors import AccessDenied, GraphDenied, SnapshotRejected, Transient, UnknownSetting
from sync_core.graph.port import Told
from sync_core.messaging.messages import QUEUES
from sync_core.messaging.port import DeadLetter
from tests.admin.health_scene import AT_NIGHT, NIGHT, SECRET, SIGNATURE, Scene, planned
from tests.builders import NOON, TENANT


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.add_school("S1")
    yield scene


NAMES = [
    "version",
    "settings",
    "tables",
    *(f"sending to {queue}" for queue in QUEUES),
    *(f"dead letters of {queue}" for queue in QUEUES),
    f"permissions in tenant {TENANT}",
    f"Graph in tenant {TENANT}",
    "last night",
    "source of school S1",
    "last sync of school S1",
]


async def test_a_healthy_app_has_a_line_for_each_check(scene: Scene) -> None:
    health = await scene.health()
    assert (health.healthy, health.at, [line.name for line in health.lines]) == (True, NOON, NAMES)
    assert {line.name: line.detail for line in health.lines if line.name in ("settings", "tables", "last night")} == {
        "settings": "all are valid; secrets that schools name: 2, all of them there",
        "tables": "all are there, and the app may write to them",
        "last night": f"run {NIGHT} reached its first school at 2026-09-07 02:00 UTC; schools done: 1 of 1, "
        "the last at 2026-09-07 02:00 UTC",
    }
    *_, last = health.lines
    assert last.detail == f"run {NIGHT} of 2026-09-07 02:00 UTC planned 3 groups"


async def test_a_new_app_without_a_school_is_healthy() -> None:
    health = await Scene().health()
    assert (health.healthy, [line.name for line in health.lines]) == (True, NAMES[:-2])
    assert health.lines[1].detail == "all are valid; no school names a secret"


# --- each line broken once


def letter(queue: str) -> DeadLetter:
    return DeadLetter(
        queue=queue, number=1, message_id="m", session="S1", body=b"{}", reason="r", deliveries=10, at=AT_NIGHT
    )


async def lose_secret(scene: Scene) -> None:
    scene.secrets.pop(SECRET)


async def unresolve_secret(scene: Scene) -> None:
    scene.secrets[SIGNATURE] = "@Microsoft.KeyVault(SecretUri=https://oak.vault.azure.net/secrets/hook)"


async def lose_tables(scene: Scene) -> None:
    scene.fail("tables", Transient("Table storage cannot be reached (ConnectError)", "check the network"))


async def lose_a_table(scene: Scene) -> None:
    scene.checks.missing = ("runs", "holds")


async def only_read_tables(scene: Scene) -> None:
    scene.fail("write", AccessDenied("Table storage answered 403", "grant the role"))


async def refuse_to_send(scene: Scene) -> None:
    scene.fail("send class-changes", Transient("nothing can be sent to queue class-changes", "grant the role"))


async def dead_letter(scene: Scene) -> None:
    scene.letters.dead.append(letter("sync-requests"))


async def lose_permission(scene: Scene) -> None:
    names = frozenset(permission.name for permission in PERMISSIONS)
    scene.tenant.granted = Grants(names - {"User.Read.All"}, "app")


async def give_no_token(scene: Scene) -> None:
    scene.tenant.no_token = GraphDenied("NoToken", "no token", "consent to the app")


async def throttle(scene: Scene) -> None:
    scene.tenant.silent = Transient("Graph throttles the app, and wants no requests for 30 s", "nothing to do")


async def lose_source(scene: Scene) -> None:
    scene.fail("source S1", SnapshotRejected("the server returned 401", "check the client"))


async def reject_feed(scene: Scene) -> None:
    notes = ("the feed has 3 pupils", "have the MIS export again")
    later = AT_NIGHT + timedelta(hours=5)
    rejected = {"cause": Cause.FILE_DROP, "id": RunId("r"), "outcome": RunOutcome.REJECTED, "notes": notes}
    await scene.state.write_run(planned("S1", later, **rejected))


async def add_unreadable_school(scene: Scene) -> None:
    scene.state.unreadable = {SchoolId("S2"): UnknownSetting("mis: unknown", "save its settings again")}


async def stop_reading_schools(scene: Scene) -> None:
    scene.state.schools_away = Transient("Table storage answered 503", "it is retried")


async def miss_a_school(scene: Scene) -> None:
    await scene.add_school("S2", at=None)


async def miss_the_night(scene: Scene) -> None:
    await scene.state.write_run(planned("S1", NOON - timedelta(hours=27)))


async def lose_runs(scene: Scene) -> None:
    scene.state.runs_away = Transient("Table storage answered 503", "it is retried")


BROKEN: list[tuple[Callable[[Scene], Awaitable[None]], dict[str, tuple[str, str]]]] = [
    (
        lose_secret,
        {"settings": (f"{SECRET} is not set (it is named by S1)", "put the secret into the Key Vault")},
    ),
    (
        unresolve_secret,
        {"settings": (f"{SIGNATURE} has a Key Vault reference that the platform could not", "Key Vault Secrets User")},
    ),
    (lose_tables, {"tables": ("Table storage cannot be reached (ConnectError)", "check the network")}),
    (lose_a_table, {"tables": ("the storage account has no table runs, holds", "follow 'Restore'")}),
    (only_read_tables, {"tables": ("Table storage answered 403", "grant the role")}),
    (refuse_to_send, {"sending to class-changes": ("nothing can be sent to queue class-changes", "grant the role")}),
    (
        dead_letter,
        {"dead letters of sync-requests": ("1, the oldest of 2026-09-07 02:00 UTC", "GET /api/admin/dead-letters")},
    ),
    (
        lose_permission,
        {f"permissions in tenant {TENANT}": ("lacks User.Read.All (to find accounts", "grant_graph")},
    ),
    (give_no_token, {f"permissions in tenant {TENANT}": ("got no token for tenant", "consent to the app")}),
    (throttle, {f"Graph in tenant {TENANT}": ("Graph throttles the app", "nothing to do")}),
    (lose_source, {"source of school S1": ("the server returned 401", "check the client")}),
    (
        reject_feed,
        {
            "last sync of school S1": (
                "run r of 2026-09-07 07:00 UTC is rejected: the feed has 3 pupils",
                "have the MIS export again",
            )
        },
    ),
    (add_unreadable_school, {"settings of school S2": ("mis: unknown", "save its settings again")}),
    (stop_reading_schools, {"schools": ("Table storage answered 503", "it is retried")}),
    (
        miss_a_school,
        {
            "last night": ("schools done: 1 of 2", "the dead letters of sync-requests"),
            "last sync of school S2": ("none within 7 days", "POST /api/admin/schools/S2/sync"),
        },
    ),
    (
        miss_the_night,
        {
            "last night": ("no night has reached a school within 26 hours", "SYNC_SCHEDULE"),
            "last sync of school S1": ("more than 26 hours ago", "POST /api/admin/schools/S1/sync"),
        },
    ),
    (
        lose_runs,
        {
            "last night": ("not known, because the runs of 1 schools cannot be read", "it is retried"),
            "last sync of school S1": ("Table storage answered 503", "it is retried"),
        },
    ),
]


@pytest.mark.parametrize(("break_it", "expected"), BROKEN, ids=[broken.__name__ for broken, _ in BROKEN])
async def test_what_is_broken_is_the_only_line_that_fails_and_says_what_to_do(
    scene: Scene, break_it: Callable[[Scene], Awaitable[None]], expected: dict[str, tuple[str, str]]
) -> None:
    await break_it(scene)
    failed = {line.name: line for line in await scene.failed()}
    assert failed.keys() == expected.keys()
    for name, (detail, remedy) in expected.items():
        assert detail in failed[name].detail
        assert remedy in failed[name].remedy


async def test_without_the_list_of_schools_the_other_lines_are_there(scene: Scene) -> None:
    scene.state.schools_away = Transient("Table storage answered 503", "it is retried")
    names = [line.name for line in (await scene.health()).lines]
    assert names == ["version", *NAMES[2:9], "schools"]


# --- what is no failure


async def test_a_paused_school_is_not_checked(scene: Scene) -> None:
    await scene.add_school("S2", at=None, enabled=False, pause_reason="new MIS in May")
    scene.fail("source S2", SnapshotRejected("there is no feed", "export it"))
    found = {line.name: line for line in (await scene.health()).lines}
    assert found["source of school S2"].detail == "not checked, because the school is paused (new MIS in May)"
    assert found["last sync of school S2"].detail == "the school is paused (new MIS in May)"
    assert await scene.failed() == []


async def test_a_missing_optional_permission_is_told_and_fails_nothing(scene: Scene) -> None:
    scene.tenant.granted = Grants(frozenset(permission.name for permission in PERMISSIONS if permission.required))
    found = {line.name: line for line in (await scene.health()).lines}
    assert "but not the optional Group.ReadWrite.All (to restore" in found[f"permissions in tenant {TENANT}"].detail
    assert await scene.failed() == []


async def test_a_missing_permission_for_teams_is_a_fault_only_where_a_school_chooses_teams(scene: Scene) -> None:
    names = frozenset(permission.name for permission in PERMISSIONS)
    scene.tenant.granted = Grants(names - {"TeamMember.ReadWrite.All"}, "app")
    assert await scene.failed() == []
    (school,) = await scene.state.schools()
    await scene.state.save_school(replace(school, teams=Teams.CREATE))
    (line,) = await scene.failed()
    assert line.name == f"permissions in tenant {TENANT}"
    assert "TeamMember.ReadWrite.All (to see who is in a team" in line.detail
    assert "--principal=app --teams" in line.remedy


async def test_a_limit_of_graph_that_is_near_is_told(scene: Scene) -> None:
    scene.tenant.told = Told(units=1.0, share=0.9)
    found = {line.name: line.detail for line in (await scene.health()).lines}
    expected = "answers, and does not throttle the app now, and says that 90% of a limit is used"
    assert found[f"Graph in tenant {TENANT}"] == expected


async def test_a_hold_is_told_and_fails_nothing(scene: Scene) -> None:
    await scene.state.write_run(planned("S1", AT_NIGHT, ownerless=("K1",)))
    found = {line.name: line.detail for line in (await scene.health()).lines}
    assert found["last sync of school S1"].endswith("it waits for a person (classes without an owner: 1)")
    assert await scene.failed() == []


# --- whose lines


async def test_an_admin_of_a_school_has_the_lines_of_that_school_alone(scene: Scene) -> None:
    await scene.add_school("S2")
    scene.fail("source S2", SnapshotRejected("there is no feed", "export it"))
    scene.letters.dead.append(letter("sync-requests"))
    health = await health_of_schools(lambda school: school.school == "S1", scene.services)
    assert (health.healthy, [line.name for line in health.lines]) == (True, NAMES[-2:])
    assert scene.checks.made == ["source S1"]


async def test_an_admin_of_a_school_is_told_that_the_schools_cannot_be_read(scene: Scene) -> None:
    scene.state.schools_away = Transient("Table storage answered 503", "it is retried")
    (line,) = (await health_of_schools(lambda _: True, scene.services)).lines
    assert (line.name, line.ok, line.detail) == ("schools", False, "Table storage answered 503")


async def test_no_line_has_a_secret(scene: Scene) -> None:
    scene.secrets[SIGNATURE] = "@Microsoft.KeyVault(SecretUri=https://oak.vault.azure.net/secrets/hook)"
    text = str(await scene.health())
    assert not any(part in text for part in ("a token", "vault.azure", "whsec"))


# --- time, and failures that nobody expected


async def never() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_check_that_hangs_fails_alone(scene: Scene) -> None:
    scene.checks.works["send urgent-changes"] = never
    async with asyncio.timeout(30):
        (line,) = await scene.failed(each=0.2)
    assert (line.name, line.detail) == ("sending to urgent-changes", "no answer within 0.2 s")


async def test_checks_that_find_no_time_are_not_begun_and_say_so(scene: Scene) -> None:
    for number in range(2, 41):
        await scene.add_school(f"S{number}")
        scene.checks.works[f"source S{number}"] = never
    failed = await scene.failed(each=60.0, all=0.5)
    sources = {line.detail for line in failed if line.name.startswith("source")}
    assert sources == {
        "no answer within 60 s",
        "not checked, because the other checks took the 0.5 s that all have together",
    }
    begun = [name for name in scene.checks.made if name.startswith("source")]
    assert len(begun) == 17  # the one that answers, and sixteen at once


async def test_a_failure_that_nobody_expected_is_a_line_without_its_text(scene: Scene) -> None:
    async def fail() -> NoReturn:
        raise KeyError("Amy Smith")

    scene.checks.works["source S1"] = fail
    (line,) = await scene.failed()
    assert line.name == "source of school S1"
    assert line.detail.startswith("the check failed: unexpected KeyError at test_health.py:")
    assert "Amy" not in str(line)
