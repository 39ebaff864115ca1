"""The documents are complete: each story and test that a page names, each setting, and each link exists."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

from sync_core.domain.school.limits import Limits
from sync_core.domain.school.matching import Matching
from sync_core.domain.school.settings import SchoolChoices
from sync_core.graph.answer_limit import MAX_GRAPH_ANSWER
from sync_core.http.console.rendering import TABS
from sync_core.mis import budget
from tests.http.console.hostile_scene import routes as console_routes

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])
_BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_CODE = ["sync_core", "cli", "local", "bench", "infra", "tests", ".github"]
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
    "Y": "test_year_stories.py",
    "E": "test_year_end_stories.py",
    "G": "test_class_choice_stories.py",
    "M": "test_team_stories.py",
}
ASVS_LEVELS = {
    1: "22 1111122223 112222222223 222 123",
    2: "122 112 12223 23",
    3: "3 113 12223 11222233 11122333 3 22333",
    4: "12233 23333 22 1222",
    5: "2 112333 113 222",
    6: "122 111111112222 11223333 112233 22222333 2223 33 2222",
    7: "222 1111 22 11222 223 22",
    8: "1233 1123 133 23",
    9: "111 1222",
    10: "22 223 22223 1111122222233333 22222 22 222",
    11: "2233 22233 11233 1222 23 23 33",
    12: "12233 11 22223",
    13: "2333 222223 2233 1222233",
    14: "22 12223333 122",
    15: "12233 12233 1222222 3333",
    16: "2 22222 2222 222 2223",
    17: "23 22223333 22",
}
"""Of each chapter of OWASP ASVS 5.0.0: a word for each section, and in it the level of each requirement in turn."""


def test_every_story_that_the_rules_name_exists_and_every_rule_story_is_named() -> None:
    rules = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    named: dict[str, set[int]] = {letter: set() for letter in STORIES}
    for letter, first, last in re.findall(r"\b([RANTFHXUDSWCYEGM])(\d\d)(?:–\1(\d\d))?", rules):
        named[letter] |= set(range(int(first), int(last or first) + 1))
    for letter, file in STORIES.items():
        numbers = {int(number) for number in re.findall(r"^def test_(\d\d)_", _read_story(file), re.MULTILINE)}
        assert named[letter] <= numbers, f"{letter}: {sorted(named[letter] - numbers)}"
    numbers = {int(number) for number in re.findall(r"^def test_(\d\d)_", _read_story(STORIES["R"]), re.MULTILINE)}
    assert numbers - named["R"] <= {11, 24}, "a rule's story that docs/rules.md does not name"


def test_every_setting_of_a_school_has_a_row() -> None:
    settings = [field.name for kind in (SchoolChoices, Matching, Limits) for field in fields(kind)]
    missing = [
        name for name in settings if not re.search(rf"^\|.*`{name}`.* \|", _read_page("settings.md"), re.MULTILINE)
    ]
    assert missing == []


def test_every_page_of_the_console_is_listed_with_its_address() -> None:
    rows = re.findall(r"^\| ([^|]+) \| `(/[^`]*)` \|", _read_page("console.md"), re.MULTILINE)
    tabs = {tab.name: f"/schools/S{tab.path}" for tab in TABS}
    others = {
        "Schools": "/",
        "Class": "/schools/S/classes/KEY",
        "Year end": "/schools/S/year-end",
        "Owner rules": "/schools/S/owner-rules",
        "Rehearsal": "/schools/S/rehearsal",
        "Connect": "/connect",
        "My groups": "/schools/S/my-groups",
        "Health": "/health",
        "The school year": "/schools/S/year",
    }
    assert dict(rows) == tabs | others
    routes = {route.path.replace("{school}", "S").replace("{key}", "KEY") for route in console_routes("GET")}
    assert set(dict(rows).values()) <= routes


def test_every_limit_of_a_feed_is_in_the_security_page() -> None:
    page = _read_page("security.md")
    section = page.split("## Limits on what a feed may contain")[1].split("\n## ")[0]
    documented = [int(value.replace(",", "")) for value in re.findall(r"^\| .+ \| ([\d,]+) \|", section, re.MULTILINE)]
    limits = [value for name, value in vars(budget).items() if re.match("MAX_|SUSPECT_|FIRST_|LAST_", name)]
    assert sorted(documented) == sorted([*limits, MAX_GRAPH_ANSWER])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_has_a_target(page: Path) -> None:
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    other_forms = re.findall(r"^\[[^\]]+\]:|\]\[|<(?:a|img)\b", re.sub(r"`[^`\n]+`", "", text), re.MULTILINE)
    assert other_forms == [], "a link in a form that is not looked at"
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.is_file(), target
        assert not anchor or anchor in _anchors(linked), target


def test_every_page_that_the_code_names_exists() -> None:
    code = {".py", ".bicep", ".html", ".yml", ".toml"}
    files = [path for folder in _CODE for path in (ROOT / folder).rglob("*") if path.suffix in code]
    named = {
        name
        for path in [*files, ROOT / "Makefile", ROOT / "pyproject.toml"]
        for name in re.findall(r"\bdocs/[\w/-]+\.md(?:#[\w-]+)?", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 5
    for name in named:
        path, _, anchor = name.partition("#")
        assert (ROOT / path).is_file(), name
        assert not anchor or anchor in _anchors(ROOT / path), name


def test_the_navigation_of_the_site_has_every_page_once() -> None:
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    assert sorted(_pages_of(site["project"]["nav"])) == sorted(str(page.relative_to(ROOT)) for page in PAGES)


def _pages_of(entry: object) -> list[str]:
    """The paths in a navigation: a path, or lists and tables of such."""
    if isinstance(entry, str):
        return [entry]
    assert isinstance(entry, list | dict)
    return [page for inner in (entry.values() if isinstance(entry, dict) else entry) for page in _pages_of(inner)]


@pytest.mark.parametrize("page", ["security.md", "asvs.md"])
def test_every_test_that_the_security_page_names_exists(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", _read_page(page))
    assert len(named) > 20
    assert len(named) == _read_page(page).count("::"), "a test that is named in another form"
    missing = [
        f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_the_page_about_asvs_has_every_requirement_of_level_2_once_and_counts_them() -> None:
    levels = {
        f"{chapter}.{section}.{place}": level
        for chapter, words in ASVS_LEVELS.items()
        for section, word in enumerate(words.split(), 1)
        for place, level in enumerate(word, 1)
    }
    page = _read_page("asvs.md")
    rows = re.findall(r"^\| ((?:\d+\.\d+\.\d+[–, ]*)+)[^|]* \| ([12, ]+) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    kinds: Counter[str] = Counter()
    listed: list[str] = []
    for requirements, of_levels, last in rows:
        numbers = _numbers(requirements)
        assert of_levels == ", ".join(sorted({levels[number] for number in numbers})), requirements
        kind = re.match(r"(no test|not applicable|not held): .|`tests/", last)
        assert kind, requirements
        kinds[kind[1] or "the name of a test"] += len(numbers)
        listed += numbers
    assert sorted(listed) == sorted(number for number, level in levels.items() if level != "3")
    counts = re.findall(r"^\| ([a-z ]+) \| [^|]+ \| (\d+) \|$", page, re.MULTILINE)
    assert {kind: int(count) for kind, count in counts} == kinds


def _numbers(requirements: str) -> list[str]:
    """Each of "1.2.6–1.2.8, 1.3.1"."""
    found: list[str] = []
    for section, first, last in re.findall(r"(\d+\.\d+)\.(\d+)(?:–\1\.(\d+))?", requirements):
        found += [f"{section}.{place}" for place in range(int(first), int(last or first) + 1)]
    return found


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub, and the site, generate from the headings. Lines of code are none."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(anchors) == len(set(anchors)), f"{page.name} has a heading twice: a link to it leads to the first alone"
    return set(anchors)


def _read_story(name: str) -> str:
    return (ROOT / "tests" / "flow" / name).read_text(encoding="utf-8")


def _read_page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_page_of_the_console_shows_each_picture_of_it_and_each_is_small() -> None:
    pictures = sorted((ROOT / "docs" / "console").iterdir())
    shown = re.findall(r"!\[[^\]]+\]\((console/[a-z-]+\.png)\)", _read_page("console.md"))
    assert sorted(shown) == [str(picture.relative_to(ROOT / "docs")) for picture in pictures]
    assert [picture.name for picture in pictures if picture.stat().st_size >= 150_000] == []


def test_the_readme_is_short_and_shows_the_console_and_a_plan() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 100
    first_screen = readme.partition("\n## ")[0]
    assert "never tried in a real tenant" in first_screen
    assert set(re.findall(r"\]\((docs/[\w/-]+\.(?:png|svg))\)", first_screen)) == {
        "docs/console/home.png",
        "docs/plan.svg",
    }


def test_the_picture_of_a_plan_is_small_and_loads_nothing() -> None:
    picture = (ROOT / "docs" / "plan.svg").read_text(encoding="utf-8")
    assert len(picture.encode()) < 60_000
    assert set(re.findall(r"https?://[^\s\"'<)]+", picture)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"/(?:tmp|home|work|root|Users)\b", picture) == []
