"""Numbered stories in a real browser: a network manager decides holds, and finds out why people have no account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from local.nightly import count, drain
from local.school.data import SchoolData
from local.tenant.names import DOMAIN
from tests.flow.trust import HEAD, Trust, pupils, registration, staff, start_trust, teaching
from tests.http.console.browser import Visitor, visit

EVERYBODY = "amy ben cleo dan eve fay gus hal ida jon kit lea"
OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils(EVERYBODY), staff("main tutor"),
    (
        teaching("T1", "10A/Ma1", EVERYBODY, "main"), teaching("T2", "10A/Sc2", EVERYBODY, "main"),
        registration("R1", "5L", EVERYBODY, "tutor"),
    ),
)  # fmt: skip
MATHS = "10A/Ma1.class.1234567.2026".replace("/", "")
SETTINGS: dict[str, Any] = {
    "types": ["teaching", "registration"],
    "access": [HEAD],
    "limits": {"smallest_snapshot": 0, "school_loss": 1, "week_loss": 1},
}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("approvals"), storage) as trust:
        trust.add_more_users()
        trust.add_school(OAK, **SETTINGS)
        trust.run_night()
        yield trust


@pytest.fixture(scope="module")
def head(trust: Trust, browser: Browser, pictures: Path | None) -> Iterator[Visitor]:
    with visit(browser, trust.addresses.host, "head", pictures) as visitor:
        yield visitor


def set_mis(trust: Trust, maths: str, science: str = EVERYBODY) -> None:
    groups = (
        teaching("T1", "10A/Ma1", maths, "main"), teaching("T2", "10A/Sc2", science, "main"), *OAK.groups[2:]
    )  # fmt: skip
    trust.schools["OAK"] = replace(OAK, groups=groups)
    trust.save_settings("OAK", **SETTINGS)


def press(trust: Trust, visitor: Visitor, button: str) -> None:
    """Press a button that starts a run, and wait until the queues are empty."""
    before = count(trust.addresses)
    visitor.page.click(button)
    drain(trust.addresses, before)


def test_01_nothing_waits(head: Visitor) -> None:
    page = head.open("/schools/OAK/approvals")
    assert "Nothing waits for a decision." in page.inner_text("main")
    head.check("approvals-empty")


def test_02_a_card_for_each_hold(trust: Trust, head: Visitor) -> None:
    set_mis(trust, "amy ben cleo dan", "gus hal ida jon kit lea")
    trust.run_night()
    page = head.open("/schools/OAK/approvals")
    assert page.inner_text(".govuk-service-navigation__item--active") == "Approvals (1)"
    assert page.inner_text("h2") == "12 pupils would leave 2 classes"
    assert page.inner_text("h3 >> nth=0") == "10A/Ma1 Would lose 8 of 12 students: 67%, over 40%"
    head.check("approvals")


def test_03_a_decision_by_keyboard_alone(trust: Trust, head: Visitor) -> None:
    page = head.open("/schools/OAK/approvals")
    page.click("text=Show all 2 classes")
    head.check("hold")
    page.focus("text=10A/Ma1")
    page.keyboard.press("Shift+Tab")
    page.focus("#class-1")
    page.keyboard.press("Space")
    page.focus("#answer")
    page.keyboard.press("Space")
    page.focus("button:has-text('Decide')")
    before = count(trust.addresses)
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*")
    drain(trust.addresses, before)
    assert trust.read_class(MATHS)["members"] == "amy ben cleo dan main"


def test_04_what_is_missing_is_said_at_the_field(head: Visitor) -> None:
    page = head.open("/schools/OAK/approvals")
    page.click("button:has-text('Decide')")
    assert page.inner_text(".govuk-error-summary__list") == "Decision: choose what is right"
    page.click(".govuk-error-summary__list a")
    assert page.evaluate("document.activeElement.id") == "answer"
    page.click("text=Pause the school")
    page.click("button:has-text('Decide')")
    assert "Say why" in page.inner_text("#reason-error")
    head.check("hold-fault")


def test_05_a_hold_that_has_changed_shows_the_new_one(trust: Trust, head: Visitor) -> None:
    page = head.open("/schools/OAK/approvals")
    set_mis(trust, "amy ben cleo dan", "gus")
    page.click("text=They should leave")
    page.click("button:has-text('Decide')")
    assert "Nothing was decided" in page.inner_text("main")
    assert page.inner_text("h2 >> nth=1") == "11 of 12 pupils would leave 10A/Sc2"
    head.check("approvals-changed")


def test_06_they_are_kept_and_the_decision_stays_on_record(trust: Trust, head: Visitor) -> None:
    page = head.open("/schools/OAK/approvals")
    page.click("button:has-text('Read the MIS now')")
    page.click("text=Keep them")
    press(trust, head, "button:has-text('Decide')")
    page = head.open("/schools/OAK/approvals")
    assert "11 of 12 pupils would leave 10A/Sc2" in page.inner_text("table")
    head.check("approvals-decided")


def test_07_people_without_an_account_are_found_by_another_rule(trust: Trust, head: Visitor) -> None:
    trust.schools["OAK"] = OAK
    trust.save_settings("OAK", **SETTINGS, students={"domain": "oak.example"})
    trust.run_night()
    page = head.open("/schools/OAK/approvals")
    assert "See who finds no account" in page.inner_text("main")
    head.check("approvals-matching")
    page.click("text=See who finds no account")
    head.check("people")
    page.click("button:has-text('Read the MIS now')")
    assert f"amy@{DOMAIN}" in page.inner_text("table")
    head.check("people-now")
    page.fill("#students\\.domain", DOMAIN)
    page.click("button:has-text('try this')")
    rate = page.inner_text(".app-rates b >> nth=0").split()
    assert rate == ["with", "the", "saved", "rule", "0%", "→", ",", "with", "this", "rule", "100%"]
    assert "This rule is not saved" in page.inner_text("main")
    head.check("people-tried")
    page.click("button:has-text('Save this rule')")
    assert page.inner_text(".govuk-notification-banner__title") == "Saved"
    head.check("people-saved")
    trust.run_night()
    page = head.open("/schools/OAK/people")
    assert "Everybody in a class has an account" in page.inner_text("main")


def test_08_a_school_is_paused_from_a_hold(trust: Trust, head: Visitor) -> None:
    set_mis(trust, "amy", EVERYBODY)
    trust.run_night()
    page = head.open("/schools/OAK/approvals")
    page.click("text=Pause the school")
    page.fill("input[name=reason]", "the MIS moves in May")
    head.check("approvals-pause")
    page.click("button:has-text('Decide')")
    assert "The school is paused (the MIS moves in May)" in page.inner_text("main")
    head.check("approvals-paused")
