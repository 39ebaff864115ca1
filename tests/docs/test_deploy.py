"""docs/deploy.md: the picture has the resources of the templates, the table the parameters, and messages are real."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_docs import ROOT
from tests.infra.bicep import parse

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
# Parts of a resource, and what connects two of them, are not in the picture.
_CONNECTIONS = {"Microsoft.Authorization/roleAssignments", "Microsoft.Insights/diagnosticSettings"}
# A node: its words, perhaps with the beginning of a name in Azure (`kv-…`), and its type.
_NODE = re.compile(r'\["(?:[^"]*?\b([a-z]+-?)…)?[^"]*<br>(Microsoft\.\w+/\w+)"\]')


def _section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}")[1].split("\n## ")[0]


def _rows(section: str) -> list[list[str]]:
    """The cells of a table's rows, without its header."""
    table = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    return [row.split(" | ") for row in table[2:]]


def _resources(environment: str) -> list[dict[str, Any]]:
    """What an environment has, without parts of other resources."""
    file = ROOT / "tests" / "infra" / "templates" / f"{environment}.json"
    resources: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["predictedResources"]
    return [one for one in resources if one["type"].count("/") == 1 and one["type"] not in _CONNECTIONS]


def test_the_picture_has_every_kind_of_resource_and_marks_those_of_the_private_network() -> None:
    (picture,) = re.findall(r"^```mermaid\n(.*?)^```", _section("What you get"), re.MULTILINE | re.DOTALL)
    everything, public = ({one["type"] for one in _resources(name)} for name in ("everything", "public"))
    always, private = picture.split("    subgraph private ")
    kinds = [kind for _, kind in _NODE.findall(always)]
    assert sorted(kinds) == sorted(public)
    assert {kind for _, kind in _NODE.findall(private)} == everything - public


def test_the_names_in_the_picture_begin_as_those_in_azure() -> None:
    named = [(prefix, kind) for prefix, kind in _NODE.findall(_section("What you get")) if prefix]
    assert len(named) == 11
    for prefix, kind in named:
        names = [one["name"] for one in _resources("everything") if one["type"] == kind]
        assert [name for name in names if not name.startswith(prefix)] == [], kind


def test_every_parameter_is_in_the_table_with_its_default_and_its_description() -> None:
    file = json.loads((ROOT / "infra" / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]
    expected = []
    for name, parameter in parse("main.bicep")["parameters"].items():
        (description,) = [one["argument"] for one in parameter["decorators"] if one["type"] == "description"]
        variable = file[name]["value"].removeprefix("${").removesuffix("}")
        expected.append([f"`{variable}`", _default(parameter["default"]), description])
    assert _rows(_section("All parameters")) == expected


def _default(value: object) -> str:
    match value:
        case None:
            return "azd asks"
        case "":
            return "empty"
        case dict():
            return "the subscription's tenant"
        case _:
            return f"`{str(value).lower() if isinstance(value, bool) else value}`"


@pytest.mark.parametrize("step", re.findall(r"^## (\d\. .+)$", PAGE, re.MULTILINE))
def test_a_step_says_its_minutes_and_what_to_see(step: str) -> None:
    assert re.search(r"\(\d+ minutes\)$", step)
    assert "**You see**" in _section(step)


@pytest.mark.parametrize(("source", "folder", "messages"), [("app", "sync_core", 7), ("script", "infra/scripts", 8)])
def test_every_message_of_this_project_is_one_that_its_code_has(source: str, folder: str, messages: int) -> None:
    rows = _rows(_section("Troubleshooting"))
    assert {row[1] for row in rows} == {"app", "script", "Azure", "azd"}
    named = [re.findall("`([^`…]+)", row[0])[0] for row in rows if row[1] == source]
    assert len(named) == messages
    said = "\n".join(_texts(ROOT / folder))
    assert [message for message in named if message not in said] == []


def test_the_page_asks_for_the_versions_that_the_project_needs() -> None:
    (azd,) = re.findall(r'^  azd: ">= ([\d.]+)"$', (ROOT / "azure.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    (python,) = re.findall(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"(`azd`) {azd} or later, the Azure CLI (`az`) and Python {python} or later" in PAGE


def _texts(folder: Path) -> list[str]:
    """Every text in the code of a folder. Where a message names something, its parts."""
    nodes = [node for file in sorted(folder.rglob("*.py")) for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
