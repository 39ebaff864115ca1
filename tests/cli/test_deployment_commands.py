"""Numbered stories of the commands on a deployment: a night, and what its admin sees and decides, over sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.tenant.names import TENANT_ID
from tests.cli.calling import Person
from tests.flow.oak import ART, ART_MAIL, EVERYBODY, FORM_MAIL, HALF, OAK, oak_with
from tests.flow.trust import Trust, start_trust, upn

SETTINGS: dict[str, Any] = {"name": "Oak School", "admin_owners": [upn("head")]}
CLIENT = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_accounts(["head"])
        trust.add_school(OAK, **SETTINGS)
        trust.run_night()
        yield trust


@pytest.fixture(scope="module")
def admin(trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Who has logged in as the admin of all schools, with the Azure CLI."""
    admin = Person(tmp_path_factory.mktemp("admin"))
    admin.sign_in("admin")
    chosen = ("--client", CLIENT, "--tenant", TENANT_ID)
    logged_in = admin.call("login", trust.addresses.host, *chosen)
    assert logged_in.status == 0, logged_in.stderr
    assert logged_in.stdout.startswith(f"{trust.addresses.host} knows you as an admin of 1 school; remembered in ")
    return admin


def set_mis(trust: Trust, *, art: str = EVERYBODY, form: str = HALF) -> None:
    trust.schools["OAK"] = oak_with(art, form)
    trust.save_settings("OAK", **SETTINGS)


def pupils_in(trust: Trust, mail: str) -> str:
    """Without the staff who own the class."""
    return " ".join(name for name in trust.read_class(mail)["members"].split() if name in EVERYBODY)


def test_01_the_token_is_for_the_apps_sign_in_and_no_secret_is_kept(trust: Trust, admin: Person) -> None:
    assert f"--resource api://{CLIENT} --tenant {TENANT_ID}" in admin.az_calls
    (file,) = (admin.home / "settings").rglob("*.json")
    kept = file.read_text(encoding="utf-8")
    assert trust.addresses.host in kept
    assert '"user": ""' in kept


def test_02_schools_and_their_status(trust: Trust, admin: Person) -> None:
    listed = admin.call("schools", "--json")
    assert (listed.status, [school["id"] for school in listed.document]) == (0, ["OAK"])
    assert "OAK  Oak School" in admin.call("schools").stdout
    well = admin.call("status")
    assert (well.status, well.stderr) == (0, "")
    assert "✔  OAK Oak School" in well.stdout
    one = admin.call("status", "OAK", "--json").document
    assert [school["school"] for school in one["schools"]] == ["OAK"]
    assert one["runs"][0]["cause"] == "nightly"
    run = one["runs"][0]["id"]
    assert f"\n{run}" in admin.call("status", "OAK").stdout
    shown = admin.call("status", "OAK", "--run", run)
    assert (shown.status, shown.stdout.splitlines()[0]) == (
        0,
        f"run {run} of school OAK: planned; 3 of 3 classes are as wanted",
    )


def test_03_a_plan_is_shown_and_then_applied_exactly(trust: Trust, admin: Person) -> None:
    set_mis(trust, form="amy ben cleo dan eve gus")
    writes = trust.count_writes()
    planned = admin.call("plan", "--deployed", "OAK")
    assert planned.status == 0, planned.stderr
    *_, command = planned.stdout.splitlines()
    assert command.startswith("To do exactly this: mis-class-sync apply OAK ")
    digest = command.rpartition(" ")[2]
    assert admin.call("plan", "--deployed", "OAK", "--json").document["digest"] == digest
    assert trust.count_writes() == writes
    applied = admin.call("apply", "OAK", digest, "--json")
    assert (applied.status, applied.document["run"]["outcome"], applied.document["progress"]["done"]) == (
        0,
        "planned",
        1,
    )
    assert pupils_in(trust, FORM_MAIL) == "amy ben cleo dan eve gus"
    stale = admin.call("apply", "OAK", digest)
    assert (stale.status, stale.stdout) == (4, "")
    assert stale.stderr.startswith("the plan has changed since it was shown, so nothing was changed")


def test_04_what_is_held_is_shown_and_approved_or_rejected(trust: Trust, admin: Person) -> None:
    assert (admin.call("holds").status, admin.call("holds").stdout) == (0, "0 holds wait for a decision\n")
    set_mis(trust, art=HALF, form="amy ben cleo dan eve gus")
    synced = admin.call("resync", "OAK")
    assert synced.status == 4
    assert "! classes held until an admin decides: 1" in synced.stdout
    shown = admin.call("holds", "OAK")
    assert shown.status == 4
    assert "Art_Class [1234567][2026] (2026.teaching.T1)" in shown.stdout
    assert shown.stdout.endswith("1 hold waits for a decision\n")
    (hold,) = admin.call("holds", "--json").document["OAK"]
    short = hold["digest"][:10]
    assert f"mis-class-sync approve OAK {short}, or mis-class-sync reject OAK {short}" in shown.stdout
    assert admin.call("status").status == 4
    unknown = admin.call("approve", "OAK", "f00d")
    assert (unknown.status, unknown.stderr) == (
        2,
        "school OAK has no hold f00d — see them with 'mis-class-sync holds OAK'\n",
    )
    wrong = admin.call("reject", "OAK", short, "--class", "7Z")
    assert wrong.status == 2
    assert "it has no class 7Z — name each class by a key that the hold lists" in wrong.stderr
    approved = admin.call("approve", "OAK", short, "--class", "Art")
    assert approved.status == 0, approved.stderr
    assert pupils_in(trust, ART_MAIL) == HALF
    assert admin.call("holds", "OAK").status == 0


def test_05_a_person_is_explained(trust: Trust, admin: Person) -> None:
    told = admin.call("explain", "OAK", "Art", upn("kit"))
    assert told.status == 0, told.stderr
    assert told.stdout.startswith("not in the class since ")
    assert admin.call("explain", "OAK", ART, "kit", "--json").document["member"]["there"] is False


def test_06_a_run_is_undone_once_it_is_confirmed(trust: Trust, admin: Person) -> None:
    run = admin.call("status", "OAK", "--json").document["runs"][0]["id"]
    asked = admin.call("undo", "OAK", run)
    assert asked.status == 4
    assert asked.stderr == f"nothing was changed; to undo it: mis-class-sync undo OAK {run} --yes\n"
    assert "members +6" in asked.stdout
    undone = admin.call("undo", "OAK", run, "--yes", "--json")
    assert undone.document["run"]["action"] == f"undo {run}"
    assert pupils_in(trust, ART_MAIL) == " ".join(sorted(EVERYBODY.split()))


def test_07_some_classes_or_a_tenant_are_resynced(trust: Trust, admin: Person) -> None:
    trust.edit_by_hand("add-member", FORM_MAIL, upn=upn("kit"))
    resynced = admin.call("resync", "OAK", "5L")
    # That the pin of another class differs is said by nights.
    assert (resynced.status, "pins that differ" in resynced.stdout) == (0, False)
    assert pupils_in(trust, FORM_MAIL) == "amy ben cleo dan eve gus"
    requested = admin.call("resync", "OAK", "5L", "--no-wait", "--json")
    assert (requested.status, requested.document["run"]) == (0, None)
    whole = admin.call("resync", "--tenant", TENANT_ID, "--json")
    assert (whole.status, set(whole.document)) == (0, {"run"})


def test_08_pinned_classes_follow_the_mis_again_once_they_are_released(trust: Trust, admin: Person) -> None:
    released = admin.call("release", "OAK", "Art", "--json")
    assert released.document["run"]["action"] == "release"
    assert admin.call("release", "OAK").status == 4
    assert trust.call("GET", "schools/OAK/pins").json() == []


def test_09_people_without_an_account_are_listed_with_what_was_looked_for(trust: Trust, admin: Person) -> None:
    assert admin.call("people", "OAK").stdout == "every person finds an account of their own\n"
    trust.delete_account("lea")
    trust.run_night()
    found = admin.call("people", "OAK", "--json")
    assert (found.status, [person["person"] for person in found.document["people"]]) == (4, ["lea"])
    shown = admin.call("people", "OAK", "--finding", "no_account").stdout
    assert [word for word in shown.split() if word in ("lea", "student", "username")][:2] == ["lea", "student"]


def test_10_the_health_of_the_app(admin: Person) -> None:
    checked = admin.call("doctor")
    assert "version: MIS Class Sync" in checked.stdout
    listed = admin.call("doctor", "--json")
    assert listed.status == checked.status == (0 if listed.document["healthy"] else 1)


def test_11_a_test_user_of_a_local_world_needs_no_azure_cli(trust: Trust, tmp_path: Path) -> None:
    stranger = Person(tmp_path)
    assert stranger.call("login", trust.addresses.host, "--as", "admin", "--json").document["schools"] == 1
    assert stranger.call("schools").status == 0
    other = stranger.call("login", trust.addresses.host, "--as", "head")
    assert (other.status, other.stderr) == (
        2,
        f"{trust.addresses.host} does not accept your sign-in — log in again as one of the test users\n",
    )
    refused = stranger.call("login", "https://app.example", "--as", "admin")
    assert (refused.status, "is not on this machine" in refused.stderr) == (2, True)


def test_12_who_has_no_role_is_told_which_and_is_not_logged_in(trust: Trust, tmp_path: Path) -> None:
    visitor = Person(tmp_path)
    visitor.sign_in("visitor")
    refused = visitor.call("login", trust.addresses.host, "--client", CLIENT, "--tenant", TENANT_ID)
    assert (refused.status, refused.stderr) == (
        2,
        "this needs the app role GroupSync.Admin — ask an admin to assign it to you under Enterprise applications in "
        "Entra ID\n",
    )
    assert "you have not logged in to a deployment yet" in visitor.call("schools").stderr
