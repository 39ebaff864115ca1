"""The year of a school in a real browser: the strip of its home, its page, and the dates in the settings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from local.school.data import SchoolData
from tests.flow.today import YEAR, today
from tests.flow.trust import Trust, pupils, registration, staff, start_trust, teaching, upn
from tests.http.console.browser import Visitor

OAK = SchoolData(
    "OAK", "Oak School", "1234567", YEAR, pupils("amy ben cleo"), staff("main"),
    (teaching("T1", "10A/Ma1", "amy ben", "main"), registration("R1", "5L", "amy cleo", "main")),
)  # fmt: skip


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_more_users()
        trust.add_accounts(["boss"])
        trust.add_school(OAK, admin_owners=[upn("boss")])
        yield trust


def test_01_without_dates_the_home_leads_to_the_page_and_that_to_the_settings(admin: Visitor) -> None:
    page = admin.open("/schools/OAK")
    page.click("text=The school year")
    assert "The school has no dates." in page.inner_text("main")
    admin.check("year-without-dates")
    page.click("text=Set the dates")
    assert page.url.endswith("/schools/OAK/settings#calendar")


def test_02_dates_are_written_as_in_the_uk_and_checked_against_each_other(admin: Visitor) -> None:
    page = admin.open("/schools/OAK/settings")
    tomorrow = today() + timedelta(days=2)
    page.fill("input[name='calendar.pupils_in_from']", f"{tomorrow:%d/%m/%Y}")
    page.click("text=Read the MIS now")
    assert "Pupils come into next year's classes: needs first_day" in page.inner_text(".govuk-error-summary")
    admin.check("year-settings-wrong")
    page.fill("input[name='calendar.first_day']", f"02/09/{YEAR}")
    page.fill("input[name='calendar.last_day']", f"21/07/{YEAR}")
    page.click("text=Read the MIS now")
    review = page.inner_text("main")
    assert f"Pupils come into next year's classes\t–\t{tomorrow}" in review
    page.click("button:has-text('Save')")
    assert page.url.endswith("/schools/OAK/settings#changes")


def test_03_the_strip_and_the_page_say_what_happens_when(trust: Trust, admin: Visitor) -> None:
    trust.run_night()
    page = admin.open("/schools/OAK")
    strip = [each.inner_text().replace("\n", " ") for each in page.query_selector_all("ol.app-cards li")]
    assert strip == [
        "21 Jul Last day of the year ✔ past",
        "2 Sep First day of the year ✔ past",
        f"{_short(2)} Pupils come in ● in 2 days",
    ]
    admin.check("year-home")
    page.click("text=What happens on each day")
    rows = [row.inner_text().split("\t") for row in page.query_selector_all("tbody tr")]
    assert rows[-1][1:] == [
        "● in 2 days",
        f"Pupils come into classes of {YEAR}/{(YEAR + 1) % 100:02}, the youngest first.",
        "3",
        "3",
    ]
    admin.check("year")


def _short(days: int) -> str:
    day = today() + timedelta(days=days)
    return f"{day.day} {day:%b}"
