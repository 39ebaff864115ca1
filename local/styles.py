"""Compiles the style sheet of the console with Sass and GOV.UK Frontend (`make styles`)."""

from __future__ import annotations

import subprocess
import sys

from local.node_packages import PACKAGES, node
from local.world import REPOSITORY

_CONSOLE = REPOSITORY / "sync_core" / "http" / "console"
SOURCE, RESULT = _CONSOLE / "styles" / "console.scss", _CONSOLE / "assets" / "console.css"


def compile_styles() -> str:
    options = ("--style=compressed", "--no-source-map", "--quiet-deps", f"--load-path={PACKAGES}")
    command = [str(node()), str(PACKAGES / "sass" / "sass.js"), *options, str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"Sass could not compile {SOURCE}: {done.stderr.strip()[-1000:]}")
    return done.stdout


if __name__ == "__main__":
    RESULT.write_text(compile_styles(), encoding="utf-8")
