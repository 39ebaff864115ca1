"""One night in a local world: save settings and accounts, fire the timer, drain the queues, report the result."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from local import loopback
from local.accounts import ListedAccount
from local.feed import read_feed, uk_today
from local.left_out import left_out_lines
from local.school_settings import parse_school_settings
from local.tenant.names import DOMAIN, TENANT_ID
from local.world import MASTER_KEY, WEBHOOK_SETTING, Addresses
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import LeftOutRows, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedFolder
from sync_core.messaging.messages import SYNC_REQUESTS, Priority
from sync_core.planning.matching.accounts import tries_of
from sync_core.planning.run_notes import name_some
from sync_core.state.store import TableState

STUCK_AFTER = 120.0
_POLL = 0.1
_LOOK_AFTER = 1.0
"""Seconds after which the counts of queues that are not settled yet are read again."""
_NOT_PLANNED = {RunOutcome.REJECTED, RunOutcome.BLOCKED, RunOutcome.REFUSED}


class Stuck(Exception):
    """The queues do not drain, or cannot be read; the message says how many messages are not settled."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    created: int
    changed: int
    unchanged: int
    held: int
    refused: int


@dataclass(frozen=True, slots=True)
class SchoolReport:
    """The result of the night for one school: counts of this run."""

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
    """Changes of classes: how many were sent, and how many ended in which way."""

    sent: int
    applied: int
    already_so: int
    dead_lettered: int


@dataclass(frozen=True, slots=True)
class NightReport:
    """The JSON of --out, and `notes` for the terminal only: sentences of the runs, and remedies of refused changes.

    `waits`: something of a school waits for a decision or a person, so that it is not in step with its MIS.
    """

    schools: tuple[SchoolReport, ...]
    graph: GraphReport
    messages: MessageReport
    seconds: float
    notes: tuple[str, ...]
    not_planned: bool
    waits: bool

    @property
    def good(self) -> bool:
        return not self.not_planned and not self.messages.dead_lettered

    def as_json(self) -> dict[str, Any]:
        whole = asdict(self)
        return {name: whole[name] for name in ("schools", "graph", "messages", "seconds")}


Queues = Mapping[str, Mapping[str, int]]
"""The counters of each queue."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The world's counters at one moment."""

    queues: Queues
    graph: Mapping[str, int]

    @property
    def unsettled(self) -> dict[str, int]:
        """Messages that are not settled yet, by queue."""
        return {name: queue["active"] + queue["locked"] + queue["scheduled"] for name, queue in self.queues.items()}

    def drained_since(self, before: Counts) -> bool:
        """Whether a request was sent since `before`, and every message is settled."""
        requested = self.queues[SYNC_REQUESTS]["sent"] > before.queues[SYNC_REQUESTS]["sent"]
        return requested and not any(self.unsettled.values())


def increase(before: Counts, after: Counts, counter: str, *queues: str) -> int:
    """The increase of a counter, summed over these queues."""
    return sum(after.queues[queue][counter] - before.queues[queue][counter] for queue in queues)


Progress = Callable[[int, int], None]
"""Called with the number of changes settled and sent so far."""


@dataclass(frozen=True, slots=True)
class PreparedNight:
    """What a night of a feed needs in the world: the settings of its schools, and users in Graph's names."""

    schools: Sequence[SchoolSettings]
    users: Sequence[Mapping[str, object]]


def prepare_night(
    feed_path: Path, values: Mapping[str, object], accounts: Sequence[ListedAccount] | None = None
) -> PreparedNight:
    """Read the feed. Without `accounts`, each person gets one. Raises SnapshotRejected, UnknownSetting."""
    feed = read_feed(feed_path, uk_today())
    # Accounts that are made for the feed have a domain that is known.
    schools = schools_of(feed, feed_path, {"account_domain": DOMAIN, **values} if accounts is None else values)
    return PreparedNight(schools, _users_of(feed, schools, accounts))


def run_night(
    addresses: Addresses,
    host_log: Path,
    night: PreparedNight,
    progress: Progress = lambda settled, sent: None,
) -> NightReport:
    """Run one nightly sync. Raises Stuck if the queues do not drain."""
    began = time.monotonic()
    asyncio.run(_save(addresses, night.schools))
    loopback.post(f"{addresses.tenant}/_sim/users", json=night.users, timeout=60).raise_for_status()

    log_from = host_log.stat().st_size if host_log.exists() else 0
    before = count(addresses)
    fire_timer(addresses)
    after = drain(addresses, before, progress)
    events = _events(host_log, log_from)
    runs = asyncio.run(_runs(addresses, {settings.school for settings in night.schools}, events))
    return _report(runs, events, before, after, time.monotonic() - began)


def schools_of(
    feed: Mapping[SchoolId, Snapshot], feed_path: Path, values: Mapping[str, object], tenant: str = TENANT_ID
) -> list[SchoolSettings]:
    """The settings of each school of the feed. Raises UnknownSetting."""
    source = FeedFolder(str(feed_path.resolve()))
    values = {"webhook_secrets": [WEBHOOK_SETTING], **values}
    return [parse_school_settings(values, school=id_, tenant=tenant, source=source) for id_ in feed]


def _users_of(
    feed: Mapping[SchoolId, Snapshot], schools: Sequence[SchoolSettings], accounts: Sequence[ListedAccount] | None
) -> list[dict[str, object]]:
    """The users to create in the tenant: `accounts`, or else one for each person of the feed. Names are Graph's.

    A user for a person has the first value of the person that the school's rule tries, in the property that it is
    compared with, or as user principal name if there are several.
    """
    if accounts is not None:
        return [account.as_user() for account in accounts]
    users: dict[tuple[AccountProperty, str], dict[str, object]] = {}
    for settings in schools:
        snapshot = feed[settings.school]
        roles = [(settings.student_matching, group.students) for group in snapshot.groups]
        roles += [(settings.staff_matching, group.teachers) for group in snapshot.groups]
        for rule, people in roles:
            for person in people:
                tries = [(each.accounts[0], each.value) for each in tries_of(snapshot.people[person], rule)]
                if tried := next(filter(_usable, tries), None):
                    property_, value = tried
                    upn = value if "@" in value else f"{value}@{DOMAIN}"
                    user: dict[str, object] = {"userPrincipalName": upn, "displayName": upn.partition("@")[0]}
                    users[tried] = user | {property_.value: value}
        for upn in settings.admin_owners:
            users.setdefault((AccountProperty.UPN, upn.lower()), {"userPrincipalName": upn, "displayName": "admin"})
    return list(users.values())


def _usable(tried: tuple[AccountProperty, str]) -> bool:
    property_, value = tried
    return "@" in value or (bool(value) and not property_.is_address)


@asynccontextmanager
async def open_state(tables: str) -> AsyncIterator[TableState]:
    """The world's tables, given their connection string."""
    state = TableState.from_connection_string(tables)
    try:
        yield state
    finally:
        await state.close()


async def _save(addresses: Addresses, schools: Sequence[SchoolSettings]) -> None:
    async with open_state(addresses.tables) as state:
        await state.ensure_tables()
        for settings in schools:
            await state.save_school(settings)


@dataclass(frozen=True, slots=True)
class _SchoolNight:
    """The record of this night's run, None if the school was not planned, and what it left out of the feed."""

    school: str
    run: RunRecord | None
    left_out: LeftOutRows | None


async def _runs(addresses: Addresses, schools: set[str], events: Sequence[Mapping[str, Any]]) -> list[_SchoolNight]:
    ids = {event["run"] for event in events if event["name"] in ("tenant.refreshed", "tenant.blocked")}
    records = []
    async with open_state(addresses.tables) as state:
        for school in sorted(schools):
            runs = [run for run in await state.runs(SchoolId(school)) if run.id in ids]
            run = runs[-1] if runs else None
            left_out = await state.left_out(SchoolId(school)) if run and run.left_out else None
            records.append(_SchoolNight(school, run, left_out))
    return records


def fire_timer(addresses: Addresses, function: str = "nightly_sync") -> None:
    """Start the function of a timer now, as an admin can from the portal."""
    key = {"x-functions-key": MASTER_KEY}
    loopback.post(f"{addresses.host}/admin/functions/{function}", json={"input": ""}, headers=key).raise_for_status()


def run_timer(addresses: Addresses, function: str) -> None:
    """Start the function of a timer now, and wait until it has ended. Raises Stuck."""
    before, began = _invocations(addresses, function), time.monotonic()
    fire_timer(addresses, function)
    while _invocations(addresses, function) == before:
        if time.monotonic() - began > STUCK_AFTER:
            raise Stuck(f"{function} has run for {STUCK_AFTER:.0f} seconds")
        time.sleep(_POLL)


def _invocations(addresses: Addresses, function: str) -> int:
    """How many invocations of the function have ended."""
    key = {"x-functions-key": MASTER_KEY}
    status = loopback.get(f"{addresses.host}/admin/host/status", headers=key).raise_for_status().json()
    counts = status["invocations"].get(function, {"succeeded": 0, "failed": 0})
    return int(counts["succeeded"]) + int(counts["failed"])


def count(addresses: Addresses) -> Counts:
    return Counts(count_messages(addresses), loopback.get(f"{addresses.tenant}/_sim/stats").raise_for_status().json())


def count_messages(addresses: Addresses, settled_within: float = 0) -> Queues:
    """Read the counts now, or as soon as every message is settled, within so many seconds."""
    wait = {"settled_within": settled_within}
    status = loopback.get(f"{addresses.bus_status}/status", params=wait).raise_for_status().json()
    queues: Queues = status["queues"]
    return queues


def drain(addresses: Addresses, before: Counts, progress: Progress = lambda settled, sent: None) -> Counts:
    """Wait until a request was sent since `before` and every message is settled. Raises Stuck."""
    last, changed_at = before, time.monotonic()
    while True:
        try:
            now = replace(last, queues=count_messages(addresses, _LOOK_AFTER))
        except httpx.TransportError as error:
            sent, settled = (increase(before, last, counter, *Priority) for counter in ("sent", "completed"))
            raise Stuck(
                f"the queues cannot be read now ({type(error).__name__}); when they were last read, {settled} of "
                f"{sent} changes were settled, and the next sync does the rest — run it again"
            ) from None
        progress(increase(before, now, "completed", *Priority), increase(before, now, "sent", *Priority))
        if now.drained_since(before):
            return count(addresses)
        if now == last and time.monotonic() - changed_at > STUCK_AFTER:
            # Long work on one message shows only in what Graph counts.
            now = count(addresses)
            if now == last:
                raise Stuck(f"nothing has moved for {STUCK_AFTER:.0f} seconds; still queued: {now.unsettled}")
        if now != last:
            last, changed_at = now, time.monotonic()
        time.sleep(_POLL)


def _events(host_log: Path, start: int) -> list[dict[str, Any]]:
    with host_log.open("rb") as log:
        log.seek(start)
        lines = [json.loads(line) for line in log if line.endswith(b"\n")]
    return [line["event"] for line in lines if "event" in line]


def _report(
    nights: Sequence[_SchoolNight],
    events: Sequence[Mapping[str, Any]],
    before: Counts,
    after: Counts,
    seconds: float,
) -> NightReport:
    spent = {name: after.graph[name] - before.graph[name] for name in GraphReport.__dataclass_fields__}
    names = [event["name"] for event in events]
    return NightReport(
        schools=tuple(_school(night.school, night.run, events) for night in nights),
        graph=GraphReport(**spent),
        messages=MessageReport(
            sent=increase(before, after, "sent", *Priority),
            applied=names.count("change.applied"),
            already_so=names.count("change.already_so"),
            dead_lettered=increase(before, after, "dead_lettered", SYNC_REQUESTS, *Priority),
        ),
        seconds=round(seconds, 1),
        notes=_notes(nights, events),
        waits="change.refused" in names or any(night.run.waiting for night in nights if night.run),
        not_planned=any(night.run is None or night.run.outcome in _NOT_PLANNED for night in nights),
    )


def _school(school: str, run: RunRecord | None, events: Sequence[Mapping[str, Any]]) -> SchoolReport:
    settled = ("change.applied", "change.refused")
    changes = [event for event in events if event.get("school") == school and event["name"] in settled]
    created = {event["class"] for event in changes if event["created"]}
    changed = {event["class"] for event in changes if event["name"] == "change.applied"} - created
    refused = {event["class"] for event in changes if event["name"] == "change.refused"}
    held = set(run.held) if run else set()
    groups = run.groups if run else 0
    touched = created | changed | refused | held
    return SchoolReport(
        id=school,
        groups=groups,
        classes=ClassCounts(
            created=len(created),
            changed=len(changed),
            unchanged=max(groups - len(touched), 0),
            held=len(held),
            refused=len(refused),
        ),
        owners_granted=sum(event["owners_granted"] for event in changes),
        members_added=sum(event["members_added"] for event in changes),
        members_removed=sum(event["members_removed"] for event in changes),
        people_without_account=len(run.people_without_account) if run else 0,
    )


def _notes(nights: Sequence[_SchoolNight], events: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    notes = []
    for night in nights:
        school, run = night.school, night.run
        if run is None:
            notes.append(f"school {school} was not planned: see the host's log")
            continue
        if run.waiting:
            notes.append(f"school {school} is not in step ({'; '.join(run.waiting)})")
        left_out = left_out_lines(night.left_out) if night.left_out else []
        notes += [f"school {school}: {note}" for note in (*run.notes, *left_out)]
        notes += [f"school {school}: class {key} is gone from Microsoft 365" for key in run.gone]
        notes += [f"school {school}: class {key} is kept beyond the requested date" for key in run.expired]
        for people, who in (
            (run.people_without_account, "people who find no account"),
            (run.people_disabled, "people whose account is disabled"),
        ):
            if people:
                notes.append(f"school {school}: {who} ({len(people)}), by MIS id: {name_some(people)}")
    for event in events:
        if event["name"] == "change.refused":
            notes.append(f"school {event['school']}: class {event['class']}: {event['code']} — {event['remedy']}")
        elif event["name"] == "message.failed":
            notes.append(f"message {event['message_id']}, delivery {event['deliveries']}: {event['message']}")
    return tuple(dict.fromkeys(notes))
