"""A tenant's directory over sockets, and a terminal in which the scripts find it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.scripts.directory import HOST, Directory
from tests.infra.scripts.terminal import Terminal
from tests.infra.scripts.tunnel import serving


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def terminal(directory: Directory, tmp_path: Path) -> Iterator[Terminal]:
    with serving({HOST: directory.answer, "management.azure.com": directory.answer}, tmp_path) as environment:
        yield Terminal(tmp_path, environment)
