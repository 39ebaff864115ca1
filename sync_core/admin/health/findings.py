"""What the checks of the app's health find, as pure functions of what was read."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync_core import VERSION
from sync_core.config import UNRESOLVED
from sync_core.domain.ids import SchoolId
from sync_core.domain.permissions import Need, TenantCheck, missing_for
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedContainer, FeedFolder
from sync_core.errors import SyncError, one_line
from sync_core.graph.port import Told
from sync_core.messaging.port import DeadLetter

LOOKED_BACK = timedelta(days=7)
"""How far back runs are read."""
_STALE = timedelta(hours=26)
"""As the alert "a school was not synced" counts."""
_GRACE = timedelta(hours=2)
"""After its window, a night has this time to end."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `remedy` says what to do, and is empty if nothing is wrong."""

    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLine:
    """One check: `name` says of what, and `detail` what was found. `remedy` is empty if it is `ok`."""

    name: str
    ok: bool
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health of the app, or of the schools that the caller administers. `healthy`: every line is ok."""

    healthy: bool
    at: datetime
    lines: tuple[HealthLine, ...]


def failure(error: SyncError) -> Finding:
    return Finding(error.message, error.remedy)


def version() -> Finding:
    return Finding(f"MIS Class Sync {VERSION} on Python {platform.python_version()}")


def secrets(schools: Iterable[SchoolSettings], values: Mapping[str, str]) -> Finding:
    """Whether each secret that a school names is there. `values` are the application settings with secrets."""
    schools_of: dict[str, list[SchoolId]] = {}
    for school in schools:
        for name in sorted(_secrets_of(school)):
            schools_of.setdefault(name, []).append(school.school)
    faults = [
        f"{name} {fault} (it is named by {', '.join(ids)})"
        for name, ids in sorted(schools_of.items())
        if (fault := _fault(values.get(name, "").strip()))
    ]
    if faults:
        return Finding(
            one_line("; ".join(faults)),
            "put the secret into the Key Vault with infra/scripts/add_secret.py, which also tells the app its name; if "
            "it is there, see that the app's identity has the role Key Vault Secrets User",
        )
    if not schools_of:
        return Finding("all are valid; no school names a secret")
    return Finding(f"all are valid; secrets that schools name: {len(schools_of)}, all of them there")


def _secrets_of(school: SchoolSettings) -> frozenset[str]:
    match school.source:
        case FeedFolder() | FeedContainer():
            return frozenset(school.webhook_secrets)
        case api:
            return frozenset({api.secret, *school.webhook_secrets})


def _fault(value: str) -> str:
    if not value:
        return "is not set"
    return "has a Key Vault reference that the platform could not resolve" if value.startswith(UNRESOLVED) else ""


def tables(missing: Sequence[str]) -> Finding:
    if missing:
        return Finding(
            f"the storage account has no table {', '.join(missing)}",
            "follow 'Restore' in docs/operations.md before you restart the app, which makes new, empty tables",
        )
    return Finding("all are there, and the app may write to them")


def dead_letters(letters: Sequence[DeadLetter]) -> Finding:
    if not letters:
        return Finding("none, and the app may receive from the queue")
    oldest = min(letter.at for letter in letters)
    return Finding(
        f"{len(letters)}, the oldest of {_time(oldest)}",
        "read why in the list of dead letters (Health in the console, or GET /api/admin/dead-letters), correct that, "
        "then replay them",
    )


def permissions(check: TenantCheck) -> Finding:
    if check.what:
        return Finding(check.what, check.remedy)
    if check.teams_what:
        return Finding(check.teams_what, check.teams_remedy)
    without = [f"{each.name} ({each.purpose})" for each in missing_for(check, {Need.RESTORE})]
    optional = f", but not the optional {', '.join(without)}" if without else ""
    return Finding(f"the app's token carries all that are required{optional}")


def graph(told: Told) -> Finding:
    share = f", and says that {told.share:.0%} of a limit is used" if told.share else ""
    return Finding(f"answers, and does not throttle the app now{share}")


def last_sync(school: SchoolSettings, runs: Sequence[RunRecord], now: datetime) -> Finding:
    """`runs` are those of the last LOOKED_BACK, oldest first."""
    if not school.enabled:
        return Finding(f"the school is {school.paused}")
    sync_it = f"wait for the next night, or sync it now, on its page or by POST /api/admin/schools/{school.school}/sync"
    syncs = [run for run in runs if _is_sync(run)]
    if not syncs:
        return Finding(f"none within {LOOKED_BACK.days} days", sync_it)
    last = syncs[-1]
    when = f"run {last.id} of {_time(last.at)}"
    if last.outcome is not RunOutcome.PLANNED:
        what, remedy, *_ = (*last.notes, "", "")
        return Finding(f"{when} is {last.outcome}: {what}", remedy or sync_it)
    if now - last.at > _STALE:
        return Finding(f"{when} is the last one, and more than 26 hours ago", sync_it)
    waiting = f"; it waits for a person ({', '.join(last.waiting)})" if last.waiting else ""
    return Finding(f"{when} planned {last.groups} groups{waiting}")


def _is_sync(run: RunRecord) -> bool:
    """Whether it is over, and was about the whole school or could not be recorded."""
    unrecorded = run.outcome is RunOutcome.REFUSED and not run.action
    return run.outcome is not RunOutcome.REQUESTED and (run.whole or unrecorded)


def last_night(found: Mapping[SchoolId, Sequence[RunRecord] | Finding], now: datetime, window: timedelta) -> Finding:
    """`found` are the runs of each enabled school within the last LOOKED_BACK, or why they could not be read."""
    if not found:
        return Finding("there is no school to sync")
    runs = {school: of_school for school, of_school in found.items() if not isinstance(of_school, Finding)}
    if unread := [of_school for of_school in found.values() if isinstance(of_school, Finding)]:
        return Finding(f"not known, because the runs of {len(unread)} schools cannot be read", unread[0].remedy)
    nightly = [run for of_school in runs.values() for run in of_school if run.cause is Cause.NIGHTLY and _is_sync(run)]
    last = max((run.id for run in nightly if now - run.at <= _STALE), default=None)
    if last is None:
        return Finding(
            "no night has reached a school within 26 hours",
            "if a night has passed since the first school was added, check SYNC_SCHEDULE, the function nightly_sync in "
            "the portal, and the dead letters of sync-requests",
        )
    of_night = [run.at for run in nightly if run.id == last]
    began = min(of_night)
    done = sum(any(_is_sync(run) and run.at >= began for run in of_school) for of_school in runs.values())
    detail = f"run {last} reached its first school at {_time(began)}; schools done: {done} of {len(runs)}"
    if done == len(runs):
        return Finding(f"{detail}, the last at {_time(max(of_night))}")
    if now <= began + window + _GRACE:
        return Finding(f"{detail}, and it goes on")
    return Finding(detail, "the lines of the other schools, and the dead letters of sync-requests, say why")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
