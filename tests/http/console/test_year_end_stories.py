"""Numbered stories in a real browser: a new year is rehearsed, and last year's classes end and are taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.nightly import count, drain
from local.school.data import SchoolData
from local.school.oneroster_csv import write
from tests.flow.today import today
from tests.flow.trust import Trust, pupils, registration, staff, start_trust, teaching
from tests.http.console.browser import Visitor

OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2025, pupils("amy ben cleo"), staff("main second"),
    (teaching("T1", "10A/Ma1", "amy ben", "main second"), registration("R1", "5L", "amy cleo", "second")),
)  # fmt: skip
THIS_YEAR = replace(OAK, starts=2026, groups=(teaching("T2", "11A/Ma1", "amy ben cleo", "main"),))


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_school(OAK, types=["teaching", "registration"])
        trust.run_night()
        trust.schools["OAK"] = THIS_YEAR
        trust.run_night()
        yield trust


def test_01_last_years_classes_end_after_a_preview_and_are_taken_back(trust: Trust, admin: Visitor) -> None:
    page = admin.open("/schools/OAK/groups")
    page.click("text=Year end…")
    admin.check("year-end")
    page.check("text=2025/26")
    page.select_option("#rename", "year")
    page.select_option("#pupils", "remove")
    page.click("text=Show the preview")
    assert "Classes that end their year: 2" in page.inner_text("main")
    admin.check("year-end-plan")
    before = count(trust.addresses)
    page.click("text=End the year of these classes")
    assert "/runs/" in page.url
    drain(trust.addresses, before)
    assert trust.read_class("10AMa1.class.1234567.2025")["members"] == "main"
    page = admin.open("/schools/OAK/year-end")
    page.click("text=Take a year end back")
    admin.check("year-end-taking-back")
    before = count(trust.addresses)
    page.click("button:text-is('Take the year end back')")
    drain(trust.addresses, before)
    assert trust.read_class("10AMa1.class.1234567.2025")["members"] == "amy ben main"


def test_02_a_fault_stands_at_its_field(admin: Visitor) -> None:
    page = admin.open("/schools/OAK/year-end")
    page.select_option("#rename", "suffix")
    page.click("text=Show the preview")
    page.click(".govuk-error-summary a >> nth=0")
    assert page.evaluate("document.activeElement.id") == "suffix"
    admin.check("year-end-faults")


def test_03_a_day_is_rehearsed(trust: Trust, admin: Visitor) -> None:
    page = admin.open("/schools/OAK/tonight")
    page.click("text=Rehearse a day to come")
    admin.check("rehearsal")
    page.fill("#day", "tomorrow")
    page.click("text=Rehearse this day")
    admin.check("rehearsal-faults")
    page.fill("#day", f"{today():%d/%m/%Y}")
    page.click("text=Rehearse this day")
    assert "Nothing to do: every class is as the MIS wants it then." in page.inner_text("main")
    trust.schools["OAK"] = replace(THIS_YEAR, groups=(*THIS_YEAR.groups, teaching("T3", "11B/Ma2", "amy", "second")))
    write(trust.schools["OAK"], trust.world.folder / "feed OAK")
    page.click("text=Rehearse this day")
    assert "Classes that begin: 1" in page.inner_text("main")
    admin.check("rehearsal-plan")
