"""What a night cost, beside what a plain script with one call per person would have spent on the same work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from local.nightly import NightReport

PLAIN_SCRIPT = (
    "A plain script, every night: one look-up per person (1 unit), one listing of members (2 units) and one of owners "
    "(1 unit) per class and page of 100; one write per class made, and per owner or member added or removed."
)
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Cost:
    requests: int
    writes: int
    units: int


@dataclass(frozen=True, slots=True)
class Night:
    """A night of the demonstration; `classes` as the simulated tenant lists them after it."""

    name: str
    report: NightReport
    classes: Sequence[Mapping[str, Any]]
    people: int

    def plain_script(self) -> Cost:
        (school,) = self.report.schools
        added = school.owners_granted + school.members_added + school.members_removed
        writes = school.classes.created + added
        live = [listed for listed in self.classes if not listed["deleted"]]
        member_pages = sum(max(1, -(-len(listed["members"]) // _PAGE)) for listed in live)
        owner_pages = sum(max(1, -(-len(listed["owners"]) // _PAGE)) for listed in live)
        reads = self.people + member_pages + owner_pages
        return Cost(reads + writes, writes, self.people + 2 * member_pages + owner_pages + writes)


def nights_table(nights: Sequence[Night]) -> Table:
    """A column a night with what there is, what changed and what it cost, each beside what a plain script spends."""
    table = Table(title="Three nights, and a plain script on the same work")
    table.add_column("")
    for night in nights:
        table.add_column(night.name, justify="right")
        table.add_column("plain", justify="right", style="dim")
    columns = [_figures(night) for night in nights]
    for name in columns[0]:
        table.add_row(name, *(cell for column in columns for cell in column[name]))
    return table


def _figures(night: Night) -> dict[str, tuple[str, str]]:
    live = [listed for listed in night.classes if not listed["deleted"]]
    graph, plain = night.report.graph, night.plain_script()
    return {
        "classes": (str(len(live)), ""),
        "owners": (str(sum(len(listed["owners"]) for listed in live)), ""),
        "members": (str(sum(len(listed["members"]) for listed in live)), ""),
        "changes sent": (str(night.report.messages.sent), ""),
        "Graph requests": (str(graph.requests), str(plain.requests)),
        "Graph writes": (str(graph.writes), str(plain.writes)),
        "resource units": (str(graph.resource_units), str(plain.units)),
        "seconds": (str(night.report.seconds), ""),
    }


def summary(report: NightReport) -> str:
    """What came of a sync, for a person at a terminal."""
    lines = []
    for school in report.schools:
        classes = school.classes
        lines.append(
            f"school {school.id}: {school.groups} groups; classes {classes.created} created, "
            f"{classes.changed} changed, {classes.unchanged} unchanged, {classes.held} held, "
            f"{classes.refused} refused; {school.owners_granted} owners granted, {school.members_added} members added, "
            f"{school.members_removed} removed; {school.people_without_account} people without account"
        )
    graph, messages = report.graph, report.messages
    lines.append(
        f"Graph: {graph.requests} requests, {graph.writes} writes, {graph.resource_units} resource units, "
        f"{graph.throttled} throttled; messages: {messages.sent} sent, {messages.applied} applied, "
        f"{messages.already_so} already so, {messages.dead_lettered} dead-lettered; {report.seconds} s"
    )
    return "\n".join([*lines, *(f"  {note}" for note in report.notes)])
