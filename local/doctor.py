"""The health of the app, as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text


def describe(health: Mapping[str, Any]) -> Text:
    """A line for each check, as `GET /api/admin/health` returns them, each failed one with its remedy, and the sum."""
    lines = health["lines"]
    failed = sum(not line["ok"] for line in lines)
    summary = f"{failed} of {len(lines)} checks failed" if failed else f"all {len(lines)} checks passed"
    return Text("\n").join([*(_line(**line) for line in lines), Text(summary, "bold")])


def not_started(problem: Mapping[str, Any]) -> Text:
    """The only line of an app that does not start, from the problem that it answers."""
    return _line(name="start", ok=False, detail=problem["what"], remedy=problem["remedy"])


def _line(*, name: str, ok: bool, detail: str, remedy: str) -> Text:
    mark = ("✔ ", "green") if ok else ("✖ ", "bold red")
    return Text.assemble(mark, (name, "bold"), f": {detail}", f"\n  → {remedy}" if remedy else "")
