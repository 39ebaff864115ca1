"""One Azurite for all tests of a run, in memory: on disk, it writes all that it has every five seconds.

Each worker has storage accounts of its own there. With an Azurite of its own, each would compile its code again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from local.azurite import Azurite

_CONNECTION, _SHARE = "STORAGE_OF_TESTS", "ACCOUNTS_OF_WORKER"
"""Environment variables for the workers: a connection string with a mark for the account, and how many each has."""
_ACCOUNT = "ACCOUNT"
_ACCOUNTS = 1_000
"""With their keys, they fit into the one environment variable that Azurite takes them from."""


def start_azurite(log: Path, workers: int) -> Azurite:
    """Start it for this process and its children, each worker of which has an equal share of its accounts."""
    share = _ACCOUNTS // workers
    accounts = [f"gw{worker}x{number}" for worker in range(workers) for number in range(share)]
    server = Azurite(None, log, accounts)
    server.start()
    os.environ.update({_CONNECTION: server.connect_to(_ACCOUNT), _SHARE: str(share)})
    return server


def is_started() -> bool:
    return _CONNECTION in os.environ


def own_accounts() -> Iterator[str]:
    """The connection strings of the accounts that this worker has in the Azurite that was started."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    numbers = range(int(os.environ[_SHARE]))
    return (os.environ[_CONNECTION].replace(_ACCOUNT, f"{worker}x{number}") for number in numbers)
