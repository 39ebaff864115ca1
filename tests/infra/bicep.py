"""The Bicep files as data, as written, for tests that compare them with the code."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from pycep import BicepParser

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "infra").rglob("*.bicep"))


def text(name: str) -> str:
    return (ROOT / "infra" / name).read_text(encoding="utf-8")


@cache
def _parser() -> BicepParser:
    """To make it takes longer than to parse all files."""
    return BicepParser()


def parse(name: str) -> dict[str, Any]:
    return dict(_parser().parse(text=text(name)))


def app_settings() -> dict[str, str]:
    """The application settings that every app has, as written: without references to secrets, and the sign-in's own."""
    config = parse("modules/app.bicep")["resources"]["settings"]["config"]["properties"]
    written = re.search(
        r"properties: union\(vaultReferences, credential, \{\n(.*?)\n  \}\)", text("modules/app.bicep"), re.DOTALL
    )
    assert config
    assert written
    return dict(re.findall(r"^    (\w+): (.+)$", written[1], re.MULTILINE))
