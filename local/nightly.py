"""One night in a local world: settings and accounts in, the timer pulled, the queues drained, and what came of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from local.school_settings import parse_school_settings
from local.tenant.__main__ import TENANT_ID
from local.world import MASTER_KEY, WEBHOOK_SETTING, Addresses
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.domain.school import DEFAULT_ACCOUNT_DOMAIN, FeedFolder, SchoolSettings
from sync_core.messaging.messages import SYNC_REQUESTS, Priority
from sync_core.mis.files.formats import Feed, read_feed
from sync_core.planning.matching import mis_value
from sync_core.state.store import TableState

STUCK_AFTER = 120.0
_POLL = 0.1


class Stuck(Exception):
    """The queues do not drain, with what still lies in them."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    created: int
    changed: int
    unchanged: int
    held: int
    refused: int


@dataclass(frozen=True, slots=True)
class SchoolReport:
    """What the night did to one school; counts of this run."""

    id: str
    groups: int
    classes: ClassCounts
    owners_granted: int
    members_added: int
    members_removed: int
    people_without_account: int


@dataclass(frozen=True, slots=True)
class GraphReport:
    requests: int
    writes: int
    resource_units: int
    throttled: int


@dataclass(frozen=True, slots=True)
class MessageReport:
    """Changes of classes: how many were sent, and what became of them."""

    sent: int
    applied: int
    already_so: int
    dead_lettered: int


@dataclass(frozen=True, slots=True)
class NightReport:
    """The JSON of --out, and what only people are told: sentences of the runs, and remedies of what was refused."""

    schools: tuple[SchoolReport, ...]
    graph: GraphReport
    messages: MessageReport
    seconds: float
    notes: tuple[str, ...]
    rejected: bool

    @property
    def good(self) -> bool:
        return not self.rejected and not self.messages.dead_lettered

    def as_json(self) -> dict[str, Any]:
        whole = asdict(self)
        return {name: whole[name] for name in ("schools", "graph", "messages", "seconds")}


@dataclass(frozen=True, slots=True)
class Counts:
    """The world's counters at one moment."""

    queues: Mapping[str, Mapping[str, int]]
    graph: Mapping[str, int]

    @property
    def left(self) -> dict[str, int]:
        """Messages that are still to be done with, by queue."""
        return {name: queue["active"] + queue["locked"] + queue["scheduled"] for name, queue in self.queues.items()}

    def over_since(self, before: Counts) -> bool:
        """Whether a request has come since `before`, and nothing is left to do."""
        came = self.queues[SYNC_REQUESTS]["sent"] > before.queues[SYNC_REQUESTS]["sent"]
        return came and not any(self.left.values())


def grown(before: Counts, after: Counts, counter: str, *queues: str) -> int:
    """By how much a counter of these queues has grown."""
    return sum(after.queues[queue][counter] - before.queues[queue][counter] for queue in queues)


Progress = Callable[[int, int], None]
"""Told of the changes settled and sent so far."""


def run_night(
    addresses: Addresses,
    host_log: Path,
    feed_path: Path,
    school_values: Mapping[str, object],
    accounts: Sequence[tuple[str, str]] | None = None,
    progress: Progress = lambda settled, sent: None,
) -> NightReport:
    """One nightly sync of the feed. `accounts` are (UPN, display name); without them everybody in the feed gets one.

    Raises SnapshotRejected and UnknownSetting before anything is done, Stuck if the queues do not drain.
    """
    began = time.monotonic()
    feed = read_feed(feed_path)
    settings = schools_of(feed, feed_path, school_values)
    asyncio.run(_save(addresses, settings))
    users = (
        accounts_of(feed, settings)
        if accounts is None
        else [{"userPrincipalName": upn, "displayName": name} for upn, name in accounts]
    )
    httpx.post(f"{addresses.tenant}/_sim/users", json=users, timeout=60).raise_for_status()

    log_from = host_log.stat().st_size if host_log.exists() else 0
    before = count(addresses)
    pull_timer(addresses)
    after = drain(addresses, before, progress)
    events = _events(host_log, log_from)
    runs = asyncio.run(_runs(addresses, {settings_.school for settings_ in settings}, events))
    return _report(runs, events, before, after, time.monotonic() - began)


def schools_of(
    feed: Feed, feed_path: Path, values: Mapping[str, object], tenant: str = TENANT_ID
) -> list[SchoolSettings]:
    """The settings of each school of the feed. Raises UnknownSetting."""
    source = FeedFolder(str(feed_path.resolve()))
    announcing = {"webhook_secrets": [WEBHOOK_SETTING], **values}
    return [parse_school_settings(announcing, school=id_, tenant=tenant, source=source) for id_ in feed.snapshots]


def accounts_of(feed: Feed, settings: Sequence[SchoolSettings]) -> list[dict[str, str]]:
    """One account for each person of the feed, with the property that the school matches his role by."""
    accounts: dict[tuple[AccountProperty, str], dict[str, str]] = {}
    for chosen in settings:
        snapshot = feed.snapshots[chosen.school]
        roles = [(chosen.students, group.students) for group in snapshot.groups]
        roles += [(chosen.staff, group.teachers) for group in snapshot.groups]
        for rule, people in roles:
            for person in people:
                if value := mis_value(snapshot.people[person], rule):
                    upn = value if "@" in value else f"{value}@{DEFAULT_ACCOUNT_DOMAIN}"
                    found = {"userPrincipalName": upn, "displayName": upn.partition("@")[0]}
                    accounts[rule.account, value] = found | {rule.account.value: value}
        for upn in chosen.admin_owners:
            accounts.setdefault((AccountProperty.UPN, upn.lower()), {"userPrincipalName": upn, "displayName": "admin"})
    return list(accounts.values())


async def _save(addresses: Addresses, settings: Sequence[SchoolSettings]) -> None:
    state = TableState.from_connection_string(addresses.tables)
    try:
        await state.ensure_tables()
        for chosen in settings:
            await state.save_school(chosen)
    finally:
        await state.close()


async def _runs(
    addresses: Addresses, schools: set[str], events: Sequence[Mapping[str, Any]]
) -> list[tuple[str, RunRecord | None]]:
    """The record of this night's run for each school."""
    ids = {event["run"] for event in events if event["name"] == "tenant.refreshed"}
    state = TableState.from_connection_string(addresses.tables)
    try:
        found = []
        for school in sorted(schools):
            runs = [run for run in await state.runs(school) if run.id in ids]
            found.append((school, runs[-1] if runs else None))
        return found
    finally:
        await state.close()


def pull_timer(addresses: Addresses, function: str = "nightly_sync") -> None:
    """Have a timer's function run now, as an admin may from the portal."""
    key = {"x-functions-key": MASTER_KEY}
    httpx.post(f"{addresses.host}/admin/functions/{function}", json={"input": ""}, headers=key).raise_for_status()


def run_timer(addresses: Addresses, function: str) -> None:
    """Have a timer's function run now, and wait until it has. Raises Stuck."""
    before, began = _invocations(addresses, function), time.monotonic()
    pull_timer(addresses, function)
    while _invocations(addresses, function) == before:
        if time.monotonic() - began > STUCK_AFTER:
            raise Stuck(f"{function} has run for {STUCK_AFTER:.0f} seconds")
        time.sleep(_POLL)


def _invocations(addresses: Addresses, function: str) -> int:
    """Those that have ended."""
    key = {"x-functions-key": MASTER_KEY}
    status = httpx.get(f"{addresses.host}/admin/host/status", headers=key).raise_for_status().json()
    counts = status["invocations"].get(function, {"succeeded": 0, "failed": 0})
    return int(counts["succeeded"]) + int(counts["failed"])


def count(addresses: Addresses) -> Counts:
    queues = httpx.get(f"{addresses.bus_status}/status").raise_for_status().json()["queues"]
    return Counts(queues, httpx.get(f"{addresses.tenant}/_sim/stats").raise_for_status().json())


def drain(addresses: Addresses, before: Counts, progress: Progress = lambda settled, sent: None) -> Counts:
    """Wait until a request has come since `before` and all queues are empty. Raises Stuck."""
    last, changed_at = before, time.monotonic()
    while True:
        now = count(addresses)
        progress(grown(before, now, "completed", *Priority), grown(before, now, "sent", *Priority))
        if now.over_since(before):
            return now
        if now != last:
            last, changed_at = now, time.monotonic()
        elif time.monotonic() - changed_at > STUCK_AFTER:
            raise Stuck(f"nothing has moved for {STUCK_AFTER:.0f} seconds; still queued: {now.left}")
        time.sleep(_POLL)


def _events(host_log: Path, start: int) -> list[dict[str, Any]]:
    with host_log.open("rb") as log:
        log.seek(start)
        lines = [json.loads(line) for line in log if line.endswith(b"\n")]
    return [line["event"] for line in lines if "event" in line]


def _report(
    runs: Sequence[tuple[str, RunRecord | None]],
    events: Sequence[Mapping[str, Any]],
    before: Counts,
    after: Counts,
    seconds: float,
) -> NightReport:
    spent = {name: after.graph[name] - before.graph[name] for name in GraphReport.__dataclass_fields__}
    names = [event["name"] for event in events]

    return NightReport(
        schools=tuple(_school(school, run, events) for school, run in runs),
        graph=GraphReport(**spent),
        messages=MessageReport(
            sent=grown(before, after, "sent", *Priority),
            applied=names.count("change.applied"),
            already_so=names.count("change.already_so"),
            dead_lettered=grown(before, after, "dead_lettered", SYNC_REQUESTS, *Priority),
        ),
        seconds=round(seconds, 1),
        notes=_notes(runs, events),
        rejected=any(run is None or run.outcome is RunOutcome.REJECTED for _, run in runs),
    )


def _school(school: str, run: RunRecord | None, events: Sequence[Mapping[str, Any]]) -> SchoolReport:
    ours = [event for event in events if event.get("school") == school]
    done = [event for event in ours if event["name"] in ("change.applied", "change.refused")]
    created = {event["class"] for event in done if event["created"]}
    changed = {event["class"] for event in done if event["name"] == "change.applied"} - created
    refused = {event["class"] for event in done if event["name"] == "change.refused"}
    held = set(run.held) if run else set()
    groups = run.groups if run else 0
    touched = created | changed | refused | held
    return SchoolReport(
        id=school,
        groups=groups,
        classes=ClassCounts(len(created), len(changed), max(groups - len(touched), 0), len(held), len(refused)),
        owners_granted=sum(event["owners_granted"] for event in done),
        members_added=sum(event["members_added"] for event in done),
        members_removed=sum(event["members_removed"] for event in done),
        people_without_account=len(run.people_without_account) if run else 0,
    )


def _notes(runs: Sequence[tuple[str, RunRecord | None]], events: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    notes = []
    for school, run in runs:
        if run is None:
            notes.append(f"school {school} was not planned: see the host's log")
            continue
        notes += [f"school {school}: {note}" for note in run.notes]
        notes += [f"school {school}: class {key} is gone from Microsoft 365" for key in run.gone]
        notes += [f"school {school}: the group of class {key} left the MIS; it stays as it is" for key in run.ended]
        notes += [f"school {school}: class {key} is there longer than was asked for" for key in run.expired]
        notes += [f"school {school}: person {person} has no account" for person in run.people_without_account]
        notes += [f"school {school}: the account of person {person} is disabled" for person in run.people_disabled]
        notes += [f"school {school}: person {person} has no account of his own" for person in run.people_ambiguous]
    for event in events:
        if event["name"] == "change.refused":
            notes.append(f"school {event['school']}: class {event['class']}: {event['code']} — {event['remedy']}")
        elif event["name"] == "message.failed":
            notes.append(f"message {event['message_id']}, delivery {event['deliveries']}: {event['message']}")
    return tuple(dict.fromkeys(notes))
