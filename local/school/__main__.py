"""Writes the generated school to a folder, to look at or to sync."""

from __future__ import annotations

import argparse
from pathlib import Path

from local.school.generate import PUPILS, generate
from local.school.oneroster_csv import write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.school", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder for the OneRoster CSV files")
    parser.add_argument("--pupils", type=int, default=PUPILS)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    write(generate(options.seed, options.pupils), options.out)


if __name__ == "__main__":
    main()
