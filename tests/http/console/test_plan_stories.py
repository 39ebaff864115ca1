"""Numbered stories in a real browser: a network manager looks at tonight's plan, applies it, and undoes the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from local.nightly import count, drain
from local.school.data import SchoolData
from local.tenant.names import TENANT_ID
from tests.flow.trust import Trust, pupils, registration, staff, start_trust, teaching
from tests.http.console.browser import Visitor

LEAVERS = [f"pupil{number:02}" for number in range(24)]
OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils("amy ben cleo dora " + " ".join(LEAVERS)), staff("main second"),
    (
        teaching("T1", "10A/Ma1", "amy ben cleo", "main second"),
        teaching("T2", "10A/Ma2", "dora", "second"),
        registration("R1", "5L", "amy cleo " + " ".join(LEAVERS), "second"),
        registration("R2", "5M", " ".join(LEAVERS), "main"),
    ),
)  # fmt: skip
LIMITS = {
    "smallest_snapshot": 0.1,
    "class_loss": 1,
    "class_loss_people": 1000,
    "school_loss": 1,
    "week_loss": 1,
    "turnover": 1,
}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_school(OAK, enabled=False, pause_reason="a new MIS comes")
        before = count(trust.addresses)
        trust.call("POST", f"tenants/{TENANT_ID}/full-resync", expected=202)
        drain(trust.addresses, before)
        yield trust


def regroup(trust: Trust, **people: str) -> None:
    """The MIS has these people in its groups now, by group id, and the file drop says so."""
    oak = trust.schools["OAK"]
    groups = [replace(each, pupils=tuple(people.get(each.id, " ".join(each.pupils)).split())) for each in oak.groups]
    trust.schools["OAK"] = replace(oak, groups=tuple(groups))
    trust.save_settings("OAK", types=["teaching", "registration"], limits=LIMITS)


def press(trust: Trust, page: Page, button: str) -> None:
    """Press a button that starts a run, and wait until the queues are empty."""
    before = count(trust.addresses)
    page.click(f"text={button}")
    page.wait_for_url("**/runs/*")
    drain(trust.addresses, before)


def test_01_tonight_begins_with_what_is_recorded(admin: Visitor) -> None:
    page = admin.open("/schools/OAK/tonight")
    text = page.inner_text("main")
    assert "The school is paused (a new MIS comes), so tonight does nothing." in text
    assert "No sync of every class in the last 30 days." in text
    page.click("text=Read the MIS now")
    assert "No plan can be made now" in page.inner_text("main")
    admin.check("plan-paused")


def test_02_the_first_plan_creates_classes_and_is_applied(admin: Visitor, trust: Trust) -> None:
    regroup(trust)
    page = admin.open("/schools/OAK/tonight")
    admin.check("tonight-new")
    page.click("text=Read the MIS now")
    assert page.url.endswith("/schools/OAK/tonight/plan")
    assert page.inner_text(".app-card >> nth=2").split() == ["4", "classes", "to", "create"]
    admin.check("plan-first")
    press(trust, page, "Apply this plan")
    expect(page.locator("[role=status]")).to_contain_text("4 of 4 classes are as planned", timeout=20_000)
    expect(page.locator(".app-class")).to_have_count(4, timeout=20_000)
    admin.check("run-first")


def test_03_a_plan_opens_to_who_comes_and_goes(admin: Visitor, trust: Trust) -> None:
    regroup(trust, T1="amy dora", T2="ben")
    page = admin.open("/schools/OAK/tonight/plan")
    text = page.inner_text("main")
    assert "ben\nnot in the group in the MIS; joins 10A/Ma2" in text
    assert "dora\nin the group in the MIS; also leaves 10A/Ma2" in text
    admin.check("plan")
    page.select_option("#show", "new")
    page.click("text=Read the MIS and show")
    assert "No class of the plan is one of these." in page.inner_text("main")


def test_04_a_plan_that_changes_meanwhile_is_shown_again(admin: Visitor, trust: Trust) -> None:
    page = admin.open("/schools/OAK/tonight/plan")
    regroup(trust, T1="amy dora", T2="ben cleo")
    with page.expect_response("**/tonight/apply") as answer:
        page.click("text=Apply this plan")
    assert answer.value.status == 409
    assert "The plan has changed, so nothing was applied" in page.inner_text("main")
    admin.check("plan-changed")


def test_05_more_than_twenty_people_leave_only_with_the_code_of_the_school(admin: Visitor, trust: Trust) -> None:
    regroup(trust, R2="amy " + LEAVERS[0])
    page = admin.open("/schools/OAK/tonight/plan")
    page.click("text=Apply this plan")
    page.click("a[href='#confirm']")
    assert page.evaluate("document.activeElement.id") == "confirm"
    admin.check("plan-unconfirmed")
    page.fill("#confirm", "OAK")
    press(trust, page, "Apply this plan")
    expect(page.locator("[role=status]")).to_contain_text("3 of 3 classes are as planned", timeout=20_000)
    expect(page.locator(".app-class")).to_have_count(3, timeout=20_000)
    assert "leaves" in page.inner_text("main")
    admin.check("run")


def test_06_a_run_is_undone_after_its_preview(admin: Visitor, trust: Trust) -> None:
    page = admin.open("/schools/OAK/runs")
    assert page.inner_text("tbody tr >> nth=0 >> td >> nth=0") == "Apply a plan"
    admin.check("runs")
    page.click("tbody tr >> nth=0 >> a")
    page.click("text=Undo…")
    assert "It is then pinned" in page.inner_text("main")
    admin.check("undo")
    press(trust, page, "Undo this run")
    expect(page.locator("[role=status]")).to_contain_text("are as planned", timeout=20_000)
    page = admin.open("/schools/OAK/tonight")
    admin.check("tonight")


def test_07_the_plan_and_a_run_need_no_script(trust: Trust, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{trust.addresses.host}/schools/OAK/tonight")
    page.click("button[value=admin]")
    page.click("text=Read the MIS now")
    assert page.inner_text("h1") == "What a sync would do now"
    page.goto(f"{trust.addresses.host}/schools/OAK/runs?cause=admin")
    page.click("tbody tr >> nth=0 >> a")
    assert page.inner_text("h1").startswith("Run of today")
    context.close()
