"""The command `mis-class-sync` as a whole: its commands in panels, and how each ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from typer._completion_classes import completion_init
from typer._completion_shared import get_completion_script
from typer.core import TyperGroup

from cli import decision_commands, feed_commands, school_commands, world_commands
from cli.failures import Failed
from cli.pages import NAME, add_command, end_of, help_of
from cli.session import Session
from local.exit_status import Status
from local.processes import Spawn, StartFailed, Stopped, stop_on_signals
from local.terminal import print_plainly
from sync_core import VERSION

_PANEL = "This command"
_FIRST = ("check export.zip", "plan export.zip", "demo", "login https://APP.azurewebsites.net", "status")
_ENDS = {
    0: "done, in step, nothing to decide",
    1: "tried, and something failed",
    2: "wrong usage or input, or a sign-in that was refused",
    3: "the service or a server could not be reached, or a disk is full",
    4: "not in step, or a decision is needed",
}
_SHELLS = ("bash", "zsh", "fish", "powershell")


class _Commands(TyperGroup):
    """Ends the process with the status that a command returns; what stops a command is one sentence on stderr."""

    def invoke(self, ctx: Any) -> None:
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except Failed as failure:
            status = _say(str(failure), failure.status)
        except Stopped as stopped:
            what = f"stopped by {stopped}: what was not done yet is done when you run it again"
            status = _say(what, 128 + stopped.number)
        except typer.Abort:
            status = _say("stopped: nothing was changed", 128 + signal.SIGINT)
        except StartFailed as failure:
            status = _say(str(failure), Status.UNREACHABLE)
        except httpx.HTTPError as error:
            status = _say(_of_world(error), Status.UNREACHABLE)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in ("cli", "local", "sync_core"):
                raise
            status = _say(_of_package(error.name or ""), Status.REFUSED)
        except OSError as error:
            status = _say(_of_output(error), Status.UNREACHABLE)
        raise typer.Exit(int(status or 0))


def _say(sentence: str, status: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return status


def _of_package(name: str) -> str:
    extra = "tenant" if name.startswith(("msgraph", "kiota", "opentelemetry")) else "world"
    return f"this command needs the package {name} — install it, in the folder of the project: pip install '.[{extra}]'"


def _of_world(error: httpx.HTTPError) -> str:
    where = "look at the logs in the world's folder, which --world names"
    return f"a process of the world does not answer as it should ({type(error).__name__}) — {where}, and run it again"


def _of_output(error: OSError) -> str:
    # Else the interpreter tries to write the rest of the output again when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    what = f"{error.filename or 'the output'} cannot be written: {error.strerror or type(error).__name__}"
    return f"{what} — make room there, and run it again"


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"{NAME} {VERSION}\n")
        raise typer.Exit


def _whole(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version, and end.")
    ] = False,
) -> None:
    """MIS Class Sync: Microsoft 365 classes that follow your school's MIS.

    Begin with your own export: 'check' and 'plan' read it on this machine, and change nothing.
    """


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help=f"{', '.join(_SHELLS[:-1])} or {_SHELLS[-1]}.")],
) -> int:
    """Print the script that completes this command's words in your shell."""
    if shell not in _SHELLS:
        raise typer.BadParameter(f"{shell} is none of {', '.join(_SHELLS)}", param_hint="SHELL")
    variable = f"_{NAME.replace('-', '_').upper()}_COMPLETE"
    sys.stdout.write(get_completion_script(prog_name=NAME, complete_var=variable, shell=shell) + "\n")
    return Status.GOOD


def build_app() -> typer.Typer:
    app = typer.Typer(
        name=NAME,
        cls=_Commands,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        epilog=end_of(_FIRST, _ENDS),
    )
    app.callback(help=help_of(_whole))(_whole)
    for group in (feed_commands, world_commands, school_commands, decision_commands):
        group.add_to(app)
    shown = ("completion bash >> ~/.bashrc", "completion powershell >> $PROFILE")
    add_command(app, _PANEL, completion, shown, {0: "printed", 2: "the shell is not known"})
    return app


def run(arguments: Sequence[str], name: str, spawn: Spawn, world: Path | None) -> int:
    """The exit status of this command line. `spawn` starts the processes of a world that does not run already.

    `name` is how the command was called. `world` is the folder that `check` and `doctor` are about if nothing is named.
    """
    print_plainly(sys.stdout, sys.stderr)
    stop_on_signals()
    # Else the libraries print the messages of a failed sign-in, which name accounts.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    completion_init()
    command = typer.main.get_command(build_app())
    try:
        command.main(list(arguments), prog_name=name, obj=Session(spawn, world))
    except SystemExit as ended:
        return int(ended.code or 0)
    return Status.GOOD
