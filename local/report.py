"""The cost of a night, compared with a plain script that makes one call per person for the same work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from local.nightly import NightReport

PLAIN_SCRIPT = (
    "A plain script, every night: one look-up per person (1 unit), one listing of members (2 units) and one of owners "
    "(1 unit) per class and page of 100; one write per class created, and per owner or member added or removed."
)
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Cost:
    requests: int
    writes: int
    units: int


@dataclass(frozen=True, slots=True)
class Night:
    """A night of the demonstration; `classes` are those that the simulated tenant lists after it."""

    name: str
    report: NightReport
    classes: Sequence[Mapping[str, Any]]
    people: int

    @property
    def live(self) -> list[Mapping[str, Any]]:
        return [class_ for class_ in self.classes if not class_["deleted"]]

    def plain_script(self) -> Cost:
        (school,) = self.report.schools
        people_writes = school.owners_granted + school.members_added + school.members_removed
        writes = school.classes.created + people_writes
        member_pages = sum(max(1, -(-len(class_["members"]) // _PAGE)) for class_ in self.live)
        owner_pages = sum(max(1, -(-len(class_["owners"]) // _PAGE)) for class_ in self.live)
        reads = self.people + member_pages + owner_pages
        return Cost(reads + writes, writes, self.people + 2 * member_pages + owner_pages + writes)


def nights_table(nights: Sequence[Night]) -> Table:
    """A column for each night with its classes, changes and cost, followed by one with the cost of a plain script."""
    table = Table(title="Three nights, and a plain script for the same work")
    table.add_column("")
    for night in nights:
        table.add_column(night.name, justify="right")
        table.add_column("plain", justify="right", style="dim")
    columns = [_cells(night) for night in nights]
    for name in columns[0]:
        table.add_row(name, *(cell for column in columns for cell in column[name]))
    return table


def _cells(night: Night) -> dict[str, tuple[str, str]]:
    """Two cells by name of the row: ours, and the plain script's."""
    graph, plain = night.report.graph, night.plain_script()
    return {
        "classes": (str(len(night.live)), ""),
        "owners": (str(sum(len(class_["owners"]) for class_ in night.live)), ""),
        "members": (str(sum(len(class_["members"]) for class_ in night.live)), ""),
        "changes sent": (str(night.report.messages.sent), ""),
        "Graph requests": (str(graph.requests), str(plain.requests)),
        "Graph writes": (str(graph.writes), str(plain.writes)),
        "resource units": (str(graph.resource_units), str(plain.units)),
        "seconds": (str(night.report.seconds), ""),
    }


def permissions_table(tenant: Mapping[str, Any]) -> Table:
    """The Graph permissions of a tenant, as `GET /api/admin/tenants` returns them."""
    table = Table(title=f"Graph permissions in tenant {tenant['tenant']}")
    for column in ("permission", "for what", "in the app's token"):
        table.add_column(column, overflow="fold")
    for permission in tenant["permissions"]:
        note = {"sync": "", "restore": " (optional)", "teams": " (for teams)", "open-teams": " (for teams)"}
        name = f"{permission['name']}{note[permission['need']]}"
        missing = f"missing: {permission['command']}"
        state = {True: "granted", False: missing, None: "not known"}[permission["granted"]]
        table.add_row(name, permission["purpose"], state)
    return table


def summary(report: NightReport) -> str:
    """The result of a sync, as text for the terminal."""
    lines = []
    for school in report.schools:
        classes = school.classes
        lines.append(
            f"school {school.id}: {school.groups} groups; classes {classes.created} created, "
            f"{classes.changed} changed, {classes.unchanged} unchanged, {classes.held} held, "
            f"{classes.refused} refused; {school.owners_granted} owners granted, {school.members_added} members added, "
            f"{school.members_removed} removed; people who find no account: {school.people_without_account}"
        )
    graph, messages = report.graph, report.messages
    lines.append(
        f"Graph: {graph.requests} requests, {graph.writes} writes, {graph.resource_units} resource units, "
        f"{graph.throttled} throttled; messages: {messages.sent} sent, {messages.applied} applied, "
        f"{messages.already_so} already so, {messages.dead_lettered} dead-lettered; {report.seconds} s"
    )
    return "\n".join([*lines, *(f"  {note}" for note in report.notes)])
