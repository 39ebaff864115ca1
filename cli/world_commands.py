"""The commands of a local world: the real service on this machine, against a simulated Microsoft 365 tenant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cli.failures import Failed
from cli.feed_commands import AccountsFile, FeedOption, FeedPath, OutFile, SettingsFile, feed_of
from cli.pages import add_command, end_of, help_of
from cli.printing import console_of, print_json, printed_to
from cli.session import WORLD, AsJson, WorldFolder, session_of
from local.exit_status import Status
from local.tenant import answers, permissions
from local.tenant.options import ANSWERS_HELP, WITHOUT_HELP, TenantOptions, answer_of

PANEL = "A world of its own, on this machine"

Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="PERMISSION",
        help=WITHOUT_HELP,
    ),
]
TenantAnswers = Annotated[
    list[str] | None,
    typer.Option(
        "--tenant-answers",
        metavar="NAME=VALUE",
        help=ANSWERS_HELP,
    ),
]
_EDIT = "add-member 7A.class.9164023.2026 a.pupil@school.onmicrosoft.com"
_FAILED = "the queues did not drain, or a process or the disk of the world failed"


def tenant_of(without: list[str] | None, chosen: list[str] | None, folder: Path | None) -> TenantOptions:
    """Raises BadParameter for what the simulated tenant does not know, and Failed if it runs in `folder` already."""
    from local.world import running_world

    for permission in without or ():
        if permission not in permissions.GRANTED:
            raise typer.BadParameter(f"{permission} is none of its permissions", param_hint="--without")
    try:
        pairs = tuple(map(answer_of, chosen or ()))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--tenant-answers") from None
    options = TenantOptions(tuple(without or ()), pairs)
    if options.given and folder and running_world(folder):
        raise Failed(
            f"a world already runs in {folder.resolve()}, with the tenant it was started with; nothing was changed",
            "stop that world first, choose another --world, or leave out --without and --tenant-answers",
            Status.REFUSED,
        )
    return options


def demo(
    context: typer.Context,
    world: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep the world in this folder, in place of that of an earlier demonstration."
        ),
    ] = None,
    without: Without = None,
    tenant_answers: TenantAnswers = None,
    as_json: AsJson = False,
) -> int:
    """Show a generated school over three nights, and what an admin decides.

    The school has a thousand pupils. Each night is compared with an independent expectation. Then a wrong feed is
    rejected, a change is held, approved and undone, and a membership explained. With --world, the world is kept for
    the console.
    """
    from local.demo import run_demo

    tenant = tenant_of(without, tenant_answers, world)
    status = run_demo(world, tenant, console_of(as_json), session_of(context).spawn)
    if as_json:
        print_json({"as_expected": status == 0, "world": str(world.resolve()) if world else None})
    return status


def up(
    context: typer.Context,
    world: WorldFolder = WORLD,
    without: Without = None,
    tenant_answers: TenantAnswers = None,
    as_json: AsJson = False,
) -> int:
    """Start the local world, and print the address of its console.

    It runs until Ctrl+C.
    """
    from local.commands import up as start

    return start(world, tenant_of(without, tenant_answers, world), printed_to(as_json), session_of(context).spawn)


def sync(
    context: typer.Context,
    feed: FeedPath = None,
    mis: FeedOption = None,
    settings: SettingsFile = None,
    accounts: AccountsFile = None,
    world: WorldFolder = WORLD,
    out: OutFile = None,
    without: Without = None,
    tenant_answers: TenantAnswers = None,
    as_json: AsJson = False,
) -> int:
    """Run one night with an export, in the local world.

    Waits until it is applied. Uses the running world, or starts one for this call. Its state is kept, so a second call
    after an edit of the CSV syncs only the difference.
    """
    from local.commands import sync as run

    chosen = feed_of(feed, mis, settings, accounts)
    tenant = tenant_of(without, tenant_answers, world)
    return run(chosen, world, tenant, printed_to(as_json, out), session_of(context).spawn)


def tenant(context: typer.Context, world: WorldFolder = WORLD, as_json: AsJson = False) -> int:
    """List every class of the simulated tenant.

    The lists in the JSON are sorted.
    """
    from local.commands import show_tenant

    return show_tenant(world, printed_to(as_json), session_of(context).spawn)


class _SeveralValues(TyperCommand):
    """A command whose --groups and --people take several values: `--groups A B` is `--groups A --groups B`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        repeated: list[str] = []
        option = ""
        for argument in args:
            if option and not argument.startswith("-"):
                repeated += [option, argument]
                continue
            option = argument if argument in ("--groups", "--people") else ""
            if not option:
                repeated.append(argument)
        return super().parse_args(ctx, repeated)


def announce(
    context: typer.Context,
    school: Annotated[str, typer.Argument(metavar="SCHOOL", help="The school's id in the feed.")],
    groups: Annotated[list[str] | None, typer.Option(metavar="ID...", help="The groups that changed.")] = None,
    people: Annotated[list[str] | None, typer.Option(metavar="ID...", help="People whose groups changed.")] = None,
    world: WorldFolder = WORLD,
    as_json: AsJson = False,
) -> int:
    """Send a webhook event that says what changed in the MIS.

    Waits until the change is applied. Edit the CSV first. Uses the running world, or starts one for this call.
    """
    from local.commands import announce as send

    return send(world, school, groups or [], people or [], printed_to(as_json), session_of(context).spawn)


Nickname = Annotated[str, typer.Argument(metavar="CLASS", help="The mail nickname of the class: 'tenant' lists them.")]
Account = Annotated[str, typer.Argument(metavar="UPN", help="The user principal name of the account.")]


def _of_account(action: str) -> Callable[..., int]:
    def change(context: typer.Context, nickname: Nickname, upn: Account, as_json: AsJson = False) -> int:
        return _edit(context, {"action": action, "class": nickname, "upn": upn}, as_json)

    return change


def _rename(
    context: typer.Context,
    nickname: Nickname,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new display name.")],
    as_json: AsJson = False,
) -> int:
    return _edit(context, {"action": "rename", "class": nickname, "name": name}, as_json)


def _delete(context: typer.Context, nickname: Nickname, as_json: AsJson = False) -> int:
    return _edit(context, {"action": "delete", "class": nickname}, as_json)


EDITS: dict[str, tuple[Callable[..., int], str]] = {
    "add-member": (_of_account("add-member"), "Add a member to a class."),
    "remove-member": (_of_account("remove-member"), "Remove a member of a class."),
    "add-owner": (_of_account("add-owner"), "Add an owner to a class."),
    "remove-owner": (_of_account("remove-owner"), "Remove an owner of a class."),
    "rename": (_rename, "Change the display name of a class."),
    "delete": (_delete, "Delete a class."),
}


def _edit(context: typer.Context, change: dict[str, str], as_json: bool) -> int:
    from local.commands import edit as change_class

    assert context.parent
    return change_class(context.parent.params["world"], change, printed_to(as_json), session_of(context).spawn)


def _in_world(world: WorldFolder = WORLD) -> None:
    """Change a class by hand, as an admin could in Microsoft 365.

    --world comes before the action.
    """


def _answers() -> str:
    lines = [f"[bold]{choice.name}={'|'.join(choice.values)}[/bold]\n{choice.meaning}" for choice in answers.CHOICES]
    return "\n\n".join(["[bold]Tenant answers[/bold] (NAME=VALUE, the default first)", *lines])


def add_to(app: typer.Typer) -> None:
    failed = {2: "the options were refused", 3: _FAILED}
    listed = {0: "done", 2: "refused", 3: _FAILED}
    nights = {
        0: "every school is in step with its MIS",
        1: "a message was dead-lettered, or a school was not planned",
        2: "the feed, settings, accounts or options were refused",
        3: _FAILED,
        4: "done, but a decision or a person waits: a hold, a refused change, a person without an account or with "
        "several, a class without an owner, a pin that differs from the MIS",
    }
    expected = {0: "each night was as expected", 1: "one was not", **failed}
    add_command(app, PANEL, demo, ("demo", "demo --world .demo"), expected, _answers())
    add_command(app, PANEL, up, ("up", "up --world .demo"), {0: "it was stopped", **failed}, _answers())
    add_command(app, PANEL, sync, ("sync export.zip", "sync export.zip --out night.json"), nights, _answers())
    add_command(app, PANEL, tenant, ("tenant", "tenant --json"), listed)
    add_command(app, PANEL, announce, ("announce SCH1 --groups R7A R7B",), listed, kind=_SeveralValues)
    by_hand = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    by_hand.callback(help=help_of(_in_world), epilog=end_of((f"edit {_EDIT}",), listed))(_in_world)
    for action, (function, text) in EDITS.items():
        by_hand.command(action, help=text, epilog=end_of((), listed))(function)
    app.add_typer(by_hand, name="edit", rich_help_panel=PANEL)
