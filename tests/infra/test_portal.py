"""The workbook and the alerts: valid queries, and existing columns."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from local.node_packages import PACKAGES
from sync_core.domain.runs import WAITING
from sync_core.graph.rate_limiter import waited_too_long
from tests.infra.bicep import ROOT, text
from tests.infra.kusto import QUERIES, ParsedQuery, read_queries

WORKBOOK: dict[str, Any] = json.loads((ROOT / "infra" / "workbook" / "workbook.json").read_text(encoding="utf-8"))
TILES: list[dict[str, Any]] = WORKBOOK["tiles"]


@pytest.fixture(scope="module")
def parsed() -> dict[str, ParsedQuery]:
    """All queries parsed, and an invalid one named `bad`."""
    return read_queries({**QUERIES, "bad": "AppEvents | project last = Nmae"})


def test_kusto_accepts_every_query(parsed: dict[str, ParsedQuery]) -> None:
    assert PACKAGES.is_dir()
    assert len(parsed["bad"].faults) == 2
    assert {name: query.faults for name, query in parsed.items() if name != "bad" and query.faults} == {}


def test_the_first_line_of_a_query_says_what_it_asks() -> None:
    assert [name for name, kql in QUERIES.items() if not re.match(r"// [A-Z].*[.?]\n", kql)] == []


def test_every_query_is_used_by_a_tile_or_an_alert() -> None:
    portal = text("modules/portal.bicep")
    assert sorted(re.findall(r"loadTextContent\('\.\./queries/([\w-]+)\.kql'\)", portal)) == sorted(QUERIES)
    shown = re.findall(r"'?([\w-]+)'?: loadTextContent\('\.\./queries/\1\.kql'\)", portal)
    assert sorted(shown) == sorted(tile["query"] for tile in TILES)


def test_a_tile_uses_columns_of_its_query_and_choices_of_earlier_tiles(
    parsed: dict[str, ParsedQuery],
) -> None:
    chosen: set[str] = set()
    for tile in TILES:
        assert tile.keys() == {"title", "query", "exports", "formatters"}
        columns = parsed[tile["query"]].columns
        assert {formatter["columnMatch"] for formatter in tile["formatters"]} <= columns.keys()
        assert set(re.findall(r"\{(\w+)\}", tile["title"] + QUERIES[tile["query"]])) <= chosen
        if tile["exports"]:
            assert columns[tile["exports"]] == "string"
            chosen.add(tile["exports"])


def test_every_state_of_a_school_is_marked_in_the_workbook_and_explained_on_the_page() -> None:
    matches = re.findall(r', "([\w ]+)",?$|^    "([\w ]+)"\)', QUERIES["schools-in-step"], re.MULTILINE)
    states = {first or last for first, last in matches}
    assert len(states) == 13
    (formatter,) = TILES[0]["formatters"]
    marked = {row["thresholdValue"] for row in formatter["formatOptions"]["thresholdsGrid"]} - {None}
    assert marked <= states
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [state for state in states if f"`{state}`" not in operations] == []


def test_a_school_is_in_step_in_the_workbook_if_nothing_of_its_run_waits() -> None:
    """Each field of a run that has to be empty is a column, and a condition before `in step`."""
    columns, conditions = QUERIES["schools-in-step"].split("| extend state = case(")
    for field in WAITING:
        (column,) = re.findall(rf'(\w+) = (?:max\()?toint\(Properties\["sync\.{field}"\]\)', columns)
        assert re.search(rf"\b{column}\b[^,]*> 0,", conditions), field


def test_the_alert_on_throttling_matches_the_error_message() -> None:
    (message,) = re.findall(r'startswith "(.+)"', QUERIES["alert-throttled"])
    assert waited_too_long().message.startswith(message)


def test_the_alert_on_functions_leaves_out_those_that_are_tried_again() -> None:
    """Their messages are delivered again, and the app's own span of each is named after the queue.

    Of every other function, a failed request is found, and the event of a failure that nobody expected.
    """
    code = (ROOT / "function_app.py").read_text(encoding="utf-8")
    of_messages = re.findall(r"service_bus_queue_trigger\(\n.*\n\)\nasync def (\w+)", code)
    assert re.findall(r'"(\w+)"', QUERIES["alert-function-failed"]) == of_messages
    assert len(of_messages) == 3
    assert len(re.findall(r"^async def ", code, re.MULTILINE)) > len(of_messages)
    assert 'Name == "function.failed"' in QUERIES["alert-function-failed"]
    assert 'Name !startswith "process "' in QUERIES["alert-function-failed"]
    assert 'f"process {queue}"' in (ROOT / "sync_core" / "tracing.py").read_text(encoding="utf-8")


def test_an_alert_on_an_event_misses_no_row_even_if_it_arrives_late() -> None:
    """The window is over the ingestion time: by event time, a row that arrives after an evaluation would be missed.

    It is a little longer than the interval, because evaluations are not exactly that far apart.
    """
    portal = text("modules/portal.bicep")
    alerts = re.findall(
        r"/(alert-[\w-]+)\.kql'\)\n.*\n    every: 'PT(\d+)([MH])'\n    within: '(\w+)'\n    resolves: (\w+)", portal
    )
    assert len(alerts) == len([name for name in QUERIES if name.startswith("alert-")])
    for name, every, unit, within, resolves in alerts:
        back = re.findall(r"ingestion_time\(\) > ago\((\w+)\)", QUERIES[name])
        assert (bool(back), within == "PT1H") == ((resolves == "false"),) * 2, name
        assert set(back) <= {f"{int(every) + 2}m"}, name
        assert unit == "M" or not back, name


def test_an_alert_on_a_state_looks_back_more_than_one_interval() -> None:
    states = re.findall(
        r"    every: 'PT(\d+)([MH])'\n    within: 'P(?:T(\d+)M|(\d+)D)'\n    resolves: true",
        text("modules/portal.bicep"),
    )
    assert len(states) == 3
    for every, unit, minutes, days in states:
        assert int(minutes or 0) + 1440 * int(days or 0) > int(every) * {"M": 1, "H": 60}[unit]


def test_dead_letters_raise_an_alert_for_each_queue_and_none_is_missed_between_evaluations() -> None:
    (alert,) = re.findall(r"^resource deadLetters .*?^}", text("modules/portal.bicep"), re.MULTILINE | re.DOTALL)
    assert "evaluationFrequency: 'PT5M'\n    windowSize: 'PT15M'\n" in alert
    # "Supported metrics for Microsoft.ServiceBus/Namespaces": a gauge each minute, by EntityName.
    assert "metricName: 'DeadletteredMessages'" in alert
    assert re.search(r"name: 'EntityName'\s+operator: 'Include'\s+values: \[\s+'\*'\s+\]", alert)
    assert "timeAggregation: 'Maximum'\n          operator: 'GreaterThan'\n          threshold: 0\n" in alert
