"""The rows of a feed that a sync left out, as text for the terminal."""

from __future__ import annotations

from sync_core.domain.runs import LeftOutRows

_SHOWN = 10


def left_out_lines(found: LeftOutRows) -> list[str]:
    """The first rows, each with its remedy, and how to see the others."""
    rows = [row for _, row in sorted(found.rows.items())]
    lines = [f"left out: {row} — {row.remedy}" for row in rows[:_SHOWN]]
    if more := found.count - len(lines):
        first = "all" if found.count == len(rows) else f"the first {len(rows)}"
        lines.append(f"left out: {more} more — 'python -m local plan' with the same feed and settings lists {first}")
    return lines
