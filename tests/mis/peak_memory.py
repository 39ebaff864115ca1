"""The most memory that a process of its own has taken, which it prints last."""

from __future__ import annotations

import sys
from pathlib import Path


def print_peak() -> None:
    """In MiB. Linux: without what the process inherits from its parent; 0 elsewhere."""
    status = Path("/proc/self/status")
    peak = int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024 if status.exists() else 0
    sys.stdout.write(f"{peak}\n")
