"""A browser for each module of stories, and where its pictures go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.conftest import REPOSITORY
from tests.http.console.browser import open_browser
from tests.http.console.memory_console import Console
from tests.http.memory_api import Api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def console(api: Api) -> Console:
    return Console(api)


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Screenshots of every page in every story, for people to look at."""
    folder = REPOSITORY / "dist" / "console"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
