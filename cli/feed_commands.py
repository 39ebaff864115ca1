"""The commands about an export of the MIS, which need nothing but its files: `check` and `plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.pages import add_command
from cli.printing import printed_to
from cli.school_commands import plan_deployed
from cli.session import WORLD, AsJson, WorldFolder, session_of

if TYPE_CHECKING:
    from local.commands import Feed

PANEL = "Your own export, on this machine"
GRAPH = "https://graph.microsoft.com/v1.0"

FeedPath = Annotated[Path | None, typer.Argument(metavar="FEED", help="The export: a folder with CSV files, or a zip.")]
FeedOption = Annotated[
    Path | None, typer.Option("--mis", metavar="FEED", help="The export, as an option in place of the argument.")
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--school",
        metavar="FILE.json",
        help="Settings for every school of the feed. By default: all three group types, no admin owners, the DfE code "
        "as name identifier, the main teacher as owner, and no domain appended to user names.",
    ),
]
AccountsFile = Annotated[
    Path | None,
    typer.Option(
        "--accounts",
        metavar="FILE.csv",
        help="The tenant's accounts: an export of users of the Microsoft 365 admin centre, of Entra or of PowerShell "
        "(docs/accounts.md). By default one per person in the feed, in school.onmicrosoft.com, which is then the "
        "default of account_domain too.",
    ),
]
OutFile = Annotated[Path | None, typer.Option("--out", metavar="FILE.json", help="Write the JSON to this file too.")]


def feed_of(argument: Path | None, option: Path | None, settings: Path | None, accounts: Path | None) -> Feed:
    """The feed that is named once. Raises BadParameter."""
    from local.commands import Feed

    path = argument or option
    if path is None or (argument and option):
        raise typer.BadParameter("name one export, a folder with CSV files or a zip file", param_hint="FEED")
    return Feed(path=path, settings=settings, accounts=accounts)


def check(
    context: typer.Context,
    feed: FeedPath = None,
    only: Annotated[str, typer.Option(metavar="ID", help="The only school of the feed to check, by its id.")] = "",
    against: Annotated[
        Path | None,
        typer.Option(metavar="FEED", help="An earlier feed, to compare as a sync compares with the last one."),
    ] = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
    world: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Without FEED: the local world whose Graph permissions are shown."),
    ] = None,
) -> int:
    """Show what an export has, and whether a sync would accept it.

    Also what cannot be read, and why. Reads the files of the export. Nothing is planned, started, sent or written.
    """
    from local.commands import check_export, check_permissions

    folder = world or session_of(context).world
    if feed is None and folder is not None:
        return check_permissions(folder, printed_to(as_json), session_of(context).spawn)
    return check_export(feed_of(feed, None, settings, None), only, against, printed_to(as_json))


def plan(
    context: typer.Context,
    feed: FeedPath = None,
    mis: FeedOption = None,
    deployed: Annotated[
        str,
        typer.Option(metavar="SCHOOL", help="In place of FEED: the school of your deployment to plan, by its id."),
    ] = "",
    settings: SettingsFile = None,
    accounts: AccountsFile = None,
    tenant: Annotated[
        str,
        typer.Option(metavar="ID", help="The Entra id of a real tenant, which is read, and never written, as you."),
    ] = "",
    graph: Annotated[str, typer.Option(metavar="URL", help="Microsoft Graph's address, with --tenant.")] = GRAPH,
    world: WorldFolder = WORLD,
    out: OutFile = None,
    as_json: AsJson = False,
) -> int:
    """Show what a sync would do, and change nothing.

    Classes to create and to change, who comes and goes, what is held and why.

    'plan FEED' plans an export on this machine: as the first night of an empty tenant, or in the local world of --world
    if one has run there, or with --tenant in a real tenant. 'plan --deployed SCHOOL' has your deployment plan what it
    would do now, and prints the command that does exactly that. People are shown by id.
    """
    if deployed:
        if feed or mis:
            raise typer.BadParameter("name an export or --deployed SCHOOL, and not both", param_hint="FEED")
        return plan_deployed(deployed, as_json, out)
    from local.commands import RealTenant
    from local.commands import plan as plan_feed

    real = RealTenant(id=tenant, graph=graph) if tenant else None
    chosen = feed_of(feed, mis, settings, accounts)
    return plan_feed(chosen, world, real, printed_to(as_json, out), session_of(context).spawn)


def add_to(app: typer.Typer) -> None:
    add_command(
        app,
        PANEL,
        check,
        ("check export.zip", "check export.zip --against last-week.zip", "check exports/oak --json"),
        {
            0: "it is readable, or the world has all permissions",
            1: "the world lacks a permission",
            2: "it, or a school of it, is rejected",
            3: "the world failed",
            4: "it is readable, but rows are left out",
        },
    )
    add_command(
        app,
        PANEL,
        plan,
        ("plan export.zip", "plan export.zip --accounts users.csv", "plan --deployed OAK"),
        {
            0: "every school would be in step with its MIS",
            1: "a school would not be planned",
            2: "the feed, settings, accounts or sign-in were refused",
            3: "the deployment, the tenant or the world could not be reached",
            4: "planned, but a decision or a person waits",
        },
    )
