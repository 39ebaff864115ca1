"""The table of answers, and the options that derive from it."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import sys
from pathlib import Path

import pytest

from cli.world_commands import tenant_of
from local.__main__ import main
from local.tenant.answers import CHOICES, Answers
from local.tenant.options import TenantOptions, add_options, options_of
from local.tenant.permissions import GRANTED
from local.world import Addresses
from tests.cli import parsing as cli
from tests.local.tenant.simulated import Graph, start


def parse(*arguments: str) -> TenantOptions:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return options_of(parser.parse_args(arguments))


def test_the_first_value_of_each_answer_is_the_default() -> None:
    assert Answers().chosen() == {choice.name: choice.values[0] for choice in CHOICES}
    assert all(len(set(choice.values)) == len(choice.values) > 1 for choice in CHOICES)
    assert all(re.fullmatch(r"[A-Z].+\.", choice.meaning) for choice in CHOICES)


def test_answers_are_chosen_together_or_not_at_all() -> None:
    answers = Answers()
    for wrong, message in (({"colour": "red"}, "unknown answer colour"), ({"patch-price": "2"}, "one or third")):
        with pytest.raises(ValueError, match=message):
            answers.choose({"hidden-members": "forbidden", **wrong})
    assert answers == Answers()
    answers.choose({"hidden-members": "forbidden"})
    assert answers.hidden_members == "forbidden"


def test_each_answer_is_a_switch(graph: Graph) -> None:
    for choice in CHOICES:
        assert graph.sim("switches")[choice.name] == choice.values[0]
        for value in reversed(choice.values):
            assert graph.sim("switches", {choice.name: value})[choice.name] == value
    wrong = graph.http.post(f"{graph.url}/_sim/switches", json={"lag_seconds": 5, "patch-price": "two"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "patch-price is one or third")
    assert graph.sim("switches")["lag_seconds"] == 0


def test_options_are_repeatable_and_survive_a_command_line() -> None:
    options = parse(
        *("--without", "Member.Read.Hidden", "--without", "Group.ReadWrite.All"),
        *("--tenant-answers", "hidden-members=omitted", "--tenant-answers", "patch-price=third"),
    )
    assert options.granted == set(GRANTED) - {"Member.Read.Hidden", "Group.ReadWrite.All"}
    assert dict(options.answers) == {"hidden-members": "omitted", "patch-price": "third"}
    assert parse(*options.arguments()) == options
    assert parse() == TenantOptions()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--without", "Everything"), "invalid choice: 'Everything'"),
        (("--tenant-answers", "colour=red"), "unknown answer colour"),
        (("--tenant-answers", "patch-price"), "patch-price is one or third"),
    ],
)
def test_unknown_options_are_refused(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", [["up"], ["sync", "--mis", "feed"], ["demo"]])
def test_the_help_of_each_command_that_starts_the_tenant_lists_the_answers(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["local", command[0], "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    assert main() == 0
    listed = capsys.readouterr().out
    assert all(f"{choice.name}={'|'.join(choice.values)}" in listed for choice in CHOICES)
    parsed = cli.parse([*command, "--without", "User.Read.All", "--tenant-answers", "patch-price=third"])
    options = tenant_of(parsed["without"], parsed["tenant_answers"], None)
    assert options == TenantOptions(("User.Read.All",), (("patch-price", "third"),))


@pytest.mark.parametrize("chosen", [("--without", "User.Read"), ("--tenant-answers", "colour=red")])
def test_the_command_refuses_an_unknown_option(
    chosen: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["local", "up", *chosen])
    assert main() == 2
    assert chosen[1].partition("=")[0] in capsys.readouterr().err


@pytest.mark.parametrize("command", [["up"], ["sync", "--mis", "feed"], ["demo"]])
def test_the_options_are_refused_if_a_world_already_runs_in_the_folder(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = {name: os.getpid() if name == "supervisor" else "" for name in Addresses.__slots__}
    (tmp_path / "world.json").write_text(json.dumps(running), encoding="utf-8")
    chosen = ["--tenant-answers", "patch-price=third"]
    monkeypatch.setattr(sys, "argv", ["local", *command, "--world", str(tmp_path), *chosen])
    with (tmp_path / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as the supervisor of a running world does
        assert main() == 2
    assert "a world already runs in" in capsys.readouterr().err


def test_a_tenant_is_started_with_its_options(tmp_path: Path) -> None:
    options = TenantOptions(("Member.Read.Hidden",), (("hidden-members", "forbidden"),))
    child, graph = start(tmp_path, *options.arguments())
    assert graph.sim("permissions") == {"granted": sorted(options.granted)}
    assert graph.call("GET", f"/groups/{graph.new_class()}/members").status_code == 403
    child.stop()
