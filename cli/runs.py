"""A run that a request started on a deployment: waiting for its end, and what it did."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.deployment import AdminApi
from cli.failures import Failed
from cli.printing import console_of, print_json
from local.exit_status import Status
from local.processes import Stopped
from sync_core.domain.runs import WAITING, RunOutcome

WAIT_AT_MOST = 900.0
"""Seconds. A night of a large school takes some minutes, as Graph's limits allow."""
_POLL = 1.0

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the change is applied, or only request it.")]


def waiting_of(run: Mapping[str, Any]) -> list[str]:
    """What of a plan or a run waits for a person, each with its number."""
    return [f"{what}: {len(run[name])}" for name, what in WAITING.items() if run[name]]


def status_of_plan(plan: Mapping[str, Any]) -> Status:
    if plan["outcome"] != RunOutcome.PLANNED:
        return Status.NOT_DONE
    return Status.WAITS if waiting_of(plan) else Status.GOOD


def finish(api: AdminApi, school: str, accepted: Mapping[str, Any], wait: bool, as_json: bool) -> int:
    """Print the run that the API accepted, once it has ended or at once, and return the exit status."""
    run_id = accepted["run"]
    console = console_of(as_json)
    if not wait:
        console.print(f"requested as run {run_id}; see it with: {_look(school, run_id)}", highlight=False)
        if as_json:
            print_json({"school": school, "id": run_id, "run": None, "progress": None})
        return Status.GOOD
    try:
        with console.status(f"run {run_id} of school {school} is under way…"):
            run, progress = _wait_for(api, school, run_id)
    except Stopped as stopped:
        what = f"you stopped waiting, and run {run_id} goes on without you"
        raise Failed(what, f"look at it later: {_look(school, run_id)}", 128 + stopped.number) from None
    return show_run(run, progress, as_json)


def read_run(api: AdminApi, school: str, run_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return api.get("schools", school, "runs", run_id), api.get("schools", school, "runs", run_id, "progress")


def _wait_for(api: AdminApi, school: str, run_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The run and its progress, when nothing of it is on a queue. Raises Failed if that takes too long."""
    until = time.monotonic() + WAIT_AT_MOST
    while time.monotonic() < until:
        run, progress = read_run(api, school, run_id)
        if run["outcome"] != RunOutcome.REQUESTED and not progress["open"]:
            return run, progress
        time.sleep(_POLL)
    raise Failed(
        f"run {run_id} is still under way after {WAIT_AT_MOST / 60:.0f} minutes, and goes on without you",
        f"look at it later: {_look(school, run_id)}",
        Status.WAITS,
    )


def _look(school: str, run_id: str) -> str:
    return f"mis-class-sync status {school} --run {run_id}"


def show_run(run: Mapping[str, Any], progress: Mapping[str, Any], as_json: bool) -> int:
    """Print a run of a school as it is now, and return the exit status."""
    if as_json:
        print_json({"school": run["school"], "id": run["id"], "run": run, "progress": progress})
    console = console_of(as_json)
    lines = [f"run {run['id']} of school {run['school']}: {run['outcome']}"]
    if run["outcome"] == RunOutcome.PLANNED:
        lines[0] += f"; {progress['done']} of {progress['classes']} classes are as wanted"
    lines += [f"! refused by Microsoft 365: {key}" for key in progress["refused"]]
    lines += [f"! {what}" for what in waiting_of(run)] + list(run["notes"])
    console.print("\n".join(lines), highlight=False, markup=False)
    if run["outcome"] == RunOutcome.REQUESTED or progress["open"]:
        return Status.WAITS
    if run["outcome"] != RunOutcome.PLANNED:
        return Status.NOT_DONE
    return Status.WAITS if progress["refused"] or waiting_of(run) else Status.GOOD
