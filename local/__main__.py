"""The command line of the local world."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TypeAlias

import httpx
from rich.console import Console

from local.commands import announce, check, doctor, edit, plan, show_tenant, sync, up
from local.demo import run_demo
from local.processes import Spawn, StartFailed, Stopped, spawn_interpreter, stop_on_signals
from local.tenant.options import TenantOptions, add_options, options_of
from local.terminal import print_plainly
from local.world import running_world
from sync_core.config import GRAPH

EDITS = {
    "add-member": "UPN",
    "remove-member": "UPN",
    "add-owner": "UPN",
    "remove-owner": "UPN",
    "rename": "NAME",
    "delete": "",
}
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
_WORLD = ".world"
_STARTS_TENANT = ("up", "sync", "demo")
_TENANT_RUNS = (
    "a world already runs in {folder}, with the tenant that it was started with; nothing was changed — stop that "
    "world first, choose another --world, or leave out --without and --tenant-answers"
)
_EXAMPLES = """examples:
  python -m local check path/to/oneroster.zip
  python -m local demo
  python -m local sync --mis path/to/oneroster.zip
  python -m local edit add-member 7A.class.9164023.2026 a.pupil@school.onmicrosoft.com
  python -m local sync --mis path/to/oneroster.zip --out night.json
  python -m local plan --mis path/to/oneroster.zip
  python -m local announce SCH1 --groups R7A
  python -m local tenant --json
  python -m local check
  python -m local doctor
"""


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options; this is a contract that other tools rely on."""
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="MIS Class Sync on this machine: the real service against a simulated Microsoft 365 tenant.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("up", help="start the local world, keep it running, and print the console's address")
    _add_world(command)
    add_options(command)

    command = commands.add_parser(
        "sync",
        help="run one nightly sync of a feed and wait until the queues are empty",
        description="Runs one nightly sync of the feed, in the running world or in one started for this call. State is "
        "kept in the world's folder, so a second call after an edit of the CSV syncs only the difference. Exit status: "
        "0 every school is in step with its MIS, 1 a message was dead-lettered or a school was not planned, 2 the "
        "feed, settings, accounts or options were refused, 3 the queues did not drain, or a process or the disk of the "
        "world failed, 4 done, but a decision or a "
        "person waits: a hold, a refused change, a person without an account or with several, a class without an "
        "owner, a pin that differs from the MIS.",
    )
    _add_feed(command)
    command.add_argument("--out", type=Path, metavar="FILE.json", help="write the counts of this run as JSON")
    _add_world(command)
    add_options(command)

    command = commands.add_parser(
        "plan",
        help="show what a sync of a feed would do, without doing it",
        description="Prints the whole plan of each school of the feed: classes to create and change, people by id, and "
        "what would be held and why. The plan is made against the local world if one has run in its folder, else as a "
        "first night in an empty tenant: then nothing is started or written. With --tenant, it is made against a real "
        "Microsoft 365 tenant, which is only read, with the account that signed in with 'az login'. Exit status: "
        "0 every school would be in step with its MIS, 1 a school would not be planned, 2 the feed, settings, "
        "accounts or sign-in were refused, 4 planned, but a decision or a person waits.",
    )
    _add_feed(command)
    command.add_argument("--out", type=Path, metavar="FILE.json", help="write the plan as JSON")
    command.add_argument("--tenant", metavar="ID", help="the Entra id of a real tenant")
    command.add_argument("--graph", metavar="URL", default=GRAPH, help=f"Microsoft Graph's address (default {GRAPH})")
    _add_world(command)

    _add_announce(commands)
    command = commands.add_parser("tenant", help="list every class of the simulated tenant")
    command.add_argument("--json", action="store_true", help="print a JSON list; the lists in it are sorted")
    _add_world(command)

    _add_check(commands)
    _add_doctor(commands)
    _add_edit(commands)
    command = commands.add_parser(
        "demo",
        help="sync a school of a thousand pupils over three nights",
        description="Syncs a generated school over three nights, and compares each with an independent expectation. "
        "With --world, the world is kept for the console, and replaces that of an earlier demonstration there.",
    )
    _add_world(command, default=None)
    add_options(command)
    return parser


def _add_announce(commands: _Commands) -> None:
    command = commands.add_parser(
        "announce",
        help="send a webhook event that says what changed in the MIS",
        description="Sends a signed webhook event to the running world, or to one started for this call, and waits "
        "until its changes are applied. Edit the CSV first. Exit status: 0 done, 2 refused, 3 the queues did not "
        "drain, or a process or the disk of the world failed.",
    )
    command.add_argument("school", metavar="SCHOOL", help="the school's id in the feed")
    command.add_argument("--groups", nargs="+", default=[], metavar="ID", help="the groups that changed")
    command.add_argument("--people", nargs="+", default=[], metavar="ID", help="people whose groups changed")
    _add_world(command)


def _add_check(commands: _Commands) -> None:
    command = commands.add_parser(
        "check",
        help="show what a feed has; without a feed, which Graph permissions the app has",
        description="With a feed: reads it, plans nothing, and shows its format, schools, groups and numbers of "
        "people, what cannot be read and why, and whether a sync would accept it. Exit status: 0 it is readable, 2 it "
        "or a school of it is rejected, with the cause and the remedy, 4 it is readable, but rows are left out. "
        "Without a feed: shows what each Graph permission is for and whether the app's token carries it, as an admin "
        "of all schools reads it at /api/admin/tenants. Exit status: 0 all required permissions are granted, or the "
        "token does not say, 1 a required permission is missing.",
    )
    command.add_argument("feed", type=Path, nargs="?", metavar="PATH", help="the feed: a folder or a zip file")
    command.add_argument("--only", default="", metavar="SCHOOL", help="the only school of the feed to check, by its id")
    command.add_argument(
        "--against", type=Path, metavar="PATH", help="an earlier feed, to compare as a sync compares with the last one"
    )
    command.add_argument("--school", type=Path, metavar="FILE.json", help="settings for every school, as for sync")
    command.add_argument("--json", action="store_true", help="print JSON: the reports, or the answer of the admin API")
    _add_world(command)


def _add_doctor(commands: _Commands) -> None:
    command = commands.add_parser(
        "doctor",
        help="check the health of the app, and say what to do where something is wrong",
        description="Shows a line for each check: the version, the settings, the tables, the queues and their dead "
        "letters, Graph and its permissions in each tenant, the last night, and the source and the last sync of each "
        "school, as an admin of all schools reads them at /api/admin/health. Nothing is changed. Exit status: 0 every "
        "check passed, 1 one did not, or the app does not start.",
    )
    command.add_argument("--json", action="store_true", help="print JSON: the answer of the admin API")
    _add_world(command)


def _add_edit(commands: _Commands) -> None:
    command = commands.add_parser("edit", help="change a class by hand, as an admin could in Microsoft 365")
    _add_world(command)
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, operand in EDITS.items():
        parameters = actions.add_parser(action, help=f"operands: CLASS {operand}".strip())
        parameters.add_argument("nickname", metavar="CLASS", help="the class's mail nickname")
        if operand:
            parameters.add_argument("operand", metavar=operand)


def _add_feed(command: argparse.ArgumentParser) -> None:
    command.add_argument("--mis", type=Path, required=True, metavar="PATH", help="the feed: a folder or a zip file")
    command.add_argument(
        "--school",
        type=Path,
        metavar="FILE.json",
        help="settings for every school of the feed; by default all three group types, no admin owners, the DfE code "
        "as name identifier, the main teacher as owner, and no domain appended to user names",
    )
    command.add_argument(
        "--accounts",
        type=Path,
        metavar="FILE.csv",
        help="the tenant's accounts: an export of users of the Microsoft 365 admin centre, of Entra or of PowerShell "
        "(docs/accounts.md); by default one per person in the feed, in school.onmicrosoft.com, which is then the "
        "default of account_domain too",
    )


def _add_world(command: argparse.ArgumentParser, default: str | None = _WORLD) -> None:
    text = f"the world's folder (default {default})" if default else "keep the world in this folder"
    command.add_argument("--world", type=Path, metavar="DIR", default=Path(default) if default else None, help=text)


def main(spawn: Spawn = spawn_interpreter) -> int:
    """`spawn` starts the processes of a world that does not run already."""
    print_plainly(sys.stdout, sys.stderr)
    options = build_parser().parse_args()
    stop_on_signals()
    try:
        status = _run(options, spawn)
        sys.stdout.flush()
    except Stopped as stopped:
        sys.stderr.write(f"stopped by {stopped}: what was not done yet is done when you run it again\n")
        return 128 + stopped.number
    except StartFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 3
    except httpx.HTTPError as error:
        where = f"its logs are in {options.world}" if options.world else "name a folder with --world to keep its logs"
        sys.stderr.write(
            f"a process of the world does not answer as it should ({type(error).__name__}); {where} — run it again\n"
        )
        return 3
    except OSError as error:
        # Else the interpreter tries to write the rest of the output again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = f"{error.filename or 'the output'} cannot be written: {error.strerror or type(error).__name__}"
        sys.stderr.write(f"{what} — make room there, and run it again\n")
        return 3
    return status


def _run(options: argparse.Namespace, spawn: Spawn) -> int:
    console = Console(soft_wrap=True)
    tenant = options_of(options) if options.command in _STARTS_TENANT else TenantOptions()
    if tenant.given and options.world and running_world(options.world):
        sys.stderr.write(f"refused: {_TENANT_RUNS.format(folder=options.world.resolve())}\n")
        return 2
    match options.command:
        case "up":
            return up(options.world, tenant, console, spawn)
        case "sync":
            return sync(options, console, spawn)
        case "announce":
            return announce(options.world, options.school, options.groups, options.people, console, spawn)
        case "plan":
            return plan(options, console, spawn)
        case "tenant":
            return show_tenant(options.world, options.json, console, spawn)
        case "check":
            return check(options, console, spawn)
        case "doctor":
            return doctor(options.world, options.json, console, spawn)
        case "edit":
            operand = getattr(options, "operand", "")
            return edit(options.world, options.action, options.nickname, operand, EDITS[options.action], spawn)
        case _:
            return run_demo(options.world, tenant, console, spawn)


if __name__ == "__main__":
    sys.exit(main())
