"""`check` and `plan` run on plain Windows with Python alone, and every other command says where it runs instead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.world import REPOSITORY
from tests.mis import feeds

_ENDED = {0, 2, 3, 4}


@dataclass(frozen=True, slots=True)
class Windows:
    """An interpreter without what Windows does not have. `folder` is for what the calls print."""

    process: subprocess.Popen[str]
    folder: Path

    def call(self, *options: str, folder: Path, encoding: str = "cp1252") -> subprocess.CompletedProcess[bytes]:
        """Run the command line in `folder`, in a process of its own that prints in `encoding`."""
        printed = {name: str(self.folder / name) for name in ("stdout", "stderr")}
        assert self.process.stdin and self.process.stdout
        asked = {"options": options, "folder": str(folder), "encoding": encoding, **printed}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        done = subprocess.CompletedProcess(options, status, *(Path(path).read_bytes() for path in printed.values()))
        assert b"Traceback" not in done.stderr, done.stderr.decode(encoding)
        assert done.returncode in _ENDED
        return done


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    """Windows has no time zones of its own, and a console of 256 characters where the output is redirected."""
    folder = tmp_path_factory.mktemp("windows")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONTZPATH": "", "PYTHONIOENCODING": "cp1252"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.local.plain_windows"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Windows(process, folder)


def test_a_plan_needs_neither_a_world_nor_what_only_posix_has(windows: Windows, tmp_path: Path) -> None:
    feed = feeds.write_zip(feeds.oneroster(), tmp_path / "feed.zip")
    before = sorted(tmp_path.iterdir())
    planned = windows.call("plan", "--mis", str(feed), "--out", "plan.json", folder=tmp_path)
    assert planned.returncode == 4, planned.stderr
    assert planned.stdout.startswith(b"school S1: 3 groups; classes: 3 to create, 0 to change")
    (plan,) = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert len(plan["classes"]) == 3
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "plan.json"])


def test_a_console_of_256_characters_shows_names_that_it_does_not_have(windows: Windows, tmp_path: Path) -> None:
    names = feeds.oneroster()
    names["orgs.csv"] = names["orgs.csv"].replace("A School", "Ysgol Dŵr 学校 – Élan")
    feed = str(feeds.write(names, tmp_path / "feed"))
    checked = windows.call("check", feed, "--against", feed, folder=tmp_path)
    text = checked.stdout.decode("cp1252")
    assert checked.returncode == 0, checked.stderr
    assert "Ysgol Dwr XueXiao – Élan" in text
    assert "pupils 2 -> 2" in " ".join(text.split())
    as_json = json.loads(windows.call("check", feed, "--json", folder=tmp_path).stdout)
    assert as_json["reports"][0]["name"] == "Ysgol Dŵr 学校 – Élan"
    whole = windows.call("check", feed, "--against", feed, folder=tmp_path, encoding="utf-8").stdout.decode("utf-8")
    assert "Ysgol Dŵr 学校 – Élan" in whole
    assert "pupils 2 → 2" in " ".join(whole.split())


_TYPED = r"C:\exports\year [7]\night.zip"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["check", _TYPED], f"refused: there is no feed at {_TYPED}"),
        (["plan", "--mis", _TYPED], f"refused: there is no feed at {_TYPED}"),
        (["plan", "--mis", "feed", "--accounts", _TYPED], f"refused: {_TYPED} is no file"),
        (["plan", "--mis", "feed", "--school", _TYPED], f"refused: {_TYPED}: "),
        (["plan", "--mis", "feed", "--out", r"C:\nowhere/plan.json"], r"C:\nowhere/plan.json cannot be written"),
    ],
    ids=["check", "plan", "accounts", "school", "out"],
)
def test_a_path_is_told_as_it_was_typed(options: list[str], told: str, windows: Windows, tmp_path: Path) -> None:
    feeds.write(feeds.oneroster(), tmp_path / "feed")
    refused = windows.call(*options, folder=tmp_path)
    assert refused.returncode in (2, 3)
    assert refused.stderr.decode("cp1252").startswith(told)


@pytest.mark.parametrize(
    "options",
    [
        ["up"],
        ["sync", "--mis", "feed"],
        ["plan", "--mis", "feed", "--world", "used"],
        ["announce", "S1"],
        ["tenant"],
        ["check"],
        ["doctor"],
        ["edit", "delete", "10A"],
        ["demo"],
        ["demo", "--world", "used"],
    ],
    ids=" ".join,
)
def test_what_needs_a_world_says_where_it_runs_and_touches_nothing(
    options: list[str], windows: Windows, tmp_path: Path
) -> None:
    feeds.write(feeds.oneroster(), tmp_path / "feed")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "lock").touch()
    before = sorted(tmp_path.rglob("*"))
    refused = windows.call(*options, folder=tmp_path)
    assert refused.returncode == 3
    text = refused.stderr.decode("cp1252")
    assert text.startswith("the world in ")
    assert "nothing was started — run this command in WSL or in the dev container (docs/windows.md)\n" in text
    assert sorted(tmp_path.rglob("*")) == before


def test_help_is_shown(windows: Windows, tmp_path: Path) -> None:
    for options in (["--help"], ["plan", "--help"], ["sync", "--help"]):
        assert windows.call(*options, folder=tmp_path).returncode == 0
