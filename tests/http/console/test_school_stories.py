"""Numbered stories in a real browser: a network manager of two schools, and what others see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from local.school.data import SchoolData
from tests.flow.trust import HEAD, Trust, pupils, registration, staff, start_trust, teaching
from tests.http.console.browser import Visitor, visit

OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils("amy ben cleo"), staff("main second"),
    (teaching("T1", "10A/Ma1", "amy ben", "main second"), registration("R1", "5L", "amy cleo", "second")),
)  # fmt: skip
ELM = SchoolData(
    "ELM", "Elm School", "7654321", 2026, pupils("dan"), staff("third"), (teaching("T9", "7B/Hi", "dan", "third"),)
)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_more_users()
        trust.add_school(OAK, types=["teaching", "registration"], access=[HEAD])
        trust.add_school(ELM, types=["teaching"])
        trust.run_night()
        yield trust


def test_01_who_is_not_signed_in_is_led_to_the_sign_in_and_back(trust: Trust, browser: Browser) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{trust.addresses.host}/schools/OAK")
    assert page.title() == "Sign in"
    page.click("button[value=admin]")
    assert page.url == f"{trust.addresses.host}/schools/OAK"
    assert page.inner_text("h1") == "OAK"
    page.context.close()


def test_02_a_trust_sees_each_school_in_one_row(admin: Visitor) -> None:
    page = admin.open("/")
    rows = [row.inner_text().split("\t") for row in page.query_selector_all("tbody tr")]
    assert [[cell.strip() for cell in row[:3]] for row in rows] == [
        ["OAK", "● classes without an owner: 1", "✔ healthy"],
        ["ELM", "✔ in step", "✔ healthy"],
    ]
    admin.check("schools")
    page.set_viewport_size({"width": 320, "height": 900})
    signs = [
        box for each in page.query_selector_all("tbody td:nth-of-type(1) .govuk-tag") if (box := each.bounding_box())
    ]
    assert len(signs) == 2
    assert all(box["x"] + box["width"] <= 320 for box in signs)
    page.set_viewport_size({"width": 1280, "height": 900})


def test_03_the_home_of_a_school_has_its_classes_and_runs(admin: Visitor) -> None:
    page = admin.open("/schools/OAK")
    assert page.inner_text(".app-card >> nth=0").split(maxsplit=1) == ["2", "classes in Microsoft 365"]
    assert len(page.query_selector_all("[aria-label='Latest runs'] tbody tr")) == 1
    admin.check("home")


def test_04_the_head_of_one_school_is_led_to_it_and_sees_no_other(
    trust: Trust, browser: Browser, pictures: Path | None
) -> None:
    with visit(browser, trust.addresses.host, "head", pictures) as head:
        page = head.open("/")
        assert page.url.endswith("/schools/OAK")
        page = head.open("/schools/ELM", 403)
        assert "ELM" not in page.content()
        head.check("refused")


def test_05_a_page_needs_no_script_and_takes_none_from_elsewhere(trust: Trust, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{trust.addresses.host}/schools/OAK")
    page.click("button[value=admin]")
    assert page.inner_text("h1") == "OAK"
    context.close()
