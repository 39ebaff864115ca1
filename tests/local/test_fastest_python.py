"""Which python3 of the PATH makes .venv."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from local.fastest_python import fastest, in_path


def _python(folder: Path, prints: str, status: int = 0) -> str:
    """An interpreter that has measured these seconds."""
    folder.mkdir()
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\necho {prints}\nexit {status}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ([0.0075], 0),
        ([0.0075, 0.0052], 1),
        ([0.0075, 0.0065], 0),
        ([0.0052, 0.0075], 0),
        ([0.0075, 0.0062, 0.0052], 2),
    ],
    ids=["one", "a much faster one", "one that is a little faster", "a slower one", "the fastest of several"],
)
def test_the_first_or_a_much_faster_one(times: list[float], chosen: int, tmp_path: Path) -> None:
    pythons = [_python(tmp_path / str(number), str(seconds)) for number, seconds in enumerate(times)]
    assert fastest(pythons) == pythons[chosen]


def test_one_that_is_too_old_or_makes_no_virtual_environment_is_left_out(tmp_path: Path) -> None:
    old = _python(tmp_path / "old", "0.001", status=1)
    right = _python(tmp_path / "right", "0.0075")
    assert fastest([old, right]) == right
    assert fastest([old]) is None


def test_a_machine_that_is_slow_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    """The faster one takes twice its time when it is measured first."""
    first = _python(tmp_path / "first", "0.0075")
    fast = Path(_python(tmp_path / "fast", "0.0052"))
    slow_once = f"#!/bin/sh\n[ -e {tmp_path}/seen ] && echo 0.0052 || echo 0.0105\ntouch {tmp_path}/seen\n"
    fast.write_text(slow_once, encoding="utf-8")
    assert fastest([first, str(fast)]) == str(fast)


def test_this_interpreter_can_be_measured() -> None:
    assert fastest([sys.executable]) == sys.executable


def test_each_of_the_path_in_its_order_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _python(tmp_path / "first", "1"), _python(tmp_path / "second", "2")
    (tmp_path / "again").symlink_to(tmp_path / "first")
    (tmp_path / "empty").mkdir()
    folders = [tmp_path / name for name in ("empty", "first", "second", "again")]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))
    assert in_path() == [first, second]
