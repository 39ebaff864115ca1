"""Numbered stories of the nightly sync, in order in one world: each night starts where the last one ended."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import loopback
from local.expectation import ByHand
from local.school.data import SchoolGroup, Staffing
from local.school.oneroster_csv import write
from local.tenant.names import DOMAIN
from sync_core.errors import SnapshotRejected, UnknownSetting
from tests.flow.conftest import ADMIN, Story
from tests.waiting import wait_until

CLASSES = 38
"""Seven year groups, seven forms and twenty-four sets."""


def test_01_the_first_night_creates_the_classes(story: Story) -> None:
    report = story.run_night()
    (school,) = report.schools
    assert (school.groups, school.classes.created, school.classes.unchanged) == (CLASSES, CLASSES, 0)
    assert story.find_differences() == []
    assert report.good
    assert report.messages.sent == report.messages.applied == 3 * CLASSES
    # One write per class, one per owner, one per twenty members; and three reads: the two deltas, and the list of the
    # tenant's classes, because classes are created.
    owners = sum(len(class_["owners"]) for class_ in story.classes_by_nickname().values())
    member_writes = sum(-(-len(class_["members"]) // 20) for class_ in story.classes_by_nickname().values())
    assert report.graph.writes == CLASSES + owners + member_writes
    assert report.graph.requests == report.graph.writes + 3


def test_02_a_second_night_changes_nothing(story: Story) -> None:
    report = story.run_night()
    (school,) = report.schools
    assert school.classes.unchanged == CLASSES
    assert report.messages.sent == 0
    assert (report.graph.requests, report.graph.writes) == (2, 0)


def test_03_a_pupil_who_moves_set_changes_class(story: Story) -> None:
    groups = {group.id: group for group in story.school.groups}
    old, new = groups["C001"], groups["C008"]
    pupil = old.pupils[0]
    moved = {
        "C001": replace(old, pupils=old.pupils[1:]),
        "C008": replace(new, pupils=tuple(sorted({*new.pupils, pupil}))),
    }
    story.school = replace(story.school, groups=tuple(moved.get(group.id, group) for group in story.school.groups))
    report = story.run_night()
    (school,) = report.schools
    assert school.members_removed == 1
    assert school.classes.changed == (1 if pupil in new.pupils else 2)
    assert story.find_differences() == []


def test_04_a_member_added_by_hand_is_removed_and_an_owner_and_a_name_stay(story: Story) -> None:
    pupil = f"{story.school.pupils[-1].username}@{DOMAIN}"
    teacher = f"{story.school.staff[0].username}@{DOMAIN}"
    with_member, with_owner, renamed = (f"{form}.class.9164023.2026" for form in ("7A", "8A", "9A"))
    story.edit_by_hand("add-member", with_member, upn=pupil)
    story.edit_by_hand("add-owner", with_owner, upn=teacher)
    story.edit_by_hand("rename", renamed, name="Our form")
    report = story.run_night()
    lasting = ByHand({with_owner: frozenset({teacher.lower()})}, {renamed: "Our form"})
    assert story.find_differences(lasting) == []
    assert report.schools[0].members_removed == 1
    assert report.messages.sent >= 1
    again = story.run_night()
    assert (again.messages.sent, again.graph.writes) == (0, 0)
    assert story.find_differences(lasting) == []
    story.edit_by_hand("remove-owner", with_owner, upn=teacher)
    story.edit_by_hand("rename", renamed, name="9A_Class [9164023][2026]")


def test_05_a_new_group_becomes_a_class(story: Story) -> None:
    pupils = tuple(pupil.id for pupil in story.school.pupils[:5])
    fresh = SchoolGroup("C999", "New & fine", False, (Staffing(story.school.staff[1].id, True),), pupils)
    story.school = replace(story.school, groups=(*story.school.groups, fresh))
    report = story.run_night()
    assert report.schools[0].classes.created == 1
    assert story.classes_by_nickname()["New-fine.class.9164023.2026"]["displayName"] == "New-fine_Class [9164023][2026]"
    assert story.find_differences() == []


def test_06_a_truncated_feed_changes_nothing(story: Story, tmp_path: Path) -> None:
    before, writes = story.classes_by_nickname(), story.read_stats()["writes"]
    enrolments = story.feed / "enrollments.csv"
    complete = enrolments.read_text(encoding="utf-8")
    enrolments.write_text(complete[: len(complete) // 2], encoding="utf-8")
    with pytest.raises(SnapshotRejected, match="line"):
        story.sync(story.feed)
    assert story.classes_by_nickname() == before
    assert story.read_stats()["writes"] == writes
    enrolments.write_text(complete, encoding="utf-8")


def test_07_a_feed_that_the_timer_finds_truncated_is_rejected_and_reported(story: Story) -> None:
    """The timer reads the truncated feed without a check before it."""
    before = story.read_stats()["writes"]
    orgs = story.feed / "orgs.csv"
    complete = orgs.read_text(encoding="utf-8")
    orgs.write_text("", encoding="utf-8")
    key = {"x-functions-key": "local"}
    loopback.post(f"{story.addresses.host}/admin/functions/nightly_sync", json={}, headers=key).raise_for_status()

    def rejections() -> list[dict[str, Any]]:
        return [event for event in story.read_events() if event["name"] == "school.rejected"]

    wait_until(rejections)
    assert "orgs.csv is empty" in rejections()[0]["notes"]
    assert story.read_stats()["writes"] == before
    orgs.write_text(complete, encoding="utf-8")


def test_08_a_class_emptied_in_the_feed_is_held_and_keeps_its_people(story: Story) -> None:
    emptied = tuple(replace(group, pupils=()) if group.id == "C002" else group for group in story.school.groups)
    before = story.classes_by_nickname()
    complete = story.school
    story.school = replace(complete, groups=emptied)
    report = story.run_night()
    assert report.schools[0].classes.held == 1
    assert report.schools[0].members_removed == 0
    assert story.classes_by_nickname() == before
    story.school = complete
    assert story.run_night().schools[0].classes.held == 0


def test_09_a_person_without_an_account_is_reported_and_the_rest_is_synced(story: Story) -> None:
    unknown = replace(story.school.pupils[0], id="P9999", username="Nobody", email="")
    group = next(group for group in story.school.groups if group.id == "C003")
    joined = replace(group, pupils=(*group.pupils[1:], "P9999"))
    complete = story.school
    story.school = replace(
        complete,
        pupils=(*complete.pupils, unknown),
        groups=tuple(joined if group.id == "C003" else group for group in complete.groups),
    )
    staff_accounts = [(f"{person.username}@{DOMAIN}", "") for person in complete.staff if person.username]
    write(story.school, story.feed)
    report = story.sync(story.feed, staff_accounts)
    (school,) = report.schools
    assert school.people_without_account == 1
    assert school.members_removed == 1
    assert any("people who find no account (1), by MIS id: P9999" in note for note in report.notes)
    assert not any("Nobody" in note for note in report.notes)
    story.school = complete
    story.run_night()
    assert story.find_differences() == []


def test_10_a_class_deleted_by_hand_is_left_alone_and_a_restored_one_is_synced_again(story: Story) -> None:
    nickname = "10A.class.9164023.2026"
    story.edit_by_hand("delete", nickname)
    report = story.run_night()
    assert report.graph.writes == 0
    assert any("is gone from Microsoft 365" in note for note in report.notes)
    assert story.classes_by_nickname()[nickname]["deleted"]
    story.edit_by_hand("restore", nickname)
    story.edit_by_hand("add-member", nickname, upn=f"{story.school.pupils[0].username}@{DOMAIN}")
    story.run_night()
    assert story.find_differences() == []


def test_11_an_admin_owns_a_class_that_nobody_teaches(story: Story) -> None:
    form = story.classes_by_nickname()["7A.class.9164023.2026"]
    assert form["owners"] == [ADMIN]
    assert ADMIN in form["members"]


def test_12_an_unknown_setting_stops_the_night_before_it_starts(story: Story) -> None:
    before = story.read_stats()["requests"]
    with pytest.raises(UnknownSetting, match="colour"):
        replace(story, settings={"colour": "red"}).run_night()
    assert story.read_stats()["requests"] == before


def test_13_no_name_or_address_was_logged_and_no_person_was_deleted(story: Story) -> None:
    logs = "".join(
        (story.world.folder / name).read_text(encoding="utf-8") for name in ("host.log", "host.jsonl", "servicebus.log")
    ).lower()
    for person in (*story.school.pupils, *story.school.staff):
        for private in (f"{person.username}@".lower(), f"{person.given} {person.family}".lower()):
            assert len(private) < 4 or private not in logs
    assert story.read_stats()["forbidden_deletes"] == 0
    assert json.dumps(story.read_stats()).count("PATCH /groups/{id}") == 1


def test_14_the_host_reports_its_health(story: Story) -> None:
    answer = loopback.get(f"{story.addresses.host}/api/health")
    assert (answer.status_code, answer.json()) == (200, {"health": "healthy"})
