"""The service stays easy to read: few files per folder, short files, short functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVICE = ROOT / "sync_core"
MODULES = [ROOT / "function_app.py", *sorted(SERVICE.rglob("*.py"))]


def functions(module: Path) -> Iterator[tuple[str, int]]:
    """Each function of a module with its length in lines."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_no_file_has_more_than_400_lines_and_no_function_more_than_60(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400
    assert {name: lines for name, lines in functions(module) if lines > 60} == {}


def test_a_folder_has_at_most_12_files_and_the_top_one_10() -> None:
    rooms = {room: len(list(room.glob("*.py"))) for room in (SERVICE, *SERVICE.rglob("*/")) if room.is_dir()}
    assert rooms[SERVICE] <= 10
    assert {room.name: files for room, files in rooms.items() if files > 12} == {}
