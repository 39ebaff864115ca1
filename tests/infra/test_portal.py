"""The workbook and the alerts: queries that Kusto takes, columns that are there, and a page for every alert."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from local.node_packages import PACKAGES
from sync_core.graph.rate_limiter import waited_too_long
from tests.infra.bicep import ROOT, text
from tests.infra.kusto import QUERIES, Reading, read_queries

WORKBOOK: dict[str, Any] = json.loads((ROOT / "infra" / "workbook" / "workbook.json").read_text(encoding="utf-8"))
TILES: list[dict[str, Any]] = WORKBOOK["tiles"]


@pytest.fixture(scope="module")
def read() -> dict[str, Reading]:
    """Our queries, and one that is none."""
    return read_queries({**QUERIES, "bad": "AppEvents | project last = Nmae"})


def test_kusto_takes_every_query(read: dict[str, Reading]) -> None:
    assert PACKAGES.is_dir()
    assert len(read["bad"].faults) == 2
    assert {name: found.faults for name, found in read.items() if name != "bad" and found.faults} == {}


def test_a_query_says_in_its_first_line_what_it_asks() -> None:
    assert [name for name, kql in QUERIES.items() if not re.match(r"// [A-Z].*[.?]\n", kql)] == []


def test_every_query_is_shown_or_alerts_and_no_other_is_named() -> None:
    portal = text("modules/portal.bicep")
    assert sorted(re.findall(r"loadTextContent\('\.\./queries/([\w-]+)\.kql'\)", portal)) == sorted(QUERIES)
    shown = re.findall(r"'?([\w-]+)'?: loadTextContent\('\.\./queries/\1\.kql'\)", portal)
    assert sorted(shown) == sorted(tile["query"] for tile in TILES)


def test_a_tile_shows_columns_that_its_query_has_and_asks_for_what_a_tile_before_it_chose(
    read: dict[str, Reading],
) -> None:
    chosen: set[str] = set()
    for tile in TILES:
        assert tile.keys() == {"title", "query", "exports", "formatters"}
        columns = read[tile["query"]].columns
        assert {formatter["columnMatch"] for formatter in tile["formatters"]} <= columns.keys()
        assert set(re.findall(r"\{(\w+)\}", tile["title"] + QUERIES[tile["query"]])) <= chosen
        if tile["exports"]:
            assert columns[tile["exports"]] == "string"
            chosen.add(tile["exports"])


def test_the_words_for_a_schools_state_are_those_that_the_workbook_marks_and_the_page_explains() -> None:
    said = re.findall(r', "([\w ]+)",?$|^    "([\w ]+)"\)', QUERIES["schools-in-step"], re.MULTILINE)
    states = {first or last for first, last in said}
    assert len(states) == 6
    (formatter,) = TILES[0]["formatters"]
    marked = {row["thresholdValue"] for row in formatter["formatOptions"]["thresholdsGrid"]} - {None}
    assert marked <= states
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [state for state in states if f"`{state}`" not in operations] == []


def test_the_alert_on_throttling_knows_the_words_by_which_it_is_told() -> None:
    (words,) = re.findall(r'startswith "(.+)"', QUERIES["alert-throttled"])
    assert waited_too_long().message.startswith(words)


def test_every_alert_leads_to_a_section_that_is_there() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", operations, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    portal = text("modules/portal.bicep")
    pages = re.findall(r"page: '([\w-]+)'", portal) + re.findall(r"operationsUrl\}#([\w-]+)'", portal)
    assert len(pages) == 9
    assert set(pages) <= anchors


def test_an_alert_on_an_event_sees_each_row_once_however_late_it_comes() -> None:
    """By when it came, and not by what it tells of: a row that comes after a look would be in none else."""
    portal = text("modules/portal.bicep")
    alerts = re.findall(
        r"/(alert-[\w-]+)\.kql'\)\n.*\n.*\n    every: 'PT(\d+)([MH])'\n    within: '(\w+)'\n    resolves: (\w+)", portal
    )
    assert len(alerts) == len([name for name in QUERIES if name.startswith("alert-")])
    for name, often, unit, within, resolves in alerts:
        once = f"ingestion_time() > ago({often}{unit.lower()})" in QUERIES[name]
        assert (once, within == "PT1H") == ((resolves == "false"),) * 2, name
