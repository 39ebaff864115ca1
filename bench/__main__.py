"""`python -m bench` measures everything and writes bench/RESULTS.md; `python -m bench quiet` only shows one section."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from bench.sections import SECTIONS

RESULTS = Path(__file__).with_name("RESULTS.md")
_PACKAGES = ("azure-", "msgraph-")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("words", nargs="*", help="show the sections whose titles have one of these, and write nothing")
    words = [word.lower() for word in parser.parse_args().words]
    chosen = [(title, work) for title, work in SECTIONS if not words or any(word in title.lower() for word in words)]
    began = time.monotonic()
    texts = [f"## {title}\n\n{_run(title, work)}\n" for title, work in chosen]
    if words:
        sys.stdout.write("\n" + "\n".join(texts))
        return
    RESULTS.write_text("\n".join([_header(time.monotonic() - began), *texts]), encoding="utf-8")
    _say(f"written to {RESULTS}\n")


def _run(title: str, work: Callable[[], str]) -> str:
    """In a process of its own, so that one benchmark's memory and imports do not colour another's."""
    _say(f"{title} … ")
    began = time.monotonic()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        text = pool.submit(work).result()
    _say(f"{time.monotonic() - began:.0f} s\n")
    return text


def _header(seconds: float) -> str:
    packages = sorted(
        f"{found.metadata['Name']} {found.version}"
        for found in distributions()
        if found.metadata["Name"].lower().startswith(_PACKAGES)
    )
    return "\n".join(
        [
            "# What it costs",
            "",
            f"Measured on {datetime.now(UTC):%d %B %Y} by `python -m bench` in {seconds:.0f} s, on "
            f"{os.cpu_count()} cores ({_processor()}), with Python {platform.python_version()}, {', '.join(packages)}.",
            "",
            "Graph is the simulated tenant of this repository with the limits that Microsoft publishes; the clients "
            "are the real ones. Of times only the ratios say anything about another machine.",
            "",
        ]
    )


def _processor() -> str:
    """What Linux calls the processor, where it is Linux."""
    known = Path("/proc/cpuinfo")
    lines: Sequence[str] = known.read_text(encoding="utf-8").splitlines() if known.exists() else ()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _say(words: str) -> None:
    sys.stdout.write(words)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
