"""Numbered stories of broken feeds: no class loses anybody, and the admin reads why the feed or plan was stopped."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from local.school.data import SchoolData, SchoolGroup
from local.school.generate import generate
from sync_core.domain.runs import HoldKind, RunOutcome
from tests.flow.trust import Trust, keys_of, start_trust

# User names include a domain, as in exports of schools that use their trust's domain.
DOMAIN = "school.onmicrosoft.com"
GENERATED = generate(pupils=60)
SCHOOL = replace(
    GENERATED,
    pupils=tuple(replace(pupil, username="", email=f"{pupil.id.lower()}@{DOMAIN}") for pupil in GENERATED.pupils),
    staff=tuple(replace(person, username="", email=f"{person.id.lower()}@{DOMAIN}") for person in GENERATED.staff),
)
ID = SCHOOL.id
FORMS = [group for group in SCHOOL.groups if group.homeroom]
SETS = [group for group in SCHOOL.groups if not group.homeroom]


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        people = (*SCHOOL.pupils, *SCHOOL.staff)
        trust.add_accounts(person.email.partition("@")[0] for person in people)
        trust.schools[ID] = SCHOOL
        trust.save_settings(ID)
        trust.run_night()
        yield trust


@pytest.fixture(autouse=True)
def restore_feed(trust: Trust) -> Iterator[None]:
    """After each story, sync the correct feed and check that every class is as before."""
    before = people(trust)
    yield
    trust.schools[ID] = SCHOOL
    trust.save_settings(ID)
    trust.run_night()
    run = trust.read_last_run(ID)
    assert (run["outcome"], run["held"], run["created"]) == (RunOutcome.PLANNED, [], [])
    assert people(trust) == before


def feed_folder(trust: Trust) -> Path:
    return trust.world.folder / f"feed {ID}"


def people(trust: Trust) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """The owners and members of each class by mail nickname."""
    listed = trust.list_classes()
    return {class_["mailNickname"]: (tuple(class_["owners"]), tuple(class_["members"])) for class_ in listed}


def pupils_of(trust: Trust) -> dict[str, set[str]]:
    return {nickname: set(members) - set(owners) for nickname, (owners, members) in people(trust).items()}


def sync_feed(trust: Trust, data: SchoolData, spoil: Callable[[Path], None] = lambda _: None) -> dict[str, Any]:
    """Write the feed, spoil it, run a night and check that no class lost anybody. Returns the run."""
    trust.schools[ID] = data
    before = people(trust)
    trust.run_night(lambda: spoil(feed_folder(trust)))
    after = people(trust)
    for nickname, (owners, members) in before.items():
        assert set(owners) <= set(after[nickname][0])
        assert set(members) <= set(after[nickname][1])
    return trust.read_last_run(ID)


def rejected(run: dict[str, Any]) -> str:
    """The notes of a run that rejected its feed."""
    assert run["outcome"] == RunOutcome.REJECTED
    assert (run["created"], run["changed"]) == ([], [])
    return " — ".join(run["notes"])


def keyed(hold: Mapping[str, Any]) -> str:
    """What is held as notes say it, which are in logs: with the keys of classes, and without their names."""
    what = str(hold["what"])
    for part in hold["classes"]:
        with_name = rf"(class {re.escape(part['key'])}) \(.*?\) (?={re.escape(part['what'])})"
        what = re.sub(with_name, r"\1 ", what)
    return what


def held(
    trust: Trust, run: dict[str, Any], remedy: str = "approve this hold if the MIS is right"
) -> list[dict[str, Any]]:
    """The open holds after a night. Its run reports them too."""
    assert run["outcome"] == RunOutcome.PLANNED
    listed: list[dict[str, Any]] = trust.call("GET", f"schools/{ID}/holds").json()
    assert {key for hold in listed for key in keys_of(hold)} == set(run["held"])
    assert all(
        any(f"hold {hold['digest']} ({hold['kind']}): {keyed(hold)}" in note for note in run["notes"])
        for hold in listed
    )
    assert all(remedy in hold["remedy"] for hold in listed)
    return listed


def rewrite_rows(folder: Path, name: str, change: Callable[[dict[str, str]], list[dict[str, str]]]) -> None:
    """Rewrite a file of the feed row by row."""
    with (folder / name).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        columns, changed = list(reader.fieldnames or ()), [row for old in reader for row in change(old)]
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(changed)


def change_groups(change: Callable[[SchoolGroup], SchoolGroup]) -> SchoolData:
    return replace(SCHOOL, groups=tuple(change(group) for group in SCHOOL.groups))


def test_01_an_empty_feed_is_rejected(trust: Trust) -> None:
    def spoil(folder: Path) -> None:
        for name in ("classes.csv", "users.csv", "enrollments.csv"):
            rewrite_rows(folder, name, lambda _: [])

    assert "the feed has no school with a group in it" in rejected(sync_feed(trust, SCHOOL, spoil))


def test_02_half_a_feed_is_rejected(trust: Trust) -> None:
    words = rejected(sync_feed(trust, replace(SCHOOL, groups=SCHOOL.groups[::2])))
    assert "groups of 2026/27 and the last accepted one had 38: under 80%" in words
    assert "enrolments of 2026/27 and the last accepted one had" in words
    assert "forget the accepted statistics" in words


def test_03_the_feed_of_another_school_is_rejected(trust: Trust) -> None:
    assert "its DfE code is 7654321 and was 9164023" in rejected(sync_feed(trust, replace(SCHOOL, dfe_code="7654321")))
    assert f"no school {ID}, but 1 other" in rejected(sync_feed(trust, replace(SCHOOL, id="ELSE")))


def test_04_a_truncated_zip_file_is_rejected(trust: Trust) -> None:
    torn = trust.world.folder / "export.zip"
    torn.write_bytes(b"PK\x03\x04" + os.urandom(400))
    trust.save_settings(ID, source={"kind": "folder", "path": str(torn)})
    assert "the export is not a complete zip file" in rejected(sync_feed(trust, SCHOOL))


def test_05_a_feed_with_swapped_columns_is_rejected_or_held(trust: Trust) -> None:
    def ids(row: dict[str, str]) -> list[dict[str, str]]:
        return [row | {"classSourcedId": row["userSourcedId"], "userSourcedId": row["classSourcedId"]}]

    words = rejected(sync_feed(trust, SCHOOL, lambda folder: rewrite_rows(folder, "enrollments.csv", ids)))
    assert 'enrollments.csv line 2, column "classSourcedId"' in words

    def names(row: dict[str, str]) -> list[dict[str, str]]:
        return [row | {"email": row["familyName"], "familyName": row["email"]}]

    run = sync_feed(trust, SCHOOL, lambda folder: rewrite_rows(folder, "users.csv", names))
    (hold,) = held(trust, run, "compare students, staff and account_domain")
    assert hold["kind"] == HoldKind.ACCOUNT_MATCHING
    assert "of 60 students find no account" in hold["what"]


def test_06_last_years_feed_is_rejected(trust: Trust) -> None:
    words = rejected(sync_feed(trust, replace(SCHOOL, starts=2025)))
    assert "its academic year is 2025, before 2026 in the last accepted one" in words


def test_07_last_weeks_feed_is_rejected(trust: Trust) -> None:
    def spoil(folder: Path) -> None:
        week_ago = datetime.now().timestamp() - 7 * 24 * 3600
        for file in folder.iterdir():
            os.utime(file, (week_ago, week_ago))

    assert "before the last accepted one" in rejected(sync_feed(trust, change_groups(lambda group: group), spoil))


def test_08_rows_that_say_nothing_new_or_nothing_at_all_are_left_out(trust: Trust) -> None:
    """Every row stands twice, and the enrolments have two of a pupil who left."""
    leaver = {"userSourcedId": "leaver", "sourcedId": "E0"}

    def spoil(folder: Path) -> None:
        for name in ("classes.csv", "users.csv", "enrollments.csv"):
            rewrite_rows(folder, name, lambda row: [row, row])
        first = FORMS[0].id
        rows = iter([1, 2])
        rewrite_rows(
            folder,
            "enrollments.csv",
            lambda row: [row, row | leaver] if row["classSourcedId"] == first and next(rows, 0) else [row],
        )

    run = sync_feed(trust, SCHOOL, spoil)
    assert (run["outcome"], run["changed"], run["ended"], run["left_out"]) == (RunOutcome.PLANNED, [], [], 2)
    assert any(note.startswith("2 rows of the feed were left out, and nobody left a class") for note in run["notes"])
    listed = trust.call("GET", f"schools/{ID}/left-out").json()
    assert (listed["run"], listed["count"], len(listed["rows"])) == (run["id"], 2, 2)
    row = listed["rows"][0]
    assert (row["source"], row["field"], row["shape"]) == ("enrollments.csv", "userSourcedId", "6 letters")
    assert (row["reason"], row["school"]) == ("is not in users.csv", ID)
    file = trust.call("GET", f"schools/{ID}/left-out", accept="text/csv")
    assert file.headers["content-type"].startswith("text/csv")
    assert list(csv.DictReader(file.text.splitlines())) == listed["rows"]
    assert "leaver" not in file.text
    assert sync_feed(trust, SCHOOL)["left_out"] == 0
    assert trust.call("GET", f"schools/{ID}/left-out").json()["rows"] == []


def test_09_a_feed_with_another_tenants_domain_is_rejected(trust: Trust) -> None:
    def spoil(folder: Path) -> None:
        rewrite_rows(folder, "users.csv", lambda row: [row | {"email": row["email"].replace(DOMAIN, "else.org")}])

    words = rejected(sync_feed(trust, SCHOOL, spoil))
    assert f"most of its addresses end in else.org, and most ended in {DOMAIN} before" in words


def test_10_a_feed_without_teachers_is_rejected(trust: Trust) -> None:
    words = rejected(sync_feed(trust, change_groups(lambda group: replace(group, staff=()))))
    assert "it has no teaching staff and the last accepted one had 6" in words


def test_11_an_emptied_class_is_held(trust: Trust) -> None:
    form = FORMS[0]

    def empty(group: SchoolGroup) -> SchoolGroup:
        return replace(group, pupils=()) if group.id == form.id else group

    (hold,) = held(trust, sync_feed(trust, change_groups(empty)))
    assert hold["kind"] == HoldKind.GROUP_EMPTIED
    assert f"would lose {len(form.pupils)} of {len(form.pupils)} students, which is everybody" in hold["what"]


def test_12_a_slow_leak_over_ten_nights_is_held(trust: Trust) -> None:
    """A few enrolments are lost every night, never enough for the limits of one plan."""
    memberships = sum(map(len, pupils_of(trust).values()))
    leaking, kinds = SCHOOL, []
    for night in range(10):
        losing = {SCHOOL.groups[place % len(SCHOOL.groups)].id for place in range(8 * night, 8 * night + 8)}
        groups = (replace(group, pupils=group.pupils[1:]) if group.id in losing else group for group in leaking.groups)
        leaking = replace(leaking, groups=tuple(groups))
        trust.schools[ID] = leaking
        trust.run_night()
        kinds.append([hold["kind"] for hold in held(trust, trust.read_last_run(ID))])
    assert kinds == [[]] * 8 + [[HoldKind.SLOW_LEAK]] * 2
    left = sum(map(len, pupils_of(trust).values()))
    assert (memberships, memberships - left) == (326, 64)
    (hold,) = trust.call("GET", f"schools/{ID}/holds").json()
    assert "the school would lose 80 of 326 memberships in seven days: over 20%; 16 of them now" in hold["what"]


def test_13_a_rollover_without_a_new_year_is_held(trust: Trust) -> None:
    """The groups have next year's pupils, and the feed still names this year."""
    moved = {form.id: FORMS[place - 1].pupils for place, form in enumerate(FORMS)}

    def roll(group: SchoolGroup) -> SchoolGroup:
        return replace(group, pupils=moved.get(group.id, group.pupils))

    before = people(trust)
    (hold,) = held(trust, sync_feed(trust, change_groups(roll)))
    assert hold["kind"] == HoldKind.TURNOVER
    assert len(hold["classes"]) == len(FORMS)
    assert people(trust) == before
    assert "a turnover of over 80%" in hold["what"]
    assert all("a turnover of over 80%" in part["what"] for part in hold["classes"])
