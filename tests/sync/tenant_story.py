"""A school of four classes in a simulated tenant, from night to night, with its admins and changes by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bench.school import BenchSchool, make_school
from bench.simulated import SimulatedTenant
from local.tenant.options import TenantOptions
from sync_core.admin.requests import Requester
from sync_core.domain.classes.outcomes import Outcome, Refused
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId, RunId
from sync_core.domain.runs import RunRecord
from sync_core.services import Services
from tests.builders import entra_id
from tests.costs.test_graph_counts import Scene

DAY = timedelta(days=1)
RESTORE = "Group.ReadWrite.All"


def make_tenant_school(number: int, tenant: str) -> BenchSchool:
    """The school with that number. All schools have the same people, so that a tenant of many has few accounts."""
    school = make_school(number, 4, tenant)
    return replace(school, data=replace(make_school(1, 4, tenant).data, school=school.data.school))


def grant(simulated: SimulatedTenant, *without: str) -> None:
    """Grant the app its permissions, except these, for tokens issued from now on."""
    simulated.simulation("POST", "permissions", {"granted": sorted(TenantOptions(without).granted)})


@dataclass(slots=True)
class Story:
    """`ids` are the ids of the school's accounts by UPN, and `nicknames` those of its classes in Microsoft 365.

    `nights` counts the nights; each has the run that it is the number of.
    """

    scene: Scene
    school: BenchSchool
    ids: Mapping[str, AccountId]
    nicknames: Sequence[str] = ()
    nights: int = 0
    requests: int = 0

    def __post_init__(self) -> None:
        self.nicknames = [one.name.mail_nickname for one in self.school.classes(self.ids)]

    @property
    def simulated(self) -> SimulatedTenant:
        return self.scene.simulated

    @property
    def services(self) -> Services:
        return self.scene.services(self.school)

    async def run_night(self) -> list[Outcome]:
        """Refresh the tenant, sync the school and apply its changes; a day passes."""
        await self.plan_night()
        outcomes = await self.apply()
        self.pass_day()
        return outcomes

    async def plan_night(self) -> None:
        self.nights += 1
        self.scene.run = RunId(f"night{self.nights}")
        await self.scene.run_night(self.school)

    async def apply(self) -> list[Outcome]:
        return await self.scene.apply(self.scene.take_changes())

    def pass_day(self) -> None:
        self.scene.clock.advance(DAY)
        self.simulated.simulation("POST", "clock", {"advance_seconds": DAY.total_seconds()})
        self.scene.connect()

    async def run_nights(self, count: int) -> None:
        """Nights in which Graph refuses nothing."""
        for _ in range(count):
            assert not refusals(await self.run_night())

    def edit(self, action: str, place: int, **more: str) -> None:
        self.simulated.simulation("POST", "edit", {"action": action, "class": self.nicknames[place], **more})

    def choose(self, name: str, value: str) -> None:
        self.simulated.simulation("POST", "switches", {name: value})

    def license(self, upn: str, licensed: bool) -> None:
        self.simulated.simulation("PATCH", f"users/{upn}", {"licensed": licensed})

    def list_classes(self) -> list[dict[str, Any]]:
        """Its classes that exist, in the order of its groups."""
        listed = {one["mailNickname"]: one for one in self.simulated.simulation("GET", "classes")}
        return [listed[nickname] for nickname in self.nicknames if nickname in listed]

    def check_members(self, manual_owner: str = "", school: BenchSchool | None = None, refused_owner: str = "") -> None:
        """Every class has the people of the rules, but for an owner who is refused.

        An owner by hand of the second class may be a member of it."""
        wanted = (school or self.school).classes(self.ids)
        for place, (one, class_) in enumerate(zip(wanted, self.list_classes(), strict=True)):
            by_hand = {manual_owner} if place == 1 else set()
            expected = {self.simulated.upns[person] for person in one.members}
            assert set(class_["members"]) - by_hand == expected - by_hand, class_["mailNickname"]
            owners = {self.simulated.upns[person] for person in one.owners} - {refused_owner}
            assert set(class_["owners"]) - by_hand == owners

    async def records(self) -> list[ClassRecord]:
        """Its rows in the order of its groups."""
        rows = {row.key: row for row in await self.scene.state.class_records(self.school.settings.school)}
        return [rows[one.key] for one in self.school.classes(self.ids)]

    async def last_run(self) -> RunRecord:
        """The run of the last night."""
        run = await self.scene.state.run(self.school.settings.school, self.scene.run)
        assert run
        return run

    def requester(self) -> Requester:
        self.requests += 1
        return Requester(entra_id("admin"), RunId(f"request{self.requests}"))


def refusals(outcomes: Sequence[Outcome]) -> list[Refused]:
    return [outcome for outcome in outcomes if isinstance(outcome, Refused)]
