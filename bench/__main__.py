"""`python -m bench` measures everything and writes bench/RESULTS.md; `python -m bench quiet` prints one section."""

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
    parser.add_argument(
        "titles", nargs="*", help="print the sections with one of these in the title, and write no file"
    )
    titles = [title.lower() for title in parser.parse_args().titles]
    chosen = [(name, work) for name, work in SECTIONS if not titles or any(title in name.lower() for title in titles)]
    began = time.monotonic()
    texts = [f"## {title}\n\n{_run(title, work)}\n" for title, work in chosen]
    if titles:
        sys.stdout.write("\n" + "\n".join(texts))
        return
    RESULTS.write_text("\n".join([_header(time.monotonic() - began), *texts]), encoding="utf-8")
    _print(f"written to {RESULTS}\n")


def _run(title: str, work: Callable[[], str]) -> str:
    """Run in a separate process, so that the memory and imports of one benchmark do not affect another."""
    _print(f"{title} … ")
    began = time.monotonic()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        text = pool.submit(work).result()
    _print(f"{time.monotonic() - began:.0f} s\n")
    return text


def _header(seconds: float) -> str:
    packages = sorted(
        f"{package.metadata['Name']} {package.version}"
        for package in distributions()
        if package.metadata["Name"].lower().startswith(_PACKAGES)
    )
    return "\n".join(
        [
            "# What it costs",
            "",
            f"Measured on {datetime.now(UTC):%d %B %Y} by `python -m bench` in {seconds:.0f} s, on "
            f"{os.cpu_count()} cores ({_processor()}), with Python {platform.python_version()}, {', '.join(packages)}.",
            "",
            "Graph is the simulated tenant of this repository with the limits that Microsoft publishes; the clients "
            "are the real ones. Of the times, only the ratios are meaningful for another machine.",
            "",
        ]
    )


def _processor() -> str:
    """The processor's model name on Linux, or else its architecture."""
    cpu_info = Path("/proc/cpuinfo")
    lines: Sequence[str] = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.exists() else ()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
