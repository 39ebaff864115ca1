"""docs/operations.md: a section for each alert, in the same words and the same five parts."""

from __future__ import annotations

import json
import re

import pytest

from tests.docs.test_docs import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
PARTS = ("What happened", "Is anybody harmed?", "First command", "If that does not help", "Whom to ask")


def _alerts() -> dict[str, str]:
    """The description of each alert by its name, as Azure shows them."""
    kept = json.loads((ROOT / "tests" / "infra" / "templates" / "public.json").read_text(encoding="utf-8"))
    kinds = {"Microsoft.Insights/scheduledQueryRules", "Microsoft.Insights/metricAlerts"}
    alerts = [one for one in kept["predictedResources"] if one["type"] in kinds]
    return {one["name"].removeprefix("oak - "): one["properties"]["description"] for one in alerts}


def _sections() -> dict[str, str]:
    """The text of each alert's section by its heading."""
    alerts = PAGE.split("\n## Alerts\n")[1].split("\n## ")[0]
    _, *sections = re.split(r"^### ", alerts, flags=re.MULTILINE)
    return {heading: body for heading, _, body in (section.partition("\n") for section in sections)}


def _parts(section: str) -> dict[str, str]:
    """The text of each part by its name, in the order of the page."""
    _, *parts = re.split(r"^\*\*([^*]+?)\.?\*\* ", section, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_an_alert_has_the_name_of_its_section_and_every_section_is_of_an_alert() -> None:
    assert len(_alerts()) == 12
    assert sorted(_sections()) == sorted(_alerts())


def test_an_alert_links_to_its_section_by_a_whole_address() -> None:
    for name, description in _alerts().items():
        anchor = name.lower().replace(" ", "-")
        assert description.endswith(f": https://example.com/docs/operations.md#{anchor}"), name


@pytest.mark.parametrize("section", _sections().values(), ids=list(_sections()))
def test_a_section_has_the_five_parts_and_a_command_to_begin_with(section: str) -> None:
    parts = _parts(section)
    assert tuple(parts) == PARTS
    assert [name for name, text in parts.items() if len(text.strip()) < 20] == []
    assert len(re.findall(r"^```\n[^`]+?\n```$", parts["First command"], re.MULTILINE)) == 1
    assert "```" not in "".join(text for name, text in parts.items() if name != "First command")


def test_the_page_begins_with_how_to_stop_and_the_switches_are_those_of_all_that_changes_classes() -> None:
    first = PAGE.split("\n## ")[1]
    assert first.startswith("Stop everything, and start it again\n")
    for verb in ("stop", "start"):
        assert f"az functionapp {verb} --resource-group $group --name $app" in first
    code = (ROOT / "function_app.py").read_text(encoding="utf-8")
    started_by_azure = re.findall(r"_trigger\((?:[^)]|\n)*?\n?\)\nasync def (\w+)", code)
    assert re.findall(r"AzureWebJobs\.(\w+)\.Disabled=true", first) == started_by_azure
    assert len(started_by_azure) == 5
    assert "'P14D'" in (ROOT / "infra" / "modules" / "bus.bicep").read_text(encoding="utf-8")
    assert "14 days" in first
