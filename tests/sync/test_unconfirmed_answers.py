"""Nights and changes by hand in tenants that answer in each way that no source confirms (docs/simulated-tenant.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from bench.school import BenchSchool, make_school
from bench.simulated import SimulatedTenant
from local.tenant.answers import CHOICES
from local.tenant.options import TenantOptions
from sync_core.domain.classes import Outcome, Refused
from sync_core.domain.ids import AccountId
from sync_core.planning.drift import SAMPLES
from tests.costs.test_graph_counts import Scene
from tests.costs.test_unit_costs import with_other_pupils

DAY = timedelta(days=1)
ELSEWHERE = {
    "education-tenant": "there are no classes in the other kind of tenant",
    "hidden-members": "only to an app without Member.Read.Hidden",
    "naming-policy": "a name may be refused",
    "unlicensed-teacher": "only for accounts without a licence",
}
"""The answers that tests/graph/test_client.py has, and why the story below cannot be told of them."""
CASES = [("delta-events", "each"), ("patch-price", "one")] + [
    (choice.name, value)
    for choice in CHOICES
    if choice.name not in ("delta-events", *ELSEWHERE)
    for value in choice.values[1:]
]
"""With a page for each event, a delta takes a minute in a tenant that has had many schools: that case comes first."""


@dataclass(slots=True)
class Story:
    """One school of four classes in a tenant of its own accounts, and its ids of accounts by UPN."""

    simulated: SimulatedTenant
    scene: Scene
    school: BenchSchool
    ids: dict[str, AccountId]
    nicknames: list[str] = field(default_factory=list)

    async def run_night(self) -> list[Outcome]:
        await self.scene.run_night(self.school)
        outcomes = await self.scene.apply(self.scene.take_changes())
        self.scene.clock.advance(DAY)
        self.simulated.simulation("POST", "clock", {"advance_seconds": DAY.total_seconds()})
        return outcomes

    def edit(self, action: str, place: int, **more: str) -> None:
        self.simulated.simulation("POST", "edit", {"action": action, "class": self.nicknames[place], **more})

    def list_classes(self) -> list[dict[str, Any]]:
        """Its classes in the order of its groups, once their nicknames are known."""
        listed = {one["mailNickname"]: one for one in self.simulated.simulation("GET", "classes")}
        return [listed[nickname] for nickname in self.nicknames]

    def check_members(self, manual_owner: str = "") -> None:
        """Every class has the members of the rules; an owner by hand of the second may be a member of it."""
        for place, (wanted, class_) in enumerate(zip(self.school.classes(self.ids), self.list_classes(), strict=True)):
            by_hand = {manual_owner} if place == 1 else set()
            expected = {self.simulated.upns[person] for person in wanted.members}
            assert set(class_["members"]) - by_hand == expected - by_hand, class_["mailNickname"]
            assert set(class_["owners"]) - by_hand == {self.simulated.upns[person] for person in wanted.owners}


@pytest.fixture(scope="module")
def simulated() -> Iterator[SimulatedTenant]:
    """A tenant that granted no optional permission."""
    with SimulatedTenant() as tenant:
        tenant.simulation("POST", "permissions", {"granted": sorted(TenantOptions(("Group.ReadWrite.All",)).granted)})
        yield tenant


@pytest.fixture
def story(simulated: SimulatedTenant, request: pytest.FixtureRequest) -> Iterator[Story]:
    """With the answer of the case; the others are the defaults."""
    name, value = request.param
    school = make_school(CASES.index(request.param) + 1, 4, simulated.id)
    simulated.simulation("POST", "switches", {name: value})
    yield Story(simulated, Scene(simulated), school, simulated.add_users(school.upns))
    simulated.simulation("POST", "switches", {choice.name: choice.values[0] for choice in CHOICES})


@pytest.mark.parametrize("story", CASES, indirect=True, ids=[f"{name}={value}" for name, value in CASES])
async def test_nights_and_changes_by_hand(story: Story, request: pytest.FixtureRequest) -> None:
    outcomes = await story.run_night()
    assert not [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    story.nicknames = [one.name.mail_nickname for one in story.school.classes(story.ids)]
    story.check_members()

    pupils = [class_["members"] for class_ in story.list_classes()]
    hand = next(upn for upn in pupils[3] if upn not in pupils[1])
    story.edit("add-member", 0, upn=next(upn for upn in pupils[3] if upn not in pupils[0]))
    story.edit("add-owner", 1, upn=hand)
    story.edit("rename", 2, name="Our own name")
    story.edit("remove-member", 3, upn=next(upn for upn in pupils[3] if upn not in story.list_classes()[3]["owners"]))
    story.school = with_other_pupils(story.school, 1)
    untold = "delta-members=omitted" in request.node.name
    for _ in range(SAMPLES if untold else 1):
        assert not [outcome for outcome in await story.run_night() if isinstance(outcome, Refused)]
    story.check_members(hand)
    assert hand in story.list_classes()[1]["owners"]
    assert story.list_classes()[2]["displayName"] == "Our own name"

    story.edit("delete", 0)
    await story.run_night()
    story.edit("restore", 0)
    story.edit("add-member", 0, upn=next(upn for upn in pupils[3] if upn not in story.list_classes()[0]["members"]))
    for _ in range(SAMPLES if untold else 1):
        assert not [outcome for outcome in await story.run_night() if isinstance(outcome, Refused)]
    story.check_members(hand)
    before = story.simulated.spent()
    await story.run_night()
    assert (story.simulated.spent() - before).writes == 0


def test_every_answer_has_a_case() -> None:
    assert {name for name, _ in CASES} | ELSEWHERE.keys() == {choice.name for choice in CHOICES}
