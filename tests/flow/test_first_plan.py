"""A plan made in one process is the plan that the same feed has in a new world."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from local.accounts import ListedAccount
from local.preview import preview_first_night
from local.school.generate import generate
from local.school.oneroster_csv import accounts
from local.school.oneroster_csv import write as write_school
from local.school.sds_csv import write_v2 as write_sds
from local.world_preview import preview_world
from sync_core.domain.accounts import AccountProperty
from sync_core.errors import SyncError
from sync_core.planning.preview.preview import Preview
from tests.flow.conftest import Story
from tests.mis import feeds

_SCHOOL = generate(pupils=60)


def _as_lists(value: Any) -> Any:
    """A plan's data with its sets in one order, and without the time."""
    if isinstance(value, dict):
        return {name: _as_lists(one) for name, one in value.items() if name != "at"}
    return sorted(map(_as_lists, value), key=json.dumps) if isinstance(value, list) else value


def _told(plan: Callable[[], list[Preview]]) -> tuple[Any, list[str]]:
    """The JSON and the text, or the refusal."""
    try:
        previews = plan()
    except SyncError as refusal:
        return str(refusal), []
    text = TypeAdapter(list[dict[str, Any]]).dump_json([preview.as_data() for preview in previews])
    return _as_lists(json.loads(text)), [line for preview in previews for line in preview.lines]


def _changes_only() -> feeds.Feed:
    return {name: text.replace(",bulk", ",delta") for name, text in feeds.oneroster().items()}


def _two_schools() -> feeds.Feed:
    feed = feeds.oneroster()
    feed["orgs.csv"] += "S2,,,Elm School,school,7654321,\n"
    return feed


def _in_two_folders(folder: Path) -> Path:
    """Two export sets: the drop's newest one counts."""
    feeds.write(feeds.oneroster(), folder / "older")
    return feeds.write(feeds.oneroster(), folder)


def _without_a_file(folder: Path) -> Path:
    """The manifest promises a file that is not there and that no class needs."""
    feed = feeds.oneroster()
    feed["manifest.csv"] = re.sub(r"file\.courses,\w+", "file.courses,bulk", feed["manifest.csv"])
    feed.pop("courses.csv", None)
    return feeds.write(feed, folder)


def _generated(folder: Path) -> Path:
    write_school(_SCHOOL, folder)
    return folder


def _generated_sds(folder: Path) -> Path:
    write_sds(_SCHOOL, folder)
    return folder


FEEDS: dict[str, Callable[[Path], Path]] = {
    "OneRoster 1.1": lambda folder: feeds.write(feeds.oneroster(), folder),
    "OneRoster 1.2": lambda folder: feeds.write(feeds.oneroster_1_2(), folder),
    "zip": lambda folder: feeds.write_zip(feeds.oneroster(), folder.with_suffix(".zip")),
    "SDS v2": lambda folder: feeds.write(feeds.sds_v2(), folder),
    "SDS v1": lambda folder: feeds.write(feeds.sds_v1(), folder),
    "two schools": lambda folder: feeds.write(_two_schools(), folder),
    "two sets": _in_two_folders,
    "changes only": lambda folder: feeds.write(_changes_only(), folder),
    "a file missing": _without_a_file,
    "generated": _generated,
    "generated SDS": _generated_sds,
    "no feed": lambda folder: folder,
}
_LISTED = [
    *(ListedAccount(*one) for one in accounts(_SCHOOL)[3:]),
    ListedAccount("office@school.onmicrosoft.com", "Office", {AccountProperty.MAIL: "first@school.onmicrosoft.com"}),
    ListedAccount("apupil@school.onmicrosoft.com", "A Pupil", enabled=False),
]
CHOICES: dict[str, tuple[Mapping[str, object], list[ListedAccount] | None]] = {
    "usual": ({}, None),
    "listed accounts": ({"account_domain": "school.onmicrosoft.com"}, _LISTED),
    "Scotland": ({"year_starts_in": 8, "teaching_owners": "all", "types": ["teaching"]}, None),
    "an unknown setting": ({"kind": 1}, None),
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("feed", FEEDS)
def test_a_plan_without_a_world_is_that_of_a_new_world(feed: str, choice: str, story: Story, tmp_path: Path) -> None:
    path, (values, listed) = FEEDS[feed](tmp_path / "feed"), CHOICES[choice]
    alone = _told(lambda: preview_first_night(path, values, listed))
    in_world = _told(lambda: asyncio.run(preview_world(story.addresses, path, values, listed)))
    assert alone == in_world
    assert alone[0]
