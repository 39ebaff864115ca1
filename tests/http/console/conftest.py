"""A browser for each module of stories, and where its pictures go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.conftest import REPOSITORY
from tests.http.console.browser import open_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Screenshots of every page in every story, for people to look at."""
    folder = REPOSITORY / "dist" / "console"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
