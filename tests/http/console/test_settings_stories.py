"""Numbered stories in a real browser: settings are reviewed and saved, and a school is connected from an export set."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient
from playwright.sync_api import Browser

from local.school.data import SchoolData
from local.school.oneroster_csv import write
from local.tenant.names import DOMAIN
from tests.flow.trust import HEAD, Trust, pupils, registration, staff, start_trust, teaching
from tests.http.console.browser import Visitor, visit

OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils("amy ben cleo"), staff("main second"),
    (teaching("T1", "10A/Ma1", "amy ben", "main second"), registration("R1", "5L", "amy cleo", "second")),
)  # fmt: skip


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_more_users()
        trust.add_school(OAK, types=["teaching"], access=[HEAD])
        trust.run_night()
        yield trust


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    write(replace(OAK, id="ELM", name="Elm School", dfe_code="7654321"), folder)
    archive = tmp_path_factory.mktemp("zip") / "elm.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in folder.iterdir():
            zipped.write(path, path.name)
    return archive


def test_01_a_change_is_reviewed_saved_and_on_record(admin: Visitor) -> None:
    page = admin.open("/schools/OAK/settings")
    admin.check("settings")
    page.check("text=Registration groups")
    page.fill("[name='limits.turnover']", "0.9")
    page.click("text=Read the MIS now, and show what would change")
    assert "created with 2 people as 5L_Class [1234567][2026]" in page.inner_text("main")
    admin.check("settings-review")
    page.click("button:text-is('Save')")
    assert page.url.endswith("/schools/OAK/settings#changes")
    assert "Turnover of a class" in page.inner_text(".app-audit > li >> nth=0")
    admin.check("settings-record")


def test_02_each_fault_stands_at_its_field(admin: Visitor) -> None:
    page = admin.open("/schools/OAK/settings")
    page.fill("[name='limits.turnover']", "lots")
    page.fill("[name=admin_owners]", "the head")
    page.click("text=Read the MIS now, and show what would change")
    page.click(".govuk-error-summary a >> nth=1")
    assert page.evaluate("document.activeElement.id") == "limits.turnover"
    admin.check("settings-faults")


def test_03_the_head_of_a_school_sees_its_source_and_cannot_change_it(
    trust: Trust, browser: Browser, pictures: Path | None
) -> None:
    with visit(browser, trust.addresses.host, "head", pictures) as head:
        page = head.open("/schools/OAK/settings")
        assert page.query_selector("[name='source.path']") is None
        head.check("settings-of-one-school")
        head.open("/connect", 403)


def test_04_a_school_is_tried_by_an_export_set_and_connected(admin: Visitor, trust: Trust, export: Path) -> None:
    page = admin.open("/connect")
    admin.check("connect-mis")
    page.select_option("#mis", "isams")
    page.click("text=Continue")
    admin.check("connect-way")
    page.check("#way-zip")
    page.click("text=Continue")
    page.fill("#id", "ELM")
    page.set_input_files("#file", export)
    page.fill("[name='students.domain']", DOMAIN)
    page.fill("[name='staff.domain']", DOMAIN)
    page.click("text=Read the file")
    assert "100%" in page.inner_text(".app-rates")
    admin.check("connect-zip")
    page.click("text=Connect the school by a file drop")
    assert "could not be read" in page.inner_text("main")
    admin.check("connect-source")


def test_05_the_steps_to_the_plan_of_a_new_school(admin: Visitor, trust: Trust, export: Path) -> None:
    page = admin.open("/connect?mis=isams&way=container")
    page.fill("#id", "ELM")
    page.fill("[name='source.folder']", "elm")
    with ContainerClient.from_connection_string(trust.addresses.tables, "drop") as container:
        container.create_container()
        container.upload_blob("elm/elm.zip", export.read_bytes())
    page.click("text=Read the MIS now, and check it")
    admin.check("connect-check")
    page.go_back()
    assert (page.input_value("#id"), page.input_value("[name='source.folder']")) == ("ELM", "elm")
    page.click("text=Read the MIS now, and check it")
    page.click("text=Read the accounts, and continue")
    page.fill("[name='students.domain']", DOMAIN)
    page.fill("[name='staff.domain']", DOMAIN)
    page.click("text=Try these rules")
    admin.check("connect-matching")
    page.click("button:text-is('Continue')")
    admin.check("connect-names")
    page.go_back()
    assert page.inner_text("h1") == "Who finds an account?"
    page.go_forward()
    page.click("button:text-is('Continue')")
    admin.check("connect-plan")
    page.click("text=Save, and sync tonight")
    assert page.url.endswith("/schools/ELM")
