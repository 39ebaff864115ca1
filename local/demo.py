"""The main job, shown: a secondary school over three nights, each held against an independent expectation."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local.expectation import ByHand, differences, expected_classes
from local.nightly import NightReport, run_night
from local.report import PLAIN_SCRIPT, Night, nights_table
from local.school.data import SchoolData
from local.school.day import a_day_later
from local.school.generate import generate
from local.school.oneroster_csv import accounts, write
from local.world import Addresses, World

_DOMAIN = "school.onmicrosoft.com"
_ADMIN = f"network.manager@{_DOMAIN}"
_SETTINGS = {"admin_owners": [_ADMIN]}


@dataclass(slots=True)
class _Demonstration:
    world: World
    addresses: Addresses
    console: Console
    nights: list[Night] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def night(self, name: str, school: SchoolData, by_hand: ByHand) -> NightReport:
        feed = self.world.folder / "feed"
        write(school, feed)
        people = [*accounts(school, _DOMAIN), (_ADMIN, "Network Manager")]
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        ) as bars:
            bar = bars.add_task(name, total=None)
            report = run_night(
                self.addresses,
                self.world.folder / "host.jsonl",
                feed,
                _SETTINGS,
                people,
                lambda settled, sent: bars.update(bar, completed=settled, total=sent or None),
            )
        classes = httpx.get(f"{self.addresses.tenant}/_sim/classes").raise_for_status().json()
        self.nights.append(Night(name, report, classes, len(people)))
        wrong = differences(expected_classes(feed, [_ADMIN], _DOMAIN), classes, by_hand)
        self.faults += [f"{name}: {fault}" for fault in wrong]
        self.faults += [f"{name}: {note}" for note in report.notes] if not report.good else []
        self.console.print(
            f"{name}: {report.messages.sent} changes sent, {report.messages.applied} applied; "
            f"{len(classes)} classes, {len(wrong)} differences from the expectation ({report.seconds} s)"
        )
        return report

    def by_hand(self, action: str, nickname: str, **what: str) -> None:
        edit = {"action": action, "class": nickname, **what}
        httpx.post(f"{self.addresses.tenant}/_sim/edit", json=edit).raise_for_status()

    def stats(self) -> Mapping[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.addresses.tenant}/_sim/stats").raise_for_status().json()
        return found


def run_demo(folder: Path | None, console: Console) -> int:
    """The exit status: 0 if the tenant was as expected after every night, and night three did nothing."""
    home = folder or Path(tempfile.mkdtemp(prefix="class-sync-demo-"))
    world = World(home)
    try:
        console.print("Starting Azurite, the Service Bus stand-in, the simulated tenant and the Functions host…")
        demonstration = _Demonstration(world, world.start(), console)
        _three_nights(demonstration)
    finally:
        world.stop()
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)
    console.print(nights_table(demonstration.nights))
    console.print(PLAIN_SCRIPT)
    for fault in demonstration.faults[:40]:
        console.print(f"[red]{fault}[/red]", highlight=False)
    if demonstration.faults:
        console.print(f"{len(demonstration.faults)} differences: this must not be.")
        return 1
    console.print("The tenant equals the expectation after every night; night three sent nothing and wrote nothing.")
    return 0


def _three_nights(demonstration: _Demonstration) -> None:
    school = generate()
    console = demonstration.console
    console.print(f"{school.name}: {len(school.pupils)} pupils, {len(school.staff)} staff, {len(school.groups)} groups")
    demonstration.night("night one", school, ByHand())

    later, story = a_day_later(school)
    strayed, owned, renamed = (_nickname(title) for title in ("7A", "8A", "9A"))
    stray, helper = accounts(school, _DOMAIN)[-1][0], accounts(school, _DOMAIN)[3][0]
    demonstration.by_hand("add-member", strayed, upn=stray)
    demonstration.by_hand("add-owner", owned, upn=helper)
    demonstration.by_hand("rename", renamed, name="Our lovely form")
    console.print(
        f"A day: {story.moved} pupils change sets, {story.joined} join, {story.left} leave, "
        f"{story.teachers_changed} groups get another teacher, {story.new_groups} group is new.\n"
        f"By hand in Microsoft 365: a member added to {strayed}, an owner to {owned}, {renamed} renamed."
    )
    lasting = ByHand({owned: frozenset({helper.lower()})}, {renamed: "Our lovely form"})
    # Owners whom we granted stay owners when they leave the group; who they were stands in the tenant before the night.
    lasting = _with_departed(demonstration, lasting)
    demonstration.night("night two", later, lasting)

    writes = demonstration.stats()["writes"]
    third = demonstration.night("night three", later, lasting)
    stats = demonstration.stats()
    if third.messages.sent or stats["writes"] != writes:
        demonstration.faults.append(
            f"night three sent {third.messages.sent} changes and wrote {stats['writes'] - writes} times"
        )
    if stats["forbidden_deletes"]:
        demonstration.faults.append(f"{stats['forbidden_deletes']} deletes without $ref were tried")


def _with_departed(demonstration: _Demonstration, by_hand: ByHand) -> ByHand:
    """Everybody who owns a class before the night, besides those added by hand: granted owners are kept."""
    owners = dict(by_hand.owners)
    for listed in demonstration.nights[-1].classes:
        nickname = listed["mailNickname"]
        granted = frozenset(upn.lower() for upn in listed["owners"])
        owners[nickname] = owners.get(nickname, frozenset()) | granted
    return ByHand(owners, by_hand.names)


def _nickname(title: str) -> str:
    return f"{title}.class.9164023.2026"
