"""A browser for each module of stories, and where its pictures go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.conftest import REPOSITORY
from tests.flow.trust import Trust
from tests.http.console.browser import Visitor, open_browser, visit
from tests.http.console.memory_console import Console
from tests.http.memory_api import Api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def admin(trust: Trust, browser: Browser, pictures: Path | None) -> Iterator[Visitor]:
    """An admin of all schools in the world that the module calls `trust`, who stays signed in for all its stories."""
    with visit(browser, trust.addresses.host, "admin", pictures) as visitor:
        yield visitor


@pytest.fixture
def console(api: Api) -> Console:
    return Console(api)


@pytest.fixture(scope="session")
def pictures() -> Path | None:
    """Where screenshots of every page in every story go, for people who want to look at them (`PICTURES=1`)."""
    if not os.environ.get("PICTURES"):
        return None
    folder = REPOSITORY / "dist" / "console"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
