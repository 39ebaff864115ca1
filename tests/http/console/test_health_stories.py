"""Numbered stories in a real browser: something is wrong with the app, and its admins find out what, and act."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from playwright.sync_api import Browser

from local.school.data import SchoolData
from sync_core.messaging.messages import CLASS_CHANGES
from tests.flow.trust import HEAD, Trust, pupils, staff, start_trust, teaching
from tests.http.console.browser import Visitor, visit
from tests.waiting import wait_until

OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils("amy ben"), staff("main"), (teaching("T1", "Art", "amy ben", "main"),)
)
ELM = SchoolData(
    "ELM", "Elm School", "7654321", 2026, pupils("dan"), staff("third"), (teaching("T9", "Art", "dan", "third"),)
)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage, deliveries=1) as trust:
        trust.add_more_users()
        trust.add_school(OAK, types=["teaching"], access=[HEAD])
        trust.add_school(ELM, types=["teaching"])
        trust.run_night()
        yield trust


def dead_letters(trust: Trust) -> int:
    return len(trust.call("GET", "dead-letters").json())


def test_01_the_checks_are_made_as_the_page_opens(admin: Visitor) -> None:
    page = admin.open("/health")
    page.wait_for_selector("text=every message was handled")
    page.wait_for_selector("text=checks passed")
    assert page.inner_text("[data-load] .govuk-tag") == "✔ all 16 checks passed"
    admin.check("health")


def test_02_a_dead_letter_is_shown_with_its_cause_and_what_helps(trust: Trust, admin: Visitor) -> None:
    trust.send(CLASS_CHANGES, ServiceBusMessage(HOSTILE, session_id="OAK|x"))
    wait_until(lambda: dead_letters(trust) == 1)
    page = admin.open("/health")
    page.wait_for_selector("text=checks failed")
    page.wait_for_selector("text=Replay the ticked")
    row = page.inner_text("tbody tr")
    assert "not readable" in row
    assert "the message cannot be read" in row
    admin.check("health-dead-letter")


def test_03_nothing_is_replayed_until_a_message_is_ticked(trust: Trust, admin: Visitor) -> None:
    page = admin.open("/health")
    page.click("text=Replay the ticked")  # in the part that was loaded
    page.click("text=choose at least one")
    assert page.evaluate("document.activeElement.id") == "letter-1"
    admin.check("health-none-ticked")
    page.keyboard.press("Space")
    page.click("text=Replay the ticked")
    assert page.inner_text("[role=alert]").split("\n")[-1] == "1 message was put back on the queues."
    wait_until(lambda: dead_letters(trust) == 1)


def test_04_everything_is_paused_with_a_reason_and_resumed_and_going_back_shows_what_is_so_now(
    trust: Trust, admin: Visitor
) -> None:
    page = admin.open("/health")
    page.click("text=Pause everything…")
    admin.check("health-pause")
    page.click("button:has-text('Pause 2 schools')")
    assert "Give one in at most 200" in page.inner_text(".govuk-error-message")
    page.fill("#reason", "the storage account is being restored")
    page.click("button:has-text('Pause 2 schools')")
    assert page.inner_text("[role=alert]").split("\n")[-1] == "2 schools were paused."
    page.wait_for_selector("text=Check again")
    admin.check("health-paused")
    assert trust.call("POST", "schools/OAK/sync", expected=409).json()["what"] == (
        "school OAK is paused (the storage account is being restored)"
    )
    page.click("text=Resume these 2")
    assert page.inner_text("[role=alert]").split("\n")[-1] == "2 schools were resumed."
    page.go_back()
    assert "2 schools are not paused." in page.inner_text("main")  # no browser keeps a page


def test_05_a_head_sees_their_school_alone_and_a_teacher_none(
    trust: Trust, browser: Browser, pictures: Path | None
) -> None:
    with visit(browser, trust.addresses.host, "head", pictures) as head:
        page = head.open("/health")
        page.wait_for_selector("text=all 2 checks passed")
        assert "ELM" not in page.content()
    with visit(browser, trust.addresses.host, "teacher", pictures) as teacher:
        page = teacher.open("/health", 403)
        assert page.query_selector(".app-bar__places") is None


def test_06_without_a_script_checks_and_dead_letters_are_one_click_away(trust: Trust, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{trust.addresses.host}/health")
    page.click("button[value=admin]")
    page.click("text=Check now")
    assert page.inner_text("h1") == "Checks of the app"
    assert "checks passed" in page.inner_text("main")
    page.click(".govuk-back-link")
    page.click("text=Look at the dead letters")
    assert page.inner_text("h1") == "Dead letters"
    context.close()
