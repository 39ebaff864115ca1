"""The commands of the local world; each returns its exit status."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from azure.core.exceptions import ClientAuthenticationError
from pydantic import TypeAdapter
from rich.console import Group
from rich.table import Table
from rich.text import Text

from local import loopback
from local.accounts import BadAccounts, ListedAccount, read_accounts
from local.doctor import describe as describe_health
from local.doctor import not_started
from local.exit_status import Status
from local.feed_check import FeedCheck, check_feed, describe
from local.mis import webhooks
from local.nightly import Stuck, count, drain, prepare_night, run_night
from local.preview import preview_first_night
from local.printed import Printed
from local.processes import Spawn, Stopped
from local.report import permissions_table, summary
from local.tenant.options import TenantOptions
from local.world import USERS, Addresses, World, has_run, tenant_at, world_at
from local.world_preview import preview_world
from sync_core.domain.runs import RunOutcome
from sync_core.errors import SnapshotRejected, SyncError, UnknownSetting

PORT = 8020
"""Of `up`, so that an address of the console can be kept."""


class BadFile(Exception):
    """A file named on the command line that cannot be used; the message says where the fault is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A feed on this machine: the folder or the zip file, with the files of its settings and of the accounts."""

    path: Path
    settings: Path | None = None
    accounts: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTenant:
    """A tenant of Microsoft 365 by its Entra id, and Graph's address."""

    id: str
    graph: str


def up(folder: Path, tenant: TenantOptions, printed: Printed, spawn: Spawn) -> int:
    """Start the world and run until Stopped. A Functions host that dies is restarted, as in Azure."""
    world = World(folder, spawn=spawn, tenant=tenant, port=PORT)
    try:
        addresses = world.start()
        printed.show(json.dumps(asdict(addresses), indent=2), _welcome(addresses, world.folder))
        sys.stdout.flush()
        while not (dead := world.find_dead()):
            if world.host and not world.host.alive():
                restarted = f"the Functions host died and was restarted at {world.start_host()}"
                printed.console.print(restarted, soft_wrap=True)
            time.sleep(1.0)
        sys.stderr.write(
            f"{' and '.join(dead)} died, so the world stops; its logs are in {world.folder} — start it again\n"
        )
        return Status.UNREACHABLE
    except Stopped as stopped:
        sys.stderr.write(f"stopped by {stopped}\n")
        return Status.GOOD
    finally:
        world.stop()


def _welcome(addresses: Addresses, folder: Path) -> str:
    taken = "" if addresses.host.endswith(f":{PORT}") else f" (port {PORT} is taken)"
    return (
        f"console: {addresses.host}{taken}\n"
        f"Sign in there as {', '.join(USERS)}. All addresses are in {folder / 'world.json'}. Stop it with Ctrl+C."
    )


def sync(feed: Feed, folder: Path, tenant: TenantOptions, printed: Printed, spawn: Spawn) -> int:
    try:
        night = prepare_night(feed.path, *_read_files(feed))
        with world_at(folder, spawn, tenant) as addresses:
            report = run_night(addresses, folder.resolve() / "host.jsonl", night)
    except (SnapshotRejected, UnknownSetting, BadFile, BadAccounts) as refusal:
        return _refuse(refusal)
    except Stuck as stuck:
        sys.stderr.write(f"{stuck}; see {folder.resolve() / 'host.log'}\n")
        return Status.UNREACHABLE
    printed.show(json.dumps(report.as_json(), indent=2), summary(report))
    if not report.good:
        return Status.NOT_DONE
    return Status.WAITS if report.waits else Status.GOOD


def announce(
    folder: Path, school: str, groups: Sequence[str], people: Sequence[str], printed: Printed, spawn: Spawn
) -> int:
    """Send a webhook event as the MIS side would, and wait until the changes that it causes are applied."""
    try:
        with world_at(folder, spawn) as addresses:
            before, began = count(addresses), time.monotonic()
            webhooks.send_webhook(addresses.host, school, f"msg_{uuid4().hex}", groups, people)
            after = drain(addresses, before)
    except httpx.HTTPStatusError as refusal:
        problem = refusal.response.json()
        sys.stderr.write(f"refused: {problem['what']} — {problem['remedy']}\n")
        return Status.REFUSED
    except Stuck as stuck:
        sys.stderr.write(f"{stuck}; see {folder.resolve() / 'host.log'}\n")
        return Status.UNREACHABLE
    writes = after.graph["writes"] - before.graph["writes"]
    seconds = round(time.monotonic() - began, 1)
    document = json.dumps({"seconds": seconds, "writes": writes}, indent=2)
    printed.show(document, f"done in {seconds} s, with {writes} writes to Graph")
    return Status.GOOD


def plan(feed: Feed, folder: Path, real: RealTenant | None, printed: Printed, spawn: Spawn) -> int:
    """Plan against a real tenant, a world that has run, or none. Writes nothing except the file of `printed`."""
    try:
        values, accounts = _read_files(feed)
        if real:
            # Signing in takes libraries that start a process when they are imported, and only this plan signs in.
            from local.tenant_preview import preview_real_tenant

            previews = asyncio.run(preview_real_tenant(real.id, real.graph, feed.path, values))
        elif not has_run(folder):
            previews = preview_first_night(feed.path, values, accounts)
        else:
            with world_at(folder, spawn) as addresses:
                previews = asyncio.run(preview_world(addresses, feed.path, values, accounts))
    except (SyncError, BadFile, BadAccounts) as refusal:
        return _refuse(refusal)
    except ClientAuthenticationError:
        # Its message may name an account.
        sign_in = f"az login --tenant {real.id if real else ''} --allow-no-subscriptions"
        sys.stderr.write(f"refused: the Azure CLI gave no token for this tenant — run '{sign_in}', then this again\n")
        return Status.REFUSED
    listed = [preview.as_data() for preview in previews]
    document = TypeAdapter(list[dict[str, Any]]).dump_json(listed, indent=2, ensure_ascii=True).decode()
    printed.show(document, "\n".join(line for preview in previews for line in preview.lines))
    if any(preview.run.outcome is not RunOutcome.PLANNED for preview in previews):
        return Status.NOT_DONE
    return Status.WAITS if any(preview.run.waiting for preview in previews) else Status.GOOD


def show_tenant(folder: Path, printed: Printed, spawn: Spawn) -> int:
    with tenant_at(folder, spawn) as address:
        classes = loopback.get(f"{address}/_sim/classes", timeout=60).raise_for_status().json()
    table = Table(title=f"{len(classes)} classes")
    for column in ("class", "mail nickname", "owners", "members", ""):
        table.add_column(column)
    for class_ in classes:
        counts = (str(len(class_["owners"])), str(len(class_["members"])))
        table.add_row(class_["displayName"], class_["mailNickname"], *counts, "deleted" if class_["deleted"] else "")
    printed.show(json.dumps(classes, indent=2), table)
    return Status.GOOD


def _refuse(refusal: Exception) -> int:
    """Tell the admin at this machine, whose feed it is, with what the feed has."""
    sys.stderr.write(f"refused: {refusal.for_admin() if isinstance(refusal, SnapshotRejected) else refusal}\n")
    return Status.REFUSED


def check_export(feed: Feed, only: str, against: Path | None, printed: Printed) -> int:
    """Read a feed and show what it has; nothing else is read, started or written. `only` is a school's id, or empty."""
    try:
        values = _read_settings(feed.settings) if feed.settings else {}
        checked = check_feed(feed.path, values, only, against)
    except (SnapshotRejected, UnknownSetting, BadFile) as refusal:
        return _refuse(refusal)
    document = TypeAdapter(FeedCheck).dump_json(checked, indent=2, ensure_ascii=True).decode()
    printed.show(document, describe(checked))
    if checked.rejected:
        return Status.REFUSED
    return Status.WAITS if checked.left_out else Status.GOOD


def check_permissions(folder: Path, printed: Printed, spawn: Spawn) -> int:
    """Show what the admin API answers about the Graph permissions of the world's tenants."""
    tenants = _ask(folder, "tenants", spawn).raise_for_status().json()
    parts: list[Any] = []
    for tenant in tenants:
        parts.append(permissions_table(tenant))
        if tenant["what"]:
            parts.append(Text(f"{tenant['what']} — {tenant['remedy']}"))
    printed.show(json.dumps(tenants, indent=2), Group(*parts))
    return Status.NOT_DONE if any(tenant["blocked"] for tenant in tenants) else Status.GOOD


def doctor(folder: Path, printed: Printed, spawn: Spawn) -> int:
    """Show what the admin API answers about the health of the world's app."""
    answer = _ask(folder, "health", spawn)
    health = answer.json()
    text = describe_health(health) if answer.is_success else not_started(health)
    printed.show(json.dumps(health, indent=2), text)
    return Status.GOOD if answer.is_success and health["healthy"] else Status.NOT_DONE


def _ask(folder: Path, path: str, spawn: Spawn) -> httpx.Response:
    """What the admin API of the world answers to an admin of all schools. A health check takes a minute at most."""
    with world_at(folder, spawn) as addresses:
        signed_in = {"Authorization": "Bearer admin"}
        return loopback.get(f"{addresses.host}/api/admin/{path}", headers=signed_in, timeout=90)


def edit(folder: Path, change: Mapping[str, str], printed: Printed, spawn: Spawn) -> int:
    """Change a class by hand. `change` is the body that the simulated tenant takes: action, class and operand."""
    with tenant_at(folder, spawn) as address:
        response = loopback.post(f"{address}/_sim/edit", json=change, timeout=60)
    if response.is_error:
        sys.stderr.write(f"refused: {response.json()['error']} — 'tenant' lists the classes\n")
        return Status.REFUSED
    printed.show(json.dumps(change, indent=2))
    return Status.GOOD


def _read_files(feed: Feed) -> tuple[Mapping[str, object], list[ListedAccount] | None]:
    """The school settings and the accounts of the feed's files."""
    values = _read_settings(feed.settings) if feed.settings else {}
    return values, read_accounts(feed.accounts) if feed.accounts else None


def _read_settings(path: Path) -> Mapping[str, object]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise BadFile(f"{path} is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadFile(f"{path}: a JSON object with the school's settings is wanted")
    return values
