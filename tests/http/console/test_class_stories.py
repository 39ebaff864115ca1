"""Numbered stories in a real browser: the groups of a school and one class, for an admin; and what a teacher sees."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from local.nightly import count, drain
from local.school.data import SchoolData
from local.world import USERS
from tests.flow.trust import STAFF_ROOM, Trust, pupils, registration, staff, start_trust, teaching, upn
from tests.http.console.browser import Visitor, visit

OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils("amy ben cleo"), staff("main second colleague.user"),
    (
        teaching("T1", "10A/Ma1", "amy ben", "main second"),
        registration("R1", "5L", "amy cleo", "colleague.user"),
        teaching("T2", "<script>alert(1)</script>", "cleo", "colleague.user"),
    ),
)  # fmt: skip
MATHS = "/schools/OAK/classes/2026.teaching.T1"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("classes"), storage) as trust:
        trust.add_more_users()
        trust.add_school(OAK, types=["teaching"], access=[STAFF_ROOM])
        trust.run_night()
        yield trust


@pytest.fixture(scope="module")
def teacher(trust: Trust, browser: Browser, pictures: Path | None) -> Iterator[Visitor]:
    with visit(browser, trust.addresses.host, "colleague", pictures) as visitor:
        yield visitor


def rows(visitor: Visitor) -> list[list[str]]:
    return [
        [cell.strip() for cell in row.inner_text().split("\t")] for row in visitor.page.query_selector_all("tbody tr")
    ]


def press(trust: Trust, visitor: Visitor, button: str) -> None:
    """Press a button that requests something, and wait until the queues are empty."""
    before = count(trust.addresses)
    visitor.page.click(f"button:has-text('{button}')")
    drain(trust.addresses, before)


def test_01_groups_are_shown_as_recorded_and_then_as_the_mis_has_them(admin: Visitor) -> None:
    admin.open("/schools/OAK/groups")
    assert [row[1:7] for row in rows(admin)] == [
        ["<script>alert(1)</script>", "Teaching", "2026", "2", "1", "✔ live"],
        ["10A/Ma1", "Teaching", "2026", "3", "1", "✔ live"],
    ]
    admin.check("groups")
    admin.page.click("text=Read the MIS now")
    assert "The MIS was read for this page today" in admin.page.inner_text("main")
    assert [row[1:7] for row in rows(admin)] == [
        ["7", "Year", "2026", "3", "0", "● no class"],
        ["5L", "Registration", "2026", "2", "1", "● no class"],
        ["<script>alert(1)</script>", "Teaching", "2026", "1", "1", "✔ live"],
        ["10A/Ma1", "Teaching", "2026", "2", "2", "✔ live"],
    ]
    admin.check("groups-mis")


def test_02_a_filter_leaves_the_groups_that_fit(admin: Visitor) -> None:
    page = admin.open("/schools/OAK/groups")
    page.fill("#name", "10a")
    page.click("button:has-text('Filter')")
    assert [row[1] for row in rows(admin)] == ["10A/Ma1"]
    page.fill("#name", "nothing")
    page.click("button:has-text('Filter')")
    assert "No group fits this filter" in page.inner_text("main")
    admin.check("groups-none")


def test_03_several_classes_are_resynced_by_one_run(trust: Trust, admin: Visitor) -> None:
    page = admin.open("/schools/OAK/groups")
    for box in page.query_selector_all("input[name=key]"):
        box.check()
    page.click("button:has-text('Resync members')")
    admin.check("groups-resync")
    press(trust, admin, "Resync members")
    run = trust.read_last_run("OAK")
    assert page.url.endswith(f"/schools/OAK/runs/{run['id']}")
    assert (run["groups"], run["requested_by"]) == (2, USERS["admin"]["id"])


def test_04_a_class_shows_by_name_who_differs_and_what_the_mis_says(trust: Trust, admin: Visitor) -> None:
    trust.edit_by_hand("remove-member", "10AMa1.class.1234567.2026", upn=upn("amy"))
    admin.open(MATHS)
    assert rows(admin) == [
        ["amy", "member", "–", "● not there yet", "student of the group, MIS id amy"],
        ["main", "owner", "owner", "✔ as wanted", "teacher of the group, MIS id main"],
        ["ben", "member", "member", "✔ as wanted", "student of the group, MIS id ben"],
    ]
    admin.check("class")
    admin.page.click("text=Compare with the MIS now")
    assert [row[3] for row in rows(admin)] == ["member", "owner", "member"]
    admin.check("class-mis")


def test_05_a_class_is_deleted_by_its_name_and_restored(trust: Trust, admin: Visitor) -> None:
    page = admin.open(f"{MATHS}/delete")
    admin.check("class-delete")
    page.click("main button")
    assert "nothing was deleted" in page.inner_text(".govuk-error-summary")
    admin.check("class-delete-fault")
    page.fill("#typed", "10AMa1_Class [1234567][2026]")
    press(trust, admin, "Delete class")
    admin.open(MATHS)
    assert page.inner_text("main .app-title strong") == "✖ deleted"
    assert "That is until" in page.inner_text("main")
    admin.check("class-deleted")
    page.click("a:has-text('Restore class')")
    admin.check("class-restore")
    press(trust, admin, "Restore class")
    admin.open(MATHS)
    assert page.inner_text("main .app-title strong") == "✔ live"


def test_06_a_teacher_is_led_to_their_groups_and_creates_a_class(trust: Trust, teacher: Visitor) -> None:
    page = teacher.open("/")
    assert page.url.endswith("/schools/OAK/my-groups")
    assert page.inner_text("main h2") == "<script>alert(1)</script>"
    teacher.check("my-groups")
    page.click("text=Show all my groups")
    assert [heading.inner_text() for heading in page.query_selector_all("main h2")] == [
        "5L",
        "<script>alert(1)</script>",
    ]
    teacher.check("my-groups-mis")
    page.click("a:has-text('Create class')")
    assert "5L.class.1234567.2026" in page.inner_text("main")
    page.fill("#required_until", "32/07/2027")
    teacher.check("class-create")
    page.click("main button")
    assert "There is no such day" in page.inner_text("#required_until-error")
    assert page.input_value("#required_until") == "32/07/2027"
    teacher.check("class-create-fault")
    page.fill("#required_until", "31/07/2027")
    press(trust, teacher, "Create class")
    assert page.url.endswith("/schools/OAK/my-groups")
    page.reload()
    assert page.inner_text(".app-entry strong >> nth=0") == "✔ ready"
    assert trust.read_class("5L.class.1234567.2026")["owners"] == "colleague.user"
    teacher.check("my-groups-created")


def test_07_a_teacher_sees_no_page_of_an_admin(teacher: Visitor) -> None:
    for path in ("groups", *(f"classes/2026.teaching.T1{page}" for page in ("", "/delete", "/choice"))):
        teacher.open(f"/schools/OAK/{path}", 403)


def test_08_a_class_gets_an_extra_owner_until_a_date_who_is_removed_again(trust: Trust, admin: Visitor) -> None:
    page = admin.open(f"{MATHS}/choice")
    admin.check("class-choice")
    page.fill("#person", "colleague")
    page.fill("#reason", "cover for a long illness")
    page.click("main button")
    assert "Should be a user name of the tenant" in page.inner_text("#person-error")
    assert page.input_value("#reason") == "cover for a long illness"
    admin.check("class-choice-fault")
    page.fill("#person", upn("colleague.user"))
    page.fill("#until", f"{datetime.now(UTC) + timedelta(days=30):%d/%m/%Y}")
    press(trust, admin, "Save and sync the class")
    assert "colleague.user" in trust.read_class("10AMa1.class.1234567.2026")["owners"]
    page = admin.open(MATHS)
    assert "cover for a long illness" in page.inner_text("main dl")
    admin.check("class-with-extra-owner")
    page.click("a:has-text('Change what the class follows')")
    page.check("label:has-text('Remove colleague.user')")
    admin.check("class-choice-remove")
    press(trust, admin, "Save and sync the class")
    assert "colleague.user" not in trust.read_class("10AMa1.class.1234567.2026")["owners"]


def test_09_a_head_of_department_owns_all_classes_of_groups_whose_names_begin_alike(
    trust: Trust, admin: Visitor
) -> None:
    page = admin.open("/schools/OAK/groups")
    page.click("a:has-text('Owner rules')")
    admin.check("owner-rules")
    for field, text in (("name", "maths-head"), ("prefix", "10a/ma"), ("person", upn("colleague.user"))):
        page.fill(f"#{field}", text)
    page.click("main button:has-text('Save')")
    assert "Say why, without anybody's name" in page.inner_text("#reason-error")
    admin.check("owner-rules-fault")
    page.fill("#reason", "head of maths")
    page.click("main button:has-text('Save')")
    assert "maths-head" in page.inner_text("main table")
    admin.check("owner-rules-listed")
    trust.run_night()
    assert "colleague.user" in trust.read_class("10AMa1.class.1234567.2026")["owners"]
    page.click("button:has-text('Delete')")
    trust.run_night()
    assert "colleague.user" not in trust.read_class("10AMa1.class.1234567.2026")["owners"]
