"""A local world for each module of stories, with a school of sixty pupils."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local import loopback
from local.accounts import ListedAccount
from local.expectation import ByHand, differences, expected_classes
from local.nightly import NightReport, prepare_night, run_night
from local.school.data import SchoolData
from local.school.generate import generate
from local.school.oneroster_csv import accounts, write
from local.tenant.names import DOMAIN
from local.world import Addresses, World
from tests.forked import Forked

ADMIN = f"network.manager@{DOMAIN}"


@dataclass(slots=True)
class Story:
    """A world with one school, which a test may change between nights."""

    world: World
    school: SchoolData
    settings: dict[str, object] = field(default_factory=lambda: {"admin_owners": [ADMIN], "account_domain": DOMAIN})

    @property
    def addresses(self) -> Addresses:
        assert self.world.addresses
        return self.world.addresses

    @property
    def feed(self) -> Path:
        return self.world.folder / "feed"

    def run_night(self) -> NightReport:
        write(self.school, self.feed)
        return self.sync(self.feed)

    def sync(self, feed: Path, people: list[tuple[str, str]] | None = None) -> NightReport:
        listed = [*accounts(self.school, DOMAIN), (ADMIN, "")] if people is None else people
        known = [ListedAccount(*one) for one in listed]
        night = prepare_night(feed, self.settings, known)
        return run_night(self.addresses, self.world.folder / "host.jsonl", night)

    def classes_by_nickname(self) -> dict[str, Mapping[str, Any]]:
        listed = loopback.get(f"{self.addresses.tenant}/_sim/classes").json()
        return {class_["mailNickname"]: class_ for class_ in listed}

    def find_differences(self, by_hand: ByHand | None = None) -> list[str]:
        expected = expected_classes(self.feed, [ADMIN], DOMAIN)
        return differences(expected, list(self.classes_by_nickname().values()), by_hand or ByHand())

    def edit_by_hand(self, action: str, nickname: str, **details: str) -> None:
        edit = {"action": action, "class": nickname, **details}
        loopback.post(f"{self.addresses.tenant}/_sim/edit", json=edit).raise_for_status()

    def read_stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = loopback.get(f"{self.addresses.tenant}/_sim/stats").json()
        return stats

    def read_events(self) -> list[dict[str, Any]]:
        lines = (self.world.folder / "host.jsonl").read_text(encoding="utf-8").splitlines()
        return [line["event"] for line in map(json.loads, lines) if "event" in line]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Story]:
    world = World(tmp_path_factory.mktemp("world"), spawn=Forked, storage=storage)
    world.start()
    yield Story(world, generate(pupils=60))
    world.stop()
