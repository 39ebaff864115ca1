"""The documents are complete: each story that docs/rules.md names, each setting, and each link exists."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from sync_core.domain.school import SchoolChoices
from sync_core.mis import budget

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])
STORIES = {
    "R": "test_rule_stories.py",
    "A": "test_admin_stories.py",
    "N": "test_nights.py",
    "T": "test_two_tenants.py",
    "F": "test_feed_stories.py",
    "H": "test_hold_stories.py",
    "X": "test_explain_stories.py",
    "U": "test_undo_stories.py",
    "D": "test_dead_letter_stories.py",
    "S": "test_source_stories.py",
    "W": "test_webhook_stories.py",
    "C": "test_drop_stories.py",
}


def test_every_story_that_the_rules_name_exists_and_every_rule_story_is_named() -> None:
    rules = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    named: dict[str, set[int]] = {letter: set() for letter in STORIES}
    for letter, first, last in re.findall(r"\b([RANTFHXUDSWC])(\d\d)(?:–\1(\d\d))?", rules):
        named[letter] |= set(range(int(first), int(last or first) + 1))
    for letter, file in STORIES.items():
        numbers = {int(number) for number in re.findall(r"^def test_(\d\d)_", _read_story(file), re.MULTILINE)}
        assert named[letter] <= numbers, f"{letter}: {sorted(named[letter] - numbers)}"
    numbers = {int(number) for number in re.findall(r"^def test_(\d\d)_", _read_story(STORIES["R"]), re.MULTILINE)}
    assert numbers - named["R"] <= {11, 24}, "a rule's story that docs/rules.md does not name"


def test_every_setting_of_a_school_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [field.name for field in fields(SchoolChoices) if f"| `{field.name}` |" not in readme] == []


def test_every_limit_of_a_feed_is_in_the_security_page() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = page.split("## Limits on what a feed may contain")[1].split("\n## ")[0]
    documented = [int(value.replace(",", "")) for value in re.findall(r"^\| .+ \| ([\d,]+) \|", section, re.MULTILINE)]
    limits = [value for name, value in vars(budget).items() if re.match("MAX_|SUSPECT_|FIRST_|LAST_", name)]
    assert sorted(documented) == sorted(limits)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_has_a_target(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked), target


def test_every_test_that_the_security_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    missing = [
        f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub generates from the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _read_story(name: str) -> str:
    return (ROOT / "tests" / "flow" / name).read_text(encoding="utf-8")
