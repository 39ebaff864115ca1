"""The files that browsers keep: what they are made of, and how large they are."""

from __future__ import annotations

import gzip
import re
from itertools import combinations

from local.styles import RESULT, SOURCE, compile_styles

_LARGEST = 60 * 1024


def test_the_style_sheet_is_compiled_from_its_source() -> None:
    """After a change: `make styles`."""
    assert RESULT.read_text(encoding="utf-8") == compile_styles()


def test_the_files_of_a_page_are_small() -> None:
    """At most 60 KB on the wire, with the page itself."""
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in RESULT.parent.iterdir()}
    assert sum(sizes.values()) < _LARGEST / 2, sizes


def test_no_file_names_another_place() -> None:
    """No font or picture from elsewhere, and neither the crown nor the font of the government's own services."""
    text = "".join(path.read_text(encoding="utf-8") for path in RESULT.parent.iterdir())
    assert re.findall(r"url\([^)]*|@import|src=", text) == []
    assert "GDS Transport" not in text
    assert "@font-face" not in text


def test_the_script_stores_nothing_in_the_browser() -> None:
    script = (RESULT.parent / "console.js").read_text(encoding="utf-8")
    for store in ("localStorage", "sessionStorage", "indexedDB", "document.cookie", "caches", "serviceWorker"):
        assert store not in script
    assert "innerHTML =" not in script.replace("state.innerHTML = newer.innerHTML", "")


def test_no_two_style_sheets_say_what_one_class_is() -> None:
    """The pages have one style sheet in the end: two parts of it that name their class alike would undo each other."""
    sheets = sorted(SOURCE.parent.glob("*.scss"))
    named = {
        sheet.name: set(re.findall(r"^\.(app-[a-z-]+) \{", sheet.read_text(encoding="utf-8"), re.M)) for sheet in sheets
    }
    for first, second in combinations(named, 2):
        assert named[first] & named[second] == set(), (first, second)
