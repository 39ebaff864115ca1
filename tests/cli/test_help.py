"""The help of the command: its panels, examples, exit statuses and --json on every page; colour; completion."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from cli.app import build_app
from local.world import REPOSITORY
from tests.cli.calling import Person
from tests.cli.parsing import parse

_WITHOUT_JSON = {"completion"}
_CONTROL = re.compile(r"\x1b\[[0-9;]*m")


def commands() -> dict[str, TyperCommand]:
    """Every command by its words, also those of the group `edit`."""
    app = typer.main.get_command(build_app())
    assert isinstance(app, TyperGroup)
    found: dict[str, TyperCommand] = {}
    for name, command in app.commands.items():
        inner = command.commands.items() if isinstance(command, TyperGroup) else [("", command)]
        for action, each in inner:
            assert isinstance(each, TyperCommand)
            found[f"{name} {action}".strip()] = each
    return found


COMMANDS = commands()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_page_says_what_the_command_does_with_examples_and_exit_statuses(name: str) -> None:
    command = COMMANDS[name]
    summary = (command.help or "").partition("\n")[0]
    assert re.fullmatch(r"[A-Z].{10,75}\.", summary), summary
    end = command.epilog or ""
    assert re.search(r"Exit status\[/bold\] \[bold\]0\[/bold\] .*\[bold\]130\[/bold\] interrupted\.", end)
    assert name.startswith("edit ") or f"[dim]$[/dim] mis-class-sync {name}" in end
    options = {option for parameter in command.params for option in parameter.opts}
    assert ("--json" in options) == (name not in _WITHOUT_JSON)
    assert all(getattr(parameter, "help", "") for parameter in command.params)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_understood(name: str) -> None:
    shown = re.findall(r"mis-class-sync ([^\n]+)", COMMANDS[name].epilog or "")
    assert all(parse(re.sub(r" >> .*", "", line).split()) for line in shown)


def test_the_commands_are_in_five_panels(tmp_path: Path) -> None:
    shown = Person(tmp_path).call("--help").stdout
    panels = re.findall(r"^╭─ (.+?) ─+╮$", shown, re.MULTILINE)
    assert panels == [
        "Options",
        "Your own export, on this machine",
        "A world of its own, on this machine",
        "Your deployment: its schools",
        "Your deployment: what waits for you",
        "This command",
    ]
    assert all(f"│ {name.partition(' ')[0]} " in shown for name in COMMANDS)
    assert "130 interrupted" in shown


def in_terminal(*options: str, **environment: str) -> str:
    """What a person sees at a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cli", *options]
    usual = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    whole = {**usual, "TERM": "xterm-256color", "COLUMNS": "120", **environment}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=whole, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65_536):
            seen += part
    except OSError:  # how Linux says that the other end is closed
        pass
    process.wait()
    os.close(ours)
    return seen.decode()


def test_colour_is_for_terminals_alone_and_not_if_it_is_unwanted(tmp_path: Path) -> None:
    assert re.search(r"\x1b\[(1;)?36m", in_terminal("--help"))
    plain = in_terminal("--help", NO_COLOR="1")
    colours = {part for code in _CONTROL.findall(plain) for part in code[2:-1].split(";")}
    assert not {part for part in colours if part.isdigit() and 30 <= int(part) <= 37}
    assert "\x1b[" not in Person(tmp_path).call("--help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_prints_a_script_that_asks_the_command(shell: str, tmp_path: Path) -> None:
    person = Person(tmp_path)
    printed = person.call("completion", shell)
    assert printed.status == 0
    variable = f"complete_{shell}"
    assert "_MIS_CLASS_SYNC_COMPLETE" in printed.stdout
    assert variable in printed.stdout


def test_completion_completes_a_command(tmp_path: Path) -> None:
    asked = {"_MIS_CLASS_SYNC_COMPLETE": "complete_bash", "COMP_WORDS": "mis-class-sync re", "COMP_CWORD": "1"}
    assert Person(tmp_path).call(**asked).stdout.split() == ["resync", "release", "reject"]


def test_the_version(tmp_path: Path) -> None:
    shown = Person(tmp_path).call("--version")
    assert (shown.status, bool(re.fullmatch(r"mis-class-sync \d+\.\d+\.\d+\n", shown.stdout))) == (0, True)
