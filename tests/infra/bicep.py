"""The Bicep files as data, for tests to hold against the code: as they are written, not what Azure makes of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pycep import BicepParser

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "infra").rglob("*.bicep"))


def text(name: str) -> str:
    return (ROOT / "infra" / name).read_text(encoding="utf-8")


def parsed(name: str) -> dict[str, Any]:
    return dict(BicepParser().parse(text=text(name)))


def app_settings() -> dict[str, str]:
    """The application settings that the app module sets, as they are written, but for secrets by reference."""
    config = parsed("modules/app.bicep")["resources"]["settings"]["config"]["properties"]
    written = re.search(r"properties: union\(secretReferences, \{\n(.*?)\n  \}\)", text("modules/app.bicep"), re.DOTALL)
    assert config
    assert written
    return dict(re.findall(r"^    (\w+): (.+)$", written[1], re.MULTILINE))
