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
    """One line a night: what there is, what changed, what it cost, and what it would have cost."""
    table = Table(title="Three nights", caption=PLAIN_SCRIPT, caption_justify="left")
    columns = ("night", "classes", "owners", "members", "changes", "requests", "writes", "units", "seconds")
    for column in (*columns, "plain: requests", "writes", "units"):
        table.add_column(column, justify="left" if column == "night" else "right")
    for night in nights:
        live = [listed for listed in night.classes if not listed["deleted"]]
        graph, plain = night.report.graph, night.plain_script()
        numbers = (
            len(live),
            sum(len(listed["owners"]) for listed in live),
            sum(len(listed["members"]) for listed in live),
            night.report.messages.sent,
            graph.requests,
            graph.writes,
            graph.resource_units,
            night.report.seconds,
            plain.requests,
            plain.writes,
            plain.units,
        )
        table.add_row(night.name, *(str(number) for number in numbers))
    return table


def summary(report: NightReport) -> str:
    """What came of a sync, for a person at a terminal."""
    lines = []
    for school in report.schools:
        classes = school.classes
        lines.append(
            f"school {school.id}: {school.groups} groups; classes {classes.created} created, {classes.changed} changed, "
            f"{classes.unchanged} unchanged, {classes.held} held, {classes.refused} refused; "
            f"{school.owners_granted} owners granted, {school.members_added} members added, "
            f"{school.members_removed} removed; {school.people_without_account} people without account"
        )
    graph, messages = report.graph, report.messages
    lines.append(
        f"Graph: {graph.requests} requests, {graph.writes} writes, {graph.resource_units} resource units, "
        f"{graph.throttled} throttled; messages: {messages.sent} sent, {messages.applied} applied, "
        f"{messages.already_so} already so, {messages.dead_lettered} dead-lettered; {report.seconds} s"
    )
    return "\n".join([*lines, *(f"  {note}" for note in report.notes)])
