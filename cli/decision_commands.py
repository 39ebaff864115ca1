"""The commands about what waits for a person in a deployment: holds, one person in a class, accounts, health."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.deployment import AdminApi
from cli.failures import Failed
from cli.pages import OF_DEPLOYMENT, add_command
from cli.printing import console_of, counted, print_json, printed_to, show, table
from cli.runs import Wait, finish
from cli.school_commands import deployed_api, key_of
from cli.session import AsJson, SchoolId, session_of
from local.exit_status import Status

PANEL = "Your deployment: what waits for you"
_SHORT = 10
"""Characters of a hold's digest that are shown, and that name it."""

HoldId = Annotated[str, typer.Argument(metavar="HOLD", help="The hold, by its id or the first characters of it.")]
Classes = Annotated[
    list[str] | None,
    typer.Option("--class", metavar="CLASS", help="Only this class of the hold, by key or name; repeatable."),
]


def holds(
    school: Annotated[
        str, typer.Argument(metavar="[SCHOOL]", help="One school; by default all that you administer.")
    ] = "",
    as_json: AsJson = False,
) -> int:
    """List what the last plans held back, and how to decide on it."""
    api = deployed_api()
    waiting = [school] if school else [row["school"] for row in api.get("overview") if row["decisions"]]
    listed = {each: [hold for hold in _holds(api, each) if hold["status"] == "open"] for each in waiting}
    count = sum(map(len, listed.values()))
    if as_json:
        print_json(listed)
        return Status.WAITS if count else Status.GOOD
    console = console_of(as_json)
    for each, open_holds in listed.items():
        for hold in open_holds:
            console.print("\n".join(_hold_lines(each, hold)), highlight=False, markup=False)
    console.print(f"{counted(count, 'hold')} {'waits' if count == 1 else 'wait'} for a decision", highlight=False)
    return Status.WAITS if count else Status.GOOD


def _holds(api: AdminApi, school: str) -> list[dict[str, Any]]:
    return list(api.get("schools", school, "holds"))


def _hold_lines(school: str, hold: Mapping[str, Any]) -> Iterator[str]:
    """What is held, class by class, and the commands that decide it. People are shown by their number."""
    short = hold["digest"][:_SHORT]
    yield f"school {school}, hold {short} ({hold['kind']}): {hold['what']}"
    if hold["why"]:
        yield f"  limit: {hold['why']}"
    for part in hold["classes"]:
        yield f"  {part['name'] or part['group_name']} ({part['key']}): {part['what']}"
    yield f"  → {hold['remedy']}"
    yield f"  mis-class-sync approve {school} {short}, or mis-class-sync reject {school} {short}"


def _hold_of(api: AdminApi, school: str, name: str) -> str:
    """The whole id of the hold that begins with `name`. Raises Failed."""
    found = [hold["digest"] for hold in _holds(api, school) if hold["digest"].startswith(name)]
    if len(found) == 1:
        return str(found[0])
    what = f"school {school} has no hold {name}" if not found else f"{len(found)} holds begin with {name}"
    raise Failed(what, f"see them with 'mis-class-sync holds {school}'", Status.REFUSED)


def approve(
    school: SchoolId,
    hold: HoldId,
    classes: Classes = None,
    confirm: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="How many people find no account, if the hold is about that.")
    ] = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> int:
    """Apply what is held, if a sync would hold exactly that now."""
    choice = {"confirm": confirm} if confirm is not None else {}
    return _decide(school, hold, "approve", classes, choice, wait, as_json)


def reject(school: SchoolId, hold: HoldId, classes: Classes = None, wait: Wait = True, as_json: AsJson = False) -> int:
    """Leave the classes of a hold as they are until the MIS changes again."""
    return _decide(school, hold, "reject", classes, {}, wait, as_json)


def _decide(
    school: str,
    hold: str,
    decision: str,
    classes: list[str] | None,
    choice: Mapping[str, object],
    wait: bool,
    as_json: bool,
) -> int:
    api = deployed_api()
    body = {**choice, "classes": classes} if classes else dict(choice)
    accepted = api.post("schools", school, "holds", _hold_of(api, school, hold), decision, body=body)
    return finish(api, school, accepted, wait, as_json)


def explain(
    school: SchoolId,
    class_: Annotated[str, typer.Argument(metavar="CLASS", help="The class, by key, name or address.")],
    person: Annotated[
        str, typer.Argument(metavar="PERSON", help="MIS id, Entra id, user principal name, e-mail or user name.")
    ],
    as_json: AsJson = False,
) -> int:
    """Say why a person is in a class, or is not.

    Also since when, and what the next sync will do.
    """
    api = deployed_api()
    key = key_of(api, school, class_)
    told = api.post("schools", school, "classes", key, "explain", body={"person": person})
    show(as_json, told, "\n".join(told["lines"]))
    return Status.GOOD


def people(
    school: SchoolId,
    finding: Annotated[str, typer.Option(metavar="FINDING", help="Only these: no_account, in_doubt or disabled.")] = "",
    as_json: AsJson = False,
) -> int:
    """List the people who find no account of their own.

    Also those with an account in doubt or a disabled one, each with what was looked for. The values are shown to you
    alone: the app keeps them nowhere.
    """
    api, query = deployed_api(), {"finding": finding} if finding else {}
    found = api.post("schools", school, "matching", **query)
    for page in range(2, found["pages"] + 1):
        found["people"] += api.post("schools", school, "matching", page=page, **query)["people"]
    listed = found["people"]
    rows = [
        (
            each["person"],
            each["role"],
            each["finding"].replace("_", " "),
            ", ".join(each["groups"]),
            ", ".join(f"{tried['mis']} {tried['value'] or '–'}" for tried in each["tries"]),
            ", ".join(account["value"] for account in each["accounts"]),
        )
        for each in listed
    ]
    columns = ("MIS id", "role", "finding", "groups", "looked for", "accounts, or the nearest")
    show(as_json, found, table(columns, rows) if rows else Text("every person finds an account of their own"))
    return Status.WAITS if listed else Status.GOOD


def doctor(
    context: typer.Context,
    world: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Check the app of this local world, in place of your deployment.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check the health of your deployment.

    Says what to do where something is wrong. Nothing is changed.
    """
    from local.doctor import describe

    folder = world or session_of(context).world
    if folder:
        from local.commands import doctor as check_world

        return check_world(folder, printed_to(as_json), session_of(context).spawn)
    health = deployed_api().get("health")
    show(as_json, health, describe(health))
    return Status.GOOD if health["healthy"] else Status.NOT_DONE


def add_to(app: typer.Typer) -> None:
    decided = {
        **OF_DEPLOYMENT,
        0: "done, and the school is in step",
        1: "the run was not planned: its notes say why",
        4: "something still waits, or a sync would hold something else now, and nothing was changed",
    }
    nothing = {**OF_DEPLOYMENT, 0: "nothing is held", 4: "something is held"}
    found = {**OF_DEPLOYMENT, 0: "every person finds an account", 4: "somebody does not"}
    well = {**OF_DEPLOYMENT, 0: "every check passed", 1: "one did not"}
    add_command(app, PANEL, holds, ("holds", "holds OAK"), nothing)
    add_command(app, PANEL, approve, ("approve OAK 3b1f09c2aa", "approve OAK 3b1f09c2aa --class 7A"), decided)
    add_command(app, PANEL, reject, ("reject OAK 3b1f09c2aa",), decided)
    add_command(app, PANEL, explain, ("explain OAK 7A a.pupil@oak.example",), {**OF_DEPLOYMENT, 0: "explained"})
    add_command(app, PANEL, people, ("people OAK", "people OAK --finding in_doubt"), found)
    add_command(app, PANEL, doctor, ("doctor", "doctor --json"), well)
