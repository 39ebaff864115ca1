"""Azurite, Microsoft's storage emulator, in its own process."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from local.node_packages import AZURITE, PACKAGES, node
from local.processes import Child, StartFailed, signals_held

_LISTENING = re.compile(rb"Azurite (Blob|Table) service is successfully listening at http://127\.0\.0\.1:(\d+)")

# The account and key that Microsoft publishes for its emulator: public, not a secret.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def require_azurite() -> None:
    """Raises StartFailed if it is not installed."""
    if not AZURITE.exists():
        raise StartFailed(
            f"Azurite is not installed in {PACKAGES} — run 'make setup' in a checkout; where the package is "
            "installed, install its extra 'world', and run 'python -m local.node_packages --install'"
        )


class Azurite:
    """Tables and blobs, kept in `folder`. Stopped with SIGINT, the only signal on which it saves its latest writes."""

    def __init__(self, folder: Path | None, log: Path, accounts: Sequence[str] = ()) -> None:
        """Without a folder, they are in memory and end with it. `accounts` are the names of more storage accounts."""
        self._folder = folder
        self._log = log
        self._accounts = accounts
        self._port = self._blob_port = 0
        self.child: Child | None = None

    def start(self) -> None:
        """Returns when it answers; a second start uses the same address. Raises StartFailed.

        Azurite chooses its ports itself: one that is chosen for it may be somebody else's by the time it listens.
        """
        kept = ["--inMemoryPersistence"]
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
            kept = ["--location", str(self._folder)]
        # Node warns of a module that Azurite uses.
        command = [str(node()), "--disable-warning=DEP0040", str(AZURITE), "--silent", *kept]
        command += ["--tableHost", "127.0.0.1", "--tablePort", str(self._port)]
        command += ["--blobHost", "127.0.0.1", "--blobPort", str(self._blob_port)]
        command += ["--queueHost", "127.0.0.1", "--queuePort", "0", "--skipApiVersionCheck", "--disableTelemetry"]
        environment = {
            "AZURITE_ACCOUNTS": ";".join(f"{name}:{_KEY}" for name in (_ACCOUNT, *self._accounts)),
            "NODE_COMPILE_CACHE": str(PACKAGES.parent / "compiled"),
        }
        with signals_held():
            self.child = Child("Azurite", command, self._log, environment, stop_with=signal.SIGINT)
        found = (_LISTENING.fullmatch(line) for line in self.child.lines())
        ports = dict(islice(((match[1], int(match[2])) for match in found if match), 2))
        self._blob_port, self._port = ports[b"Blob"], ports[b"Table"]

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
