"""Numbered stories of file drops in a blob container or a folder: each complete set is synced once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from local.nightly import count, drain, run_timer
from local.school.data import SchoolData
from local.school.oneroster_csv import write, write_trust
from tests.flow.trust import Trust, pupils, staff, start_trust, teaching

OAK = SchoolData(
    "OAK",
    "Oak School",
    "1234567",
    2026,
    pupils("amy ben cleo"),
    staff("main"),
    (teaching("T1", "Art", "amy ben", "main"),),
)
ART = "Art.class.1234567.2026"
ELM = SchoolData(
    "ELM",
    "Elm School",
    "7654321",
    2026,
    pupils("dan eve"),
    staff("head"),
    (teaching("T2", "Art", "dan eve", "head"),),
)
ART_AT_ELM = "Art.class.7654321.2026"
CONTAINER = {"kind": "container", "folder": "trust/oak"}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        yield trust


@pytest.fixture(scope="module")
def container(trust: Trust) -> Iterator[ContainerClient]:
    with ContainerClient.from_connection_string(trust.addresses.tables, "drop") as container:
        container.create_container()
        yield container


def export(trust: Trust, art: str) -> dict[str, bytes]:
    """The files of a complete set in which the one group has these pupils."""
    trust.schools["OAK"] = replace(OAK, groups=(replace(OAK.groups[0], pupils=tuple(art.split())),))
    folder = trust.world.folder / "export"
    write(trust.schools["OAK"], folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def upload(container: ContainerClient, files: Mapping[str, bytes], place: str = "") -> None:
    for name, content in files.items():
        container.upload_blob(f"trust/oak/{place}{name}", content, overwrite=True)


def check_drops(trust: Trust) -> None:
    """Run the timer that checks file drops each minute, and wait for the sync that it may start."""
    before, events_before = count(trust.addresses), len(trust.read_events())
    run_timer(trust.addresses, "check_file_drops")
    if any(event["name"] == "file_drop.synced" for event in trust.read_events()[events_before:]):
        drain(trust.addresses, before)


def list_files(container: ContainerClient) -> list[str]:
    return sorted(blob.name.removeprefix("trust/oak/") for blob in container.list_blobs())


def test_01_a_set_in_the_container_is_synced_within_a_minute(trust: Trust, container: ContainerClient) -> None:
    trust.add_school(OAK, source=CONTAINER)
    trust.run_night()
    assert "the file drop has no set of CSV files" in trust.read_last_run("OAK")["notes"][0]
    upload(container, export(trust, "amy ben"))
    check_drops(trust)
    run = trust.read_last_run("OAK")
    assert (run["cause"], run["outcome"]) == ("file_drop", "planned")
    assert trust.read_class(ART)["members"] == "amy ben main"


def test_02_the_same_set_is_not_synced_again_and_a_new_one_is(trust: Trust, container: ContainerClient) -> None:
    runs, before = len(trust.call("GET", "schools/OAK/runs").json()), count(trust.addresses)
    check_drops(trust)
    assert count(trust.addresses).queues == before.queues
    assert len(trust.call("GET", "schools/OAK/runs").json()) == runs
    upload(container, export(trust, "amy cleo"))
    check_drops(trust)
    assert trust.read_class(ART)["members"] == "amy cleo main"


def test_03_an_incomplete_set_is_synced_once_it_is_complete(trust: Trust, container: ContainerClient) -> None:
    files = export(trust, "amy ben cleo")
    users = files.pop("users.csv")
    upload(container, files, "tuesday/")
    check_drops(trust)
    trust.run_night()
    assert trust.read_last_run("OAK")["outcome"] == "planned"
    assert trust.read_class(ART)["members"] == "amy cleo main"
    upload(container, {"users.csv": users}, "tuesday/")
    check_drops(trust)
    assert trust.read_class(ART)["members"] == "amy ben cleo main"


def test_04_a_synced_set_is_archived_and_still_read_by_the_night(trust: Trust, container: ContainerClient) -> None:
    trust.save_settings("OAK", source={**CONTAINER, "after_sync": "archive"})
    upload(container, export(trust, "ben cleo"), "wednesday/")
    check_drops(trust)
    assert trust.read_class(ART)["members"] == "ben cleo main"
    assert all(name.startswith("processed/") for name in list_files(container))
    writes = trust.count_writes()
    trust.run_night()
    assert trust.read_last_run("OAK")["outcome"] == "planned"
    assert trust.count_writes() == writes


def test_05_a_delta_set_builds_on_the_bulk_set_before_it(trust: Trust, container: ContainerClient) -> None:
    files = export(trust, "ben cleo")
    manifest = files["manifest.csv"].replace(b"bulk", b"absent").replace(b"enrollments,absent", b"enrollments,delta")
    header = files["enrollments.csv"].splitlines(keepends=True)[0].decode()
    cells = dict.fromkeys(header.strip().split(","), "")
    cells |= {"sourcedId": "E-new", "status": "active", "classSourcedId": "T1", "schoolSourcedId": "OAK"}
    cells |= {"userSourcedId": "amy", "role": "student"}
    upload(container, {"manifest.csv": manifest, "enrollments.csv": f"{header}{','.join(cells.values())}\n".encode()})
    check_drops(trust)
    assert trust.read_last_run("OAK")["outcome"] == "planned"
    assert trust.read_class(ART)["members"] == "amy ben cleo main"
    assert all(name.startswith("processed/") for name in list_files(container))


def test_06_a_folder_is_a_file_drop_too(trust: Trust) -> None:
    folder = trust.world.folder / "drop"
    trust.save_settings("OAK", source={"kind": "folder", "path": str(folder), "after_sync": "archive"})
    export(trust, "amy ben")
    (trust.world.folder / "export").rename(folder)
    check_drops(trust)
    assert trust.read_class(ART)["members"] == "amy ben main"
    assert [entry.name for entry in Path(folder).iterdir()] == ["processed"]


def test_07_a_complete_but_invalid_set_is_rejected_once_and_removes_nobody(trust: Trust) -> None:
    files = export(trust, "amy ben")
    drop = trust.world.folder / "drop"
    for name, content in files.items():
        (drop / name).write_bytes(content.replace(b"T1", b"T9") if name == "enrollments.csv" else content)
    check_drops(trust)
    run = trust.read_last_run("OAK")
    assert run["outcome"] == "rejected"
    assert "the feed differs too much from the last accepted one" in run["notes"][0]
    listed = trust.call("GET", "schools/OAK/left-out").json()
    assert {(row["field"], row["reason"]) for row in listed["rows"]} == {("classSourcedId", "is not in classes.csv")}
    assert trust.read_class(ART)["members"] == "amy ben main"


def test_08_two_schools_of_one_set_each_get_their_own_people_and_faults(trust: Trust) -> None:
    drop = trust.world.folder / "both"
    source = {"kind": "folder", "path": str(drop)}
    export(trust, "amy ben cleo")
    trust.save_settings("OAK", source=source)
    trust.add_school(ELM, source=source)
    trust.run_night()
    write_trust((trust.schools["OAK"], ELM), drop)
    with (drop / "enrollments.csv").open("a", encoding="utf-8") as table:
        cells = dict.fromkeys((drop / "enrollments.csv").read_text(encoding="utf-8").splitlines()[0].split(","), "")
        cells |= {"sourcedId": "E-bad", "classSourcedId": "T2", "schoolSourcedId": "ELM", "userSourcedId": "fay"}
        table.write(",".join((cells | {"role": "student"}).values()) + "\r\n")
    check_drops(trust)
    for school in ("OAK", "ELM"):
        assert trust.read_last_run(school)["outcome"] == "planned", school
    assert trust.read_class(ART)["members"] == "amy ben cleo main"
    assert trust.read_class(ART_AT_ELM)["members"] == "dan eve head"
    left_out = {school: trust.call("GET", f"schools/{school}/left-out").json()["rows"] for school in ("OAK", "ELM")}
    assert [len(rows) for rows in left_out.values()] == [0, 1]
