"""The package has only the app, is small, and can be indexed with nothing but its requirements."""

from __future__ import annotations

import fnmatch
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.infra.bicep import ROOT

_DEPLOYED = {"host.json", "requirements.txt", "function_app.py", "sync_core"}
_MAX_BYTES = 2_500_000
_MAX_ZIP_BYTES = 850_000
PACKAGE = ROOT / "dist" / "mis-class-sync.zip"

# In an isolated interpreter, which has neither the working directory nor PYTHONPATH on its path.
_INDEX = """
import json, sys

class NotDeployed:
    names = set(json.loads(sys.argv[2]))

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in cls.names:
            raise ModuleNotFoundError(f"{name} is not in requirements.txt", name=name)

sys.meta_path.insert(0, NotDeployed)
sys.path.insert(0, sys.argv[1])
import function_app
assert function_app.__file__.startswith(sys.argv[1])
print(*sorted(function.get_function_name() for function in function_app.app.get_functions()))
"""


def list_tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def is_ignored(file: str) -> bool:
    patterns = [
        line for line in (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
    ]
    top = file.partition("/")[0]
    return any(fnmatch.fnmatch(top, pattern.rstrip("/")) or fnmatch.fnmatch(file, pattern) for pattern in patterns)


def write_package(folder: Path) -> list[str]:
    """Write the package's files to `folder`. Returns their paths."""
    files = [file for file in list_tracked() if not is_ignored(file)]
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes((ROOT / file).read_bytes())
    return files


@dataclass(frozen=True)
class Installed:
    """A distribution with the extras of it that were asked for."""

    name: str
    extras: frozenset[str] = frozenset()

    def needs(self) -> Iterator[Installed]:
        return installed(metadata.requires(self.name) or (), self.extras)


def installed(requirements: Iterable[str], extras: Iterable[str] = ()) -> Iterator[Installed]:
    """What the lines of requirements install in this Python, given the extras that were asked for."""
    for one in map(Requirement, requirements):
        if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield Installed(canonicalize_name(one.name), frozenset(one.extras))


def with_needs(these: Iterable[Installed], known: frozenset[Installed] = frozenset()) -> frozenset[Installed]:
    for one in these:
        if one not in known:
            known = with_needs(one.needs(), known | {one})
    return known


def not_deployed() -> list[str]:
    """What can be imported in the tests, but not in Azure."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.removesuffix("\\") for line in lines if line[0].isalnum()]
    present = {one.name for one in with_needs(installed(pinned))}
    owners = metadata.packages_distributions().items()
    return [name for name, all_owners in owners if present.isdisjoint(map(canonicalize_name, all_owners))]


def test_the_package_has_only_the_app_and_is_small(tmp_path: Path) -> None:
    files = write_package(tmp_path)
    assert {file.partition("/")[0] for file in files} == _DEPLOYED
    assert sum((tmp_path / file).stat().st_size for file in files) < _MAX_BYTES


@pytest.fixture(scope="module")
def made() -> str:
    """What `make package` says. The zip that it makes is at PACKAGE."""
    result = subprocess.run(
        ["make", "--no-print-directory", "package"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return result.stdout


def test_the_zip_of_make_package_has_the_same_files(made: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(PACKAGE) as archive:
        assert sorted(name for name in archive.namelist() if not name.endswith("/")) == sorted(write_package(tmp_path))


def test_make_package_says_the_size_of_the_zip(made: str) -> None:
    size = PACKAGE.stat().st_size
    assert made.splitlines()[-1] == f"dist/mis-class-sync.zip: {size} bytes"
    assert size < _MAX_ZIP_BYTES


def test_what_is_made_beside_the_app_is_not_deployed() -> None:
    """By `make package`, `azd restore` and `make setup`."""
    made = ["dist/mis-class-sync.zip", "mis-class-sync_env/pyvenv.cfg", ".venv/pyvenv.cfg", ".local/state"]
    assert [file for file in made if not is_ignored(file)] == []


def test_all_functions_are_indexed_from_the_zip_with_nothing_but_its_requirements(made: str, tmp_path: Path) -> None:
    assert "function_app.py" in made
    with zipfile.ZipFile(PACKAGE) as archive:
        archive.extractall(tmp_path)
    missing = not_deployed()
    assert {"hypothesis", "pytest", "yaml", "croniter"} <= set(missing)
    result = subprocess.run(
        [sys.executable, "-I", "-c", _INDEX, str(tmp_path), json.dumps(missing)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [
        "apply_change",
        "apply_urgent_change",
        "check_file_drops",
        "console_assets",
        "console_connect",
        "console_health",
        "console_rehearsal",
        "console_root",
        "console_schools",
        "console_upload",
        "health",
        "manage",
        "mis_changes",
        "nightly_sync",
        "plan_sync",
        "wonde_access",
    ]
