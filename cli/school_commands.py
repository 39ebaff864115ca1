"""The commands about the schools of a deployment: log in, see how they are, plan, apply, resync and undo."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.deployment import AdminApi, address_of, find_sign_in, is_local
from cli.failures import Failed
from cli.pages import OF_DEPLOYMENT, add_command
from cli.printing import console_of, counted, print_json, show, table
from cli.remembered import Deployment, remember, remembered
from cli.runs import Wait, finish, read_run, show_run, status_of_plan, waiting_of
from cli.session import AsJson, SchoolId
from local.exit_status import Status

PANEL = "Your deployment: its schools"
_CLIENT_FROM = "'azd env get-value ADMIN_CLIENT_ID' prints it where the app was deployed"
_MARKS = {"good": Text("✔", "green"), "waits": Text("!", "bold yellow"), "bad": Text("✖", "bold red")}

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run: 'status SCHOOL' lists the newest.")]


def deployed_api() -> AdminApi:
    return AdminApi(remembered())


def key_of(api: AdminApi, school: str, name: str) -> str:
    """The key of the class with that key or name, which may have a slash. Raises Failed."""
    (found,) = api.get("schools", school, "classes", name=name)
    return str(found["key"])


def login(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The app, such as https://APP.azurewebsites.net.")],
    client: Annotated[
        str,
        typer.Option(
            metavar="ID", help=f"The client id of the admins' sign-in, if the app does not say: {_CLIENT_FROM}."
        ),
    ] = "",
    tenant: Annotated[
        str, typer.Option(metavar="ID", help="The Entra id of the app's tenant, if it does not say.")
    ] = "",
    as_user: Annotated[
        str,
        typer.Option(
            "--as", metavar="USER", help="A test user, in place of 'az login', for a local world: admin, say."
        ),
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Choose your deployment, and check that it knows you.

    The other commands are then about it. You call it as the account that is signed in to the Azure CLI: run 'az login'
    first. The address, the client id and the tenant are remembered, and no secret.
    """
    base = address_of(address)
    if as_user and not is_local(base):
        what = f"{base} is not on this machine, and has no test users"
        raise Failed(what, "leave out --as, and sign in with 'az login'", Status.REFUSED)
    deployment = Deployment(address=base, user=as_user) if as_user else _signed_in_at(base, client, tenant)
    listed = AdminApi(deployment).get("schools")
    file = remember(deployment)
    if as_json:
        print_json({"address": base, "client": deployment.client, "tenant": deployment.tenant, "schools": len(listed)})
    text = f"{base} knows you as an admin of {counted(len(listed), 'school')}; remembered in {file}"
    console_of(as_json).print(text, highlight=False, markup=False)
    return Status.GOOD


def _signed_in_at(address: str, client: str, tenant: str) -> Deployment:
    if not (client and tenant):
        found = find_sign_in(address)
        client, tenant = client or found[0], tenant or found[1]
    if not (client and tenant):
        for_world = " or, for a local world, --as admin" if is_local(address) else ""
        raise Failed(
            f"{address} does not say which app registration signs its admins in",
            f"check the address, or name it with --client ID --tenant ID ({_CLIENT_FROM}){for_world}",
            Status.REFUSED,
        )
    return Deployment(address=address, client=client, tenant=tenant)


def schools(as_json: AsJson = False) -> int:
    """List the schools that you administer, with their ids."""
    listed = deployed_api().get("schools")
    rows = [(each["id"], each["name"], each["mis"], "syncs" if each["enabled"] else "paused") for each in listed]
    show(as_json, listed, table(("id", "school", "MIS", ""), rows))
    return Status.GOOD


def status(
    school: Annotated[str, typer.Argument(metavar="[SCHOOL]", help="One school, with its newest runs.")] = "",
    run: Annotated[str, typer.Option(metavar="RUN", help="One run of the school: how far it is.")] = "",
    as_json: AsJson = False,
) -> int:
    """Show how each school is, worst first.

    In step with its MIS or not, healthy or not, when the last night was, and how many decisions wait for a person.
    """
    if run and not school:
        raise typer.BadParameter("name the school of the run too", param_hint="--run")
    api = deployed_api()
    if run:
        return show_run(*read_run(api, school, run), as_json)
    rows = [each for each in api.get("overview") if school in ("", each["school"])]
    if school and not rows:
        raise Failed(f"you administer no school {school}", "run 'mis-class-sync schools'", Status.REFUSED)
    runs = list(reversed(api.get("schools", school, "runs", page=1))) if school else []
    show(
        as_json,
        {"schools": rows, "runs": runs},
        table(("", "school", "in step", "healthy", "decisions", "last night (UTC)"), list(map(_status_row, rows))),
    )
    if runs and not as_json:
        cells = [(each["id"], each["at"], each["cause"], each["outcome"], "; ".join(waiting_of(each))) for each in runs]
        console_of(as_json).print(table(("run", "at (UTC)", "cause", "outcome", "what waits"), cells[:10]))
    return Status.GOOD if all(_is_good(row) for row in rows) else Status.WAITS


def _is_good(row: Mapping[str, Any]) -> bool:
    return row["in_step"]["light"] == row["healthy"]["light"] == "good" and not row["decisions"]


def _status_row(row: Mapping[str, Any]) -> tuple[str | Text, ...]:
    lights = {row["in_step"]["light"], row["healthy"]["light"]}
    mark = _MARKS["good" if _is_good(row) else "bad" if "bad" in lights else "waits"]
    name = f"{row['school']} {row['name']}".strip()
    return (mark, name, row["in_step"]["text"], row["healthy"]["text"], str(row["decisions"]), row["last_night"] or "–")


def plan_deployed(school: str, as_json: bool, out: Path | None) -> int:
    """Show what a sync of the deployment's school would do now, and the command that does exactly that."""
    made = deployed_api().post("schools", school, "plan")
    text = "\n".join(made["lines"])
    if made["digest"]:
        text += f"\nTo do exactly this: mis-class-sync apply {school} {made['digest']}"
    show(as_json, made, text, out)
    return status_of_plan(made)


def apply(
    school: SchoolId,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="What 'plan --deployed SCHOOL' prints at its end.")],
    confirm: Annotated[
        str, typer.Option(metavar="SCHOOL", help="The school's id again: needed if many people would leave a class.")
    ] = "",
    wait: Wait = True,
    as_json: AsJson = False,
) -> int:
    """Do exactly what a plan showed.

    If the plan is another one by now, nothing is changed.
    """
    api = deployed_api()
    body = {"confirm": confirm} if confirm else None
    return finish(api, school, api.post("schools", school, "plan", plan, "apply", body=body), wait, as_json)


def resync(
    school: Annotated[str, typer.Argument(metavar="[SCHOOL]", help="The school to sync now, as a night does.")] = "",
    classes: Annotated[
        list[str] | None, typer.Argument(metavar="[CLASS]...", help="Only these classes, by key, name or address.")
    ] = None,
    tenant: Annotated[
        str, typer.Option(metavar="ID", help="In place of SCHOOL: compare every class of this tenant, then sync it.")
    ] = "",
    wait: Wait = True,
    as_json: AsJson = False,
) -> int:
    """Make a school, or some of its classes, match the MIS again."""
    if bool(school) is bool(tenant):
        raise typer.BadParameter("name a school or --tenant ID", param_hint="SCHOOL")
    api = deployed_api()
    if tenant:
        accepted = api.post("tenants", tenant, "full-resync")
        show(as_json, accepted, f"requested as run {accepted['run']}; see its schools with: mis-class-sync status")
        return Status.GOOD
    if not classes:
        return finish(api, school, api.post("schools", school, "sync"), wait, as_json)
    return finish(api, school, _request(api, school, "resync", classes), wait, as_json)


def _request(api: AdminApi, school: str, action: str, classes: list[str]) -> Mapping[str, str]:
    """The run of an action on classes by key, name or address, which is one for all of them."""
    body = {"action": action, "classes": [key_of(api, school, name) for name in classes]}
    (run,) = api.post("schools", school, "classes", "requests", body=body)["runs"]
    return {"run": run}


def undo(
    school: SchoolId,
    run: RunId,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    wait: Wait = True,
    as_json: AsJson = False,
) -> int:
    """Give the classes of a run the people they had before.

    Shows what would change, and asks. The classes are pinned: they follow the MIS again after 'release'.
    """
    api = deployed_api()
    if not yes:
        made = api.post("schools", school, "runs", run, "undo", "plan")
        asks = sys.stdin.isatty() and not as_json
        show(as_json, made, "\n".join(made["lines"]))
        if not asks or not typer.confirm("Undo this?", err=True):
            console_of(True).print(f"nothing was changed; to undo it: mis-class-sync undo {school} {run} --yes")
            return Status.WAITS
    return finish(api, school, api.post("schools", school, "runs", run, "undo"), wait, as_json)


def release(
    school: SchoolId,
    classes: Annotated[
        list[str] | None, typer.Argument(metavar="[CLASS]...", help="Only these classes; by default all pinned ones.")
    ] = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> int:
    """Let pinned classes follow the MIS again, after an undo."""
    api = deployed_api()
    if not classes:
        return finish(api, school, api.delete("schools", school, "pins"), wait, as_json)
    return finish(api, school, _request(api, school, "release", classes), wait, as_json)


def add_to(app: typer.Typer) -> None:
    done = {
        **OF_DEPLOYMENT,
        0: "done, and the school is in step",
        1: "the run was not planned: its notes say why",
        4: "something waits for a decision or a person, or the plan is another one, and nothing was changed",
    }
    known, listed = {**OF_DEPLOYMENT, 0: "the app knows you"}, {**OF_DEPLOYMENT, 0: "listed"}
    well = {**OF_DEPLOYMENT, 0: "all are in step and healthy", 4: "one is not, or a decision waits"}
    add_command(app, PANEL, login, ("login https://app-oak.azurewebsites.net",), known)
    add_command(app, PANEL, schools, ("schools", "schools --json"), listed)
    add_command(app, PANEL, status, ("status", "status OAK", "status OAK --run RUN"), well)
    add_command(app, PANEL, apply, ("plan --deployed OAK", "apply OAK PLAN"), done)
    add_command(app, PANEL, resync, ("resync OAK", "resync OAK 7A 7B/En1", "resync --tenant TENANT"), done)
    add_command(app, PANEL, undo, ("undo OAK RUN", "undo OAK RUN --yes"), done)
    add_command(app, PANEL, release, ("release OAK", "release OAK 7A 7B/En1"), done)
