"""Every command and every request that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from cli.app import build_app
from sync_core.app import App
from sync_core.config import parse_settings
from tests.docs.test_docs import PAGES, ROOT
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services
from tests.http.built import serve_api
from tests.http.memory_api import ENVIRONMENT

# CHANGELOG.md has requests of earlier versions too.
_PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]
# "Azure CLI reference" and "Azure Developer CLI reference", learn.microsoft.com: the commands that the pages name.
_AZURE = {
    "az": {
        "account get-access-token",
        "functionapp config appsettings set",
        "functionapp deployment source config-zip",
        "functionapp list",
        "functionapp show",
        "functionapp start",
        "functionapp stop",
        "keyvault recover",
        "login",
        "provider register",
        "storage blob undelete",
    },
    "azd": {
        "auth login",
        "deploy",
        "down",
        "env get-value",
        "env get-values",
        "env new",
        "env set",
        "provision",
        "restore",
        "up",
    },
}


def _code(page: Path) -> list[str]:
    """What a page sets as code: the lines of its blocks, and the words in backticks."""
    blocks = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks.findall(text) for line in block.splitlines()]
    return [*lines, *re.findall(r"`([^`\n]+)`", blocks.sub("", text))]


@pytest.fixture(scope="module")
def admin_api() -> dict[str, list[re.Pattern[str]]]:
    """Patterns of the paths after /api/admin, by method."""
    document = serve_api(App(parse_settings(ENVIRONMENT), services(MemoryState()))).openapi()
    patterns: dict[str, list[re.Pattern[str]]] = {}
    for path, methods in document["paths"].items():
        for method in methods:
            pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path.removeprefix("/api/admin")))
            patterns.setdefault(method.upper(), []).append(pattern)
    return patterns


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_request_of_the_admin_api_that_a_page_names_is_a_route(
    page: Path, admin_api: dict[str, list[re.Pattern[str]]]
) -> None:
    """Written `api GET /schools/S`, or `GET …/schools/S` in a sentence. Other paths are parts, or of other APIs."""
    named = [
        request
        for code in _code(page)
        for request in re.findall(
            r'\b(GET|POST|PUT|PATCH|DELETE) "?…?(/(?:schools|tenants|dead-letters|health)[^\s"?]*)', code
        )
    ]
    assert [(method, path) for method, path in named if not any(one.fullmatch(path) for one in admin_api[method])] == []
    assert page.name != "operations.md" or len(named) > 50


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_command_of_azure_that_a_page_names_is_known(page: Path) -> None:
    for tool, known in _AZURE.items():
        named = re.findall(rf"(?<![\w./-]){tool}((?: [a-z][a-z-]+(?![\w=./]))+)", "\n".join(_code(page)))
        assert [one for one in named if not any(f"{one} ".startswith(f" {command} ") for command in known)] == []


def words_of(app: typer.Typer) -> set[str]:
    """The names of its commands and groups of commands."""
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return set(command.commands)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_command_of_the_project_that_a_page_names_exists(page: Path) -> None:
    code = "\n".join(_code(page))
    assert set(re.findall(r"(?:python -m local|mis-class-sync) ([a-z]+)", code)) <= words_of(build_app())
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"^make ([a-z]+)", code, re.MULTILINE)) <= set(targets)
    scripts = re.findall(r"(?<!tests/)\binfra/scripts/[\w.-]*\w", code)
    assert [script for script in scripts if not (ROOT / script).is_file()] == []
