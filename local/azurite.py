"""Azurite, Microsoft's storage emulator, in its own process."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from local.node_packages import PACKAGES, node
from local.processes import Child, signals_held, wait_until

# The account and key that Microsoft publishes for its emulator: public, not a secret.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Azurite:
    """Tables and blobs, kept in `folder`. Stopped with SIGINT, the only signal on which it saves its latest writes."""

    def __init__(self, folder: Path, log: Path, accounts: Sequence[str] = ()) -> None:
        """`accounts` are the names of more storage accounts."""
        self._folder = folder
        self._log = log
        self._accounts = accounts
        self._port = self._blob_port = 0
        self.child: Child | None = None

    def start(self) -> None:
        """Returns when it answers; a second start uses the same address. Raises StartFailed."""
        self._port, self._blob_port = self._port or _free_port(), self._blob_port or _free_port()
        self._folder.mkdir(parents=True, exist_ok=True)
        script = PACKAGES / "azurite" / "dist" / "src" / "azurite.js"
        command = [str(node()), str(script), "--silent", "--location", str(self._folder), "--tableHost", "127.0.0.1"]
        command += ["--tablePort", str(self._port), "--blobHost", "127.0.0.1", "--blobPort", str(self._blob_port)]
        command += ["--queueHost", "127.0.0.1", "--queuePort", "0", "--skipApiVersionCheck", "--disableTelemetry"]
        accounts = {"AZURITE_ACCOUNTS": ";".join(f"{name}:{_KEY}" for name in (_ACCOUNT, *self._accounts))}
        with signals_held():
            self.child = Child("Azurite", command, self._log, accounts, stop_with=signal.SIGINT)
        wait_until(lambda: _listens(self._port) and _listens(self._blob_port), self.child)

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    @property
    def connection_string(self) -> str:
        """Of the account that every Azurite has."""
        return self.connect_to(_ACCOUNT)

    def connect_to(self, account: str) -> str:
        """The connection string of this account."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={_KEY};"
            f"TableEndpoint=http://127.0.0.1:{self._port}/{account};"
            f"BlobEndpoint=http://127.0.0.1:{self._blob_port}/{account};"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
