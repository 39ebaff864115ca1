"""The package has only the app, is small, and can be indexed alone."""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.infra.bicep import ROOT

_DEPLOYED = {"host.json", "requirements.txt", "function_app.py", "sync_core"}
_MAX_BYTES = 1_500_000

_INDEX = """
import sys
sys.path = [sys.argv[1], *(place for place in sys.path if "site-packages" in place or "lib/python" in place)]
import function_app
names = sorted(function.get_function_name() for function in function_app.app.get_functions())
assert not {"local", "tests", "bench"} & set(sys.modules), "a module outside the package was imported"
assert function_app.__file__.startswith(sys.argv[1])
print(*names)
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


def test_the_package_has_only_the_app_and_is_small(tmp_path: Path) -> None:
    files = write_package(tmp_path)
    assert {file.partition("/")[0] for file in files} == _DEPLOYED
    assert sum((tmp_path / file).stat().st_size for file in files) < _MAX_BYTES


def test_the_zip_of_make_package_has_the_same_files(tmp_path: Path) -> None:
    subprocess.run(["make", "package"], cwd=ROOT, capture_output=True, check=True)
    with zipfile.ZipFile(ROOT / "dist" / "mis-class-sync.zip") as archive:
        assert sorted(name for name in archive.namelist() if not name.endswith("/")) == sorted(write_package(tmp_path))


def test_all_functions_are_indexed_from_the_package(tmp_path: Path) -> None:
    write_package(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", _INDEX, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [
        "apply_change",
        "apply_urgent_change",
        "check_file_drops",
        "health",
        "manage",
        "mis_changes",
        "nightly_sync",
        "plan_sync",
        "wonde_access",
    ]


def test_every_requirement_is_pinned_to_one_version() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert lines
    assert [line for line in lines if "==" not in line or "*" in line] == []
