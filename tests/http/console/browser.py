"""A real Chromium for the pages: the machine's, or the one that an npm package carries. And axe, which judges them."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from local.node_packages import PACKAGES, node

_AXE = PACKAGES / "axe-core" / "axe.min.js"
_UNPACK = "import('@sparticuz/chromium').then(async each => console.log(await each.default.executablePath()))"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_OF_COLOURS = ["color-contrast", "link-in-text-block"]
_OPTIONS = [
    "--headless=shell", "--no-sandbox", "--no-zygote", "--disable-gpu", "--in-process-gpu", "--disable-setuid-sandbox",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
    "--js-flags=--no-opt,--no-maglev",
]  # fmt: skip
"""V8 leaves code as it first compiled it: axe has judged a page before faster code repays its compilation."""
_ROOM = 1_000_000_000
"""Bytes that must be free in /dev/shm."""
_WIDE, _NARROW = 1280, 320
_Scheme = Literal["light", "dark"]
_VIEWS: dict[int, tuple[_Scheme, ...]] = {_NARROW: ("light", "dark"), _WIDE: ("dark", "light")}
"""The last is how stories see a page. From one to the next, one thing changes: the browser draws the page each time."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_find_chromium(), args=_OPTIONS, ignore_default_args=_unwanted_defaults()
        )
        try:
            yield browser
        finally:
            browser.close()


def _unwanted_defaults() -> list[str]:
    """Playwright has Chromium share memory in files of /tmp, because /dev/shm is small in many containers.

    Files on a disk take a tenth of the browser's time.
    """
    memory = Path("/dev/shm")
    return ["--disable-dev-shm-usage"] if memory.exists() and shutil.disk_usage(memory).free > _ROOM else []


@cache
def _find_chromium() -> str:
    installed = shutil.which("chromium") or shutil.which("google-chrome")
    if installed:
        return installed
    # It is unpacked into the same folder as the lock. A worker that starts it while another writes it would fail.
    with (Path(gettempdir()) / f"chromium-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([str(node()), "-e", _UNPACK], cwd=PACKAGES, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in person at their browser. Screenshots of what they see go to `pictures`, if that is a folder."""

    page: Page
    session: CDPSession
    host: str
    pictures: Path | None

    def open(self, path: str, status: int = 200) -> Page:
        response = self.page.goto(f"{self.host}{path}")
        assert response and response.status == status, f"{path}: {response and response.status}"
        return self.page

    def check(self, name: str) -> None:
        """Assert that axe has nothing to say of the page, light and dark, wide and narrow. Take its pictures.

        Asserts too that a narrow page is no wider than its window (WCAG 1.4.10).
        """
        faults: list[str] = []
        world = _load_axe(self.session)
        for width, schemes in _VIEWS.items():
            self.page.set_viewport_size({"width": width, "height": 900})
            for scheme in schemes:
                self.page.emulate_media(color_scheme=scheme)
                if self.pictures:
                    (self.pictures / f"{name}-{width}-{scheme}.png").write_bytes(_photograph(self.session))
                wide, found = _judge(self.session, world, scheme)
                found += [f"{wide} wide"] if wide > width else []
                faults += [f"{name} at {width}, {scheme}: {fault}" for fault in found]
        assert not faults, "\n".join(faults)


def _photograph(session: CDPSession) -> bytes:
    """A PNG of the whole page. Playwright's own takes half as long again."""
    options = {"format": "png", "captureBeyondViewport": True, "optimizeForSpeed": True}
    return b64decode(session.send("Page.captureScreenshot", options)["data"])


@cache
def _read_axe() -> str:
    """Its text in ASCII, which the browser keeps and compiles as one byte a character. A few would make it two."""
    return _AXE.read_text(encoding="utf-8").encode("ascii", "backslashreplace").decode("ascii")


def _load_axe(session: CDPSession) -> int:
    """Load axe once for a page, because that takes longer than its judgement. Returns the id of its context.

    The policy of the page allows no script of another place, so axe runs in a world of its own.
    """
    frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})["executionContextId"]
    session.send("Runtime.evaluate", {"expression": _read_axe(), "contextId": world})
    return int(world)


def _judge(session: CDPSession, world: int, scheme: _Scheme) -> tuple[int, list[str]]:
    """The width of the page, and what axe finds wrong with it, as it is shown now.

    Dark pages differ in their colours alone. Nothing is preloaded: that is for films and for a rule that axe leaves
    out, and takes a quarter of the time.
    """
    rules = {"type": "tag", "values": _RULES} if scheme == "light" else {"type": "rule", "values": _OF_COLOURS}
    options = json.dumps({"runOnly": rules, "resultTypes": ["violations"], "preload": False})
    answer = "JSON.stringify([document.documentElement.scrollWidth, found.violations])"
    asked = {
        "expression": f"axe.run({options}).then(found => {answer})",
        "contextId": world,
        "awaitPromise": True,
        "returnByValue": True,
    }
    result: dict[str, Any] = session.send("Runtime.evaluate", asked)
    wide, found = json.loads(result["result"]["value"])
    return wide, [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


@contextmanager
def visit(browser: Browser, host: str, user: str, pictures: Path | None) -> Iterator[Visitor]:
    """A new browser session of `user`, signed in as the local host signs people in."""
    context = browser.new_context(viewport={"width": _WIDE, "height": 900})
    page = context.new_page()
    page.goto(f"{host}/.auth/login/aad?post_login_redirect_uri=/api/health")
    page.click(f"button[value={user}]")
    try:
        yield Visitor(page, context.new_cdp_session(page), host, pictures)
    finally:
        context.close()
