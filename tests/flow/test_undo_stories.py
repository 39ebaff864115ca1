"""Numbered stories of undo: earlier members are restored, and the class is pinned until an admin releases it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from local.nightly import count, drain
from local.school.data import SchoolData
from sync_core.domain.classes.record import ClassState
from sync_core.domain.ids import SchoolId
from sync_core.domain.runs import HoldKind, RunOutcome
from sync_core.messaging.messages import SYNC_REQUESTS, UndoRun, encode
from tests.flow.trust import Trust, conflict, pupils, registration, staff, start_trust, teaching, upn

CLASS = "amy ben cleo dan eve fay gus hal ida jon"
OTHERS = "kit lea max nia oli pam"
ELM = SchoolData(
    "ELM",
    "Elm School",
    "1234567",
    2026,
    pupils(f"{CLASS} {OTHERS}"),
    staff("main second tutor"),
    (teaching("T1", "Art", CLASS, "main"), registration("R1", "5L", CLASS, "tutor")),
)
MUSIC = teaching("T2", "Music", OTHERS, "second")
ART, FORM = "2026.teaching.T1", "2026.registration.R1"
ART_MAIL, FORM_MAIL = "Art.class.1234567.2026", "5L.class.1234567.2026"
SETTINGS: dict[str, Any] = {"departed_owners": "revoke", "teaching_owners": "all"}
NO_SCHOOL_LIMITS = {"school_loss": 1, "week_loss": 1}
BEFORE, AFTER = f"{CLASS} main", "amy ben cleo dan eve fay gus hal kit main second"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_school(ELM, limits=NO_SCHOOL_LIMITS, **SETTINGS)
        trust.run_night()
        yield trust


def set_mis(trust: Trust, art: str, teachers: str = "main", *more: Any) -> None:
    """Change the MIS, without a sync."""
    groups = (teaching("T1", "Art", art, teachers), registration("R1", "5L", CLASS, "tutor"), *more)
    trust.schools["ELM"] = replace(ELM, groups=groups)


def last_nightly_run(trust: Trust) -> str:
    runs = trust.call("GET", "schools/ELM/runs").json()
    return str([run["id"] for run in runs if run["cause"] == "nightly"][-1])


def art_members(trust: Trust) -> str:
    return str(trust.read_class(ART_MAIL)["members"])


def undo_run(trust: Trust, run: str) -> dict[str, Any]:
    return dict(trust.run_action("POST", f"schools/ELM/runs/{run}/undo"))


def test_01_undoing_a_run_restores_its_classes_and_pins_them(trust: Trust) -> None:
    set_mis(trust, "amy ben cleo dan eve fay gus hal kit", "main second")
    trust.run_night()
    assert (art_members(trust), trust.read_class(ART_MAIL)["owners"]) == (AFTER, "main second")

    night = last_nightly_run(trust)
    run = undo_run(trust, night)
    assert (run["outcome"], run["action"], run["changed"]) == (RunOutcome.PLANNED, f"undo {night}", [ART])
    assert f"classes that are pinned as they were before run {night}: 1 — release the pin" in run["notes"][-1]
    assert (art_members(trust), trust.read_class(ART_MAIL)["owners"]) == (BEFORE, "main")
    states = {key: trust.read_status("ELM", key)["state"] for key in (ART, FORM)}
    assert states == {ART: ClassState.PINNED, FORM: ClassState.LIVE}


def test_02_the_next_night_changes_nothing(trust: Trust) -> None:
    writes = trust.count_writes()
    trust.run_night()
    assert trust.count_writes() == writes
    assert trust.read_last_run("ELM")["unchanged"] == 3


def test_03_an_edit_by_hand_in_a_pinned_class_stays(trust: Trust) -> None:
    trust.edit_by_hand("add-member", ART_MAIL, upn=upn("nia"))
    trust.run_night()
    assert art_members(trust) == "amy ben cleo dan eve fay gus hal ida jon main nia"
    assert trust.read_status("ELM", ART)["state"] == ClassState.PINNED


def test_04_a_pinned_class_is_not_resynced(trust: Trust) -> None:
    answer = trust.call("POST", f"schools/ELM/classes/{ART}/resync", expected=409).json()
    assert answer == conflict(f"class {ART} is pinned", "release it first")


def test_05_an_undo_can_be_undone(trust: Trust) -> None:
    undone = [run["id"] for run in trust.call("GET", "schools/ELM/runs").json() if run["action"].startswith("undo")]
    undo_run(trust, undone[-1])
    assert (art_members(trust), trust.read_class(ART_MAIL)["owners"]) == (AFTER, "main second")
    assert trust.read_status("ELM", ART)["state"] == ClassState.PINNED
    undo_run(trust, trust.read_last_run("ELM")["id"])
    assert (art_members(trust), trust.read_class(ART_MAIL)["owners"]) == (f"{BEFORE} nia", "main")


def test_06_a_released_class_follows_the_mis_at_once(trust: Trust) -> None:
    run = trust.run_action("DELETE", f"schools/ELM/classes/{ART}/pin")
    assert (run["action"], run["changed"]) == ("release", [ART])
    assert (art_members(trust), trust.read_status("ELM", ART)["state"]) == (AFTER, ClassState.LIVE)
    answer = trust.call("DELETE", f"schools/ELM/classes/{ART}/pin", expected=409).json()
    assert answer["what"] == f"class {ART} is not pinned"


def test_07_undo_leaves_a_class_that_the_run_created(trust: Trust) -> None:
    set_mis(trust, "amy ben cleo dan eve fay gus hal", "main", MUSIC)
    trust.run_night()
    run = undo_run(trust, last_nightly_run(trust))
    assert run["changed"] == [ART]
    assert run["notes"][-1] == (
        "class 2026.teaching.T2 was made by that run and stays as it is — it follows the MIS as before"
    )
    assert art_members(trust) == AFTER
    assert trust.read_class("Music.class.1234567.2026")["members"] == f"{OTHERS} second"


def test_08_all_pins_are_released_together(trust: Trust) -> None:
    assert trust.run_action("DELETE", "schools/ELM/pins")["changed"] == [ART]
    assert art_members(trust) == "amy ben cleo dan eve fay gus hal main"
    answer = trust.call("DELETE", "schools/ELM/pins", expected=409).json()
    assert answer == conflict("no class of school ELM is pinned", "there is nothing to release")


def test_09_an_undo_over_the_limits_is_held_until_it_is_approved(trust: Trust) -> None:
    set_mis(trust, f"{CLASS} {OTHERS}", "main", MUSIC)
    trust.save_settings("ELM", limits=NO_SCHOOL_LIMITS | {"class_loss": 0.3}, **SETTINGS)
    trust.run_night()
    assert art_members(trust) == f"{CLASS} kit lea main max nia oli pam"
    run = undo_run(trust, last_nightly_run(trust))
    assert (run["held"], run["changed"]) == ([ART], [])
    (hold,) = trust.call("GET", "schools/ELM/holds").json()
    assert hold["kind"] == HoldKind.PINNED
    assert len(art_members(trust).split()) == 17

    trust.run_night()
    assert [open_hold["digest"] for open_hold in trust.call("GET", "schools/ELM/holds").json()] == [hold["digest"]]
    trust.run_action("POST", f"schools/ELM/holds/{hold['digest']}/approve")
    assert art_members(trust) == "amy ben cleo dan eve fay gus hal main"
    assert trust.read_status("ELM", ART)["state"] == ClassState.PINNED


def test_10_a_broken_feed_does_not_prevent_an_undo(trust: Trust) -> None:
    trust.run_action("DELETE", "schools/ELM/pins")
    assert len(art_members(trust).split()) == 17
    set_mis(trust, f"{CLASS} kit lea max nia oli", "main", MUSIC)
    trust.run_night()
    night = last_nightly_run(trust)
    feed = trust.world.folder / "feed ELM"
    for file in feed.iterdir():
        file.write_text("", encoding="utf-8")
    assert undo_run(trust, night)["outcome"] == RunOutcome.PLANNED
    assert art_members(trust) == f"{CLASS} kit lea main max nia oli pam"


def test_11_a_redelivered_undo_does_nothing(trust: Trust) -> None:
    first = trust.read_last_run("ELM")
    trust.run_night()
    trust.run_action("DELETE", "schools/ELM/pins")
    members, before = art_members(trust), count(trust.addresses)
    late = UndoRun(SchoolId("ELM"), first["action"].removeprefix("undo "), first["id"])
    trust.send(SYNC_REQUESTS, ServiceBusMessage(encode(late), session_id="ELM"))
    drain(trust.addresses, before)
    assert (art_members(trust), trust.read_status("ELM", ART)["state"]) == (members, ClassState.LIVE)


def test_12_an_undo_that_is_impossible_is_rejected_at_once(trust: Trust) -> None:
    trust.call("POST", "schools/ELM/runs/none/undo", expected=404)
    trust.run_night()
    trust.run_night()
    answer = trust.call("POST", f"schools/ELM/runs/{last_nightly_run(trust)}/undo", expected=409).json()
    assert answer["what"] == f"nothing that run {last_nightly_run(trust)} did is on record"
    for method, path in (("POST", "runs/none/undo"), ("DELETE", f"classes/{ART}/pin"), ("DELETE", "pins")):
        trust.call(method, f"schools/ELM/{path}", "teacher", expected=403)
