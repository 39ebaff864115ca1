"""Numbered stories in a real browser: a school that needs decisions, a new one, a pause, and "why is this child …?"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from local.school.data import SchoolData
from tests.flow.trust import HEAD, Trust, pupils, registration, staff, start_trust, teaching, upn
from tests.http.console.browser import Visitor

CLASS = "amy ben cleo dan eve fay gus hal ida jon"
OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils(f"{CLASS} kit nil"), staff("main second"),
    (teaching("T1", "7A/Ma1", CLASS, "main"), teaching("T2", "7A/Ma2", "kit", "second"),
     registration("R1", "7C", f"{CLASS} kit nil", "second")),
)  # fmt: skip
ELM = SchoolData(
    "ELM", "Elm School", "7654321", 2026, pupils("pat"), staff("third"), (teaching("T9", "7B/Hi", "pat", "third"),)
)

LIMITS = {"school_loss": 1, "week_loss": 1, "smallest_snapshot": 0.1}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    """OAK has had two nights: the second one holds a loss, moves Ben, and finds no account for one pupil."""
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_more_users()
        trust.add_school(OAK, name="Oak Academy", access=[HEAD], limits=LIMITS)
        trust.update_account("nil", userPrincipalName=upn("no.longer.nil"))
        trust.run_night()
        trust.schools["OAK"] = replace(OAK, groups=(
            teaching("T1", "7A/Ma1", "amy cleo dan eve fay gus hal ida jon", "main"),
            teaching("T2", "7A/Ma2", "ben kit", "second"), registration("R1", "7C", "amy ben cleo nil", "second"),
        ))  # fmt: skip
        trust.run_night()
        trust.add_school(ELM, name="Elm Primary School, Nursery and Language Unit")
        yield trust


def test_01_a_trust_sees_the_worst_school_first_and_takes_the_list_away(admin: Visitor) -> None:
    page = admin.open("/")
    assert [each.inner_text() for each in page.query_selector_all("tbody th a")] == [
        "Elm Primary School, Nursery and Language Unit",
        "Oak Academy",
    ]
    with page.expect_download() as download:
        page.click("text=Download as CSV")
    assert Path(download.value.path()).read_text(encoding="utf-8").startswith("school,name,readable,paused,in_step")
    admin.check("schools-two")


def test_02_the_home_says_what_needs_a_person_first(admin: Visitor) -> None:
    page = admin.open("/schools/OAK")
    needs = [each.inner_text() for each in page.query_selector_all(".app-decide li a")]
    assert needs == [
        "8 of 11 pupils would leave 7C",
        "1 person in the MIS finds no account in Microsoft 365",
        "2 classes are to have no owner",
    ]
    assert len(page.query_selector_all("svg rect")) == 2
    page.click("text=The nights as a table")
    assert len(page.query_selector_all("details tbody tr")) == 30
    admin.check("home-needs")


def test_03_a_new_school_has_a_checklist(admin: Visitor) -> None:
    page = admin.open("/schools/ELM")
    assert page.inner_text(".govuk-task-list").count("Done") == 2
    assert page.query_selector("svg") is None
    admin.check("home-new")


def test_04_a_school_is_paused_with_a_reason_and_resumed(admin: Visitor) -> None:
    page = admin.open("/schools/OAK")
    page.click("text=Pause…")
    admin.check("pause")
    page.click("button:has-text('Pause Oak Academy')")
    assert page.inner_text(".govuk-error-summary a") == "Reason: say why the school is paused"
    admin.check("pause-fault")
    page.fill("#reason", "the MIS is being replaced")
    page.click("button:has-text('Pause Oak Academy')")
    assert page.url.endswith("/schools/OAK")
    assert page.inner_text(".govuk-inset-text").startswith("This school is paused: the MIS is being replaced.")
    admin.check("home-paused")
    page.click("text=Resume")
    admin.check("resume")
    page.click("button:has-text('Resume Oak Academy')")
    assert page.query_selector(".govuk-inset-text") is None
    page.go_back()  # the page is made anew
    assert "there is nothing to resume" in page.inner_text("main")


def test_05_why_a_child_is_in_a_class(admin: Visitor) -> None:
    page = admin.open("/schools/OAK/why?class=7A/Ma1")
    admin.check("why")
    page.fill("#person", "amy")
    page.keyboard.press("Enter")
    assert page.inner_text("#answer") == "amy is in 7A/Ma1, because the MIS lists them as a student of the group."
    assert page.url.endswith("/schools/OAK/why")
    assert page.inner_text(".app-step--decides h3") == "What the rules say – this decides"
    admin.check("why-in")


def test_06_why_a_child_has_left_a_class_and_where_they_are(admin: Visitor) -> None:
    page = admin.open("/schools/OAK/why")
    page.fill("#person", upn("ben"))
    page.fill("#class", "7A/Ma1")
    page.click("button:has-text('Explain')")
    assert (
        page.inner_text("#answer")
        == "ben is not in 7A/Ma1, because the MIS no longer lists them in the group of the class."
    )
    assert "Their other groups: 7C (registration), 7A/Ma2 (teaching), 7 (year)." in page.inner_text(
        ".app-step--decides"
    )
    assert len(page.query_selector_all(".app-events li")) == 2
    admin.check("why-left")


def test_07_why_a_child_is_missing(admin: Visitor) -> None:
    page = admin.open("/schools/OAK/why")
    page.fill("#person", "nil")
    page.fill("#class", "7C")
    page.click("button:has-text('Explain')")
    assert (
        page.inner_text("#answer") == "MIS person nil is not in 7C, because no account in Microsoft 365 matches them."
    )
    assert page.inner_text(".app-answer .govuk-tag") == "✖ needs a correction"
    admin.check("why-missing")
    page.fill("#person", "nobody")
    page.click("button:has-text('Explain')")
    assert page.input_value("#person") == "nobody"
    admin.check("why-fault")


def test_08_every_step_is_done_by_keyboard_and_without_a_script(trust: Trust, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{trust.addresses.host}/schools/OAK/why")
    page.focus("button[value=admin]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#person")
    page.focus("#person")
    page.keyboard.type("main")
    page.keyboard.press("Tab")
    page.keyboard.type("7A/Ma1")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer")
    assert page.inner_text("#answer").startswith("main is an owner of 7A/Ma1, because the MIS lists them as a teacher")
    context.close()
