"""The command line is a contract: its commands, its options, its exit statuses and the shape of its JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.__main__ import EDITS, build_parser
from local.world import REPOSITORY
from tests.mis import feeds


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


def test_help_names_every_command_and_option() -> None:
    shown = call("--help").stdout
    for command in ("up", "sync", "tenant", "edit", "demo"):
        assert command in shown
    shown = call("sync", "--help").stdout
    for option in ("--mis", "--school", "--accounts", "--world", "--out"):
        assert option in shown
    assert all(action in call("edit", "--help").stdout for action in EDITS)


def test_edit_takes_the_world_before_the_action() -> None:
    options = build_parser().parse_args(["edit", "--world", "w", "add-member", "C", "a@b"])
    assert (options.world, options.action, options.nickname, options.operand) == (Path("w"), "add-member", "C", "a@b")


def test_a_sync_a_look_an_edit_and_a_sync(tmp_path: Path) -> None:
    world, out = ("--world", str(tmp_path / "w")), tmp_path / "out.json"
    feed = str(feeds.write_zip(feeds.oneroster(), tmp_path / "feed.zip"))
    settings = tmp_path / "school.json"
    settings.write_text('{"teaching_owners": "all"}', encoding="utf-8")
    first = call("sync", "--mis", feed, "--school", str(settings), *world, "--out", str(out))
    assert first.returncode == 0, first.stderr
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["schools"] == [
        {
            "id": "S1",
            "groups": 3,
            "classes": {"created": 3, "changed": 0, "unchanged": 0, "held": 0, "refused": 0},
            "owners_granted": 2,
            "members_added": 6,
            "members_removed": 0,
            "people_without_account": 0,
        }
    ]
    assert report["messages"] == {"sent": 7, "applied": 7, "already_so": 0, "dead_lettered": 0}
    assert set(report) == {"schools", "graph", "messages", "seconds"}
    assert set(report["graph"]) == {"requests", "writes", "resource_units", "throttled"}

    listed = json.loads(call("tenant", *world, "--json").stdout)
    assert [found["mailNickname"] for found in listed] == [
        "10.class.1234567.2026",
        "10A.class.1234567.2026",
        "10AMa1.class.1234567.2026",
    ]
    assert set(listed[0]) == {"id", "displayName", "mailNickname", "externalId", "owners", "members", "deleted"}
    assert listed[2]["owners"] == ["first@school.onmicrosoft.com", "second@school.onmicrosoft.com"]

    edited = call("edit", *world, "add-member", "10A.class.1234567.2026", "apupil@school.onmicrosoft.com")
    assert edited.returncode == 0, edited.stderr
    again = call("sync", "--mis", feed, "--school", str(settings), *world, "--out", str(out))
    assert again.returncode == 0, again.stderr
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["schools"][0]["members_removed"] == 1
    assert json.loads(call("tenant", *world, "--json").stdout) == listed


BAD = [
    (["sync", "--mis", "{tmp}/nowhere"], "there is no feed at"),
    (["sync", "--mis", "{feed}", "--school", "{tmp}/bad.json"], "bad.json is no JSON"),
    (["sync", "--mis", "{feed}", "--school", "{tmp}/list.json"], "a JSON object with the school's settings is wanted"),
    (["sync", "--mis", "{feed}", "--accounts", "{tmp}/header.csv"], "header.csv line 1: no column displayName"),
    (["sync", "--mis", "{feed}", "--accounts", "{tmp}/upn.csv"], 'upn.csv line 2, column "userPrincipalName"'),
    (["edit", "rename", "nobody", "x"], "there is no class with the mail nickname nobody"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_what_is_refused_answers_2_and_says_where(arguments: list[str], words: str, tmp_path: Path) -> None:
    feed = feeds.write(feeds.oneroster(), tmp_path / "feed")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "header.csv").write_text("userPrincipalName\n", encoding="utf-8")
    (tmp_path / "upn.csv").write_text("userPrincipalName,displayName\nx,y\n", encoding="utf-8")
    filled = [argument.format(tmp=tmp_path, feed=feed) for argument in arguments]
    command, *rest = filled
    done = call(command, "--world", str(tmp_path / "w"), *rest)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
