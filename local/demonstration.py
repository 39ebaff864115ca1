"""A demonstration under way: its world, its nights, and what an admin does in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local import loopback
from local.accounts import ListedAccount
from local.expectation import ByHand, differences, expected_classes
from local.nightly import NightReport, count, drain, prepare_night, run_night
from local.report import Night
from local.school.data import SchoolData
from local.school.oneroster_csv import accounts, write
from local.tenant.names import DOMAIN
from local.world import USERS, Addresses, World

_ADMIN = f"network.manager@{DOMAIN}"
_SETTINGS = {"admin_owners": [_ADMIN], "account_domain": DOMAIN, "access": [USERS["teacher"]["id"]]}


@dataclass(slots=True)
class Demonstration:
    """`failures` are what was not as expected, in sentences."""

    world: World
    addresses: Addresses
    console: Console
    nights: list[Night] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def night(self, name: str, school: SchoolData, by_hand: ByHand) -> NightReport:
        """A night that is compared with the expectation, and with what a plain script costs."""
        people = people_of(school)
        report = self.sync(name, school, people)
        classes = self.classes()
        self.nights.append(Night(name, report, classes, len(people)))
        mismatches = differences(expected_classes(self._feed, [_ADMIN], DOMAIN), classes, by_hand)
        # The notes first: they say why, and only the first failures are shown.
        self.failures += [f"{name}: {note}" for note in report.notes] if not report.good else []
        self.failures += [f"{name}: {mismatch}" for mismatch in mismatches]
        self.console.print(
            f"{name}: {report.messages.sent} changes sent, {report.messages.applied} applied; "
            f"{len(classes)} classes, {len(mismatches)} differences from the expectation ({report.seconds} s)"
        )
        return report

    def sync(self, name: str, school: SchoolData, people: Sequence[ListedAccount]) -> NightReport:
        """A night with the feed of `school`, in a tenant that has these accounts."""
        write(school, self._feed)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        ) as bars:
            bar = bars.add_task(name, total=None)
            return run_night(
                self.addresses,
                self.world.folder / "host.jsonl",
                prepare_night(self._feed, {**_SETTINGS, "name": school.name}, people),
                lambda settled, sent: bars.update(bar, completed=settled, total=sent or None),
            )

    @property
    def _feed(self) -> Path:
        return self.world.folder / "feed"

    def classes(self) -> list[dict[str, Any]]:
        """As the simulated tenant lists them."""
        listed: list[dict[str, Any]] = loopback.get(f"{self.addresses.tenant}/_sim/classes").raise_for_status().json()
        return listed

    def by_hand(self, action: str, nickname: str, **operand: str) -> None:
        edit = {"action": action, "class": nickname, **operand}
        loopback.post(f"{self.addresses.tenant}/_sim/edit", json=edit).raise_for_status()

    def stats(self) -> Mapping[str, Any]:
        counters: dict[str, Any] = loopback.get(f"{self.addresses.tenant}/_sim/stats").raise_for_status().json()
        return counters

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """What the admin API answers to an admin of all schools."""
        headers = {"Authorization": "Bearer admin"}
        address = f"{self.addresses.host}/api/admin/{path}"
        return loopback.request(method, address, headers=headers, json=body, timeout=60).raise_for_status().json()

    def act(self, path: str, body: Mapping[str, object] | None = None) -> str:
        """Request something over the API, and wait until it is done. Returns the id of its run."""
        before = count(self.addresses)
        run: str = self.ask("POST", path, body)["run"]
        drain(self.addresses, before)
        return run

    def expect(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.failures.append(otherwise)


def people_of(school: SchoolData) -> list[ListedAccount]:
    return [ListedAccount(*one) for one in (*accounts(school, DOMAIN), (_ADMIN, "Network Manager"))]
