"""Year ends and their reversals with teams: a night does what messages did not that were lost, repeated or late."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from sync_core.admin.requests import Requester
from sync_core.admin.year.year_end import end_year, preview_taking_back, request_taking_back, take_back
from sync_core.domain.classes.choices import ClassChoice, Grant
from sync_core.domain.classes.outcomes import Outcome
from sync_core.domain.classes.teams import TeamState
from sync_core.domain.classes.year_end import PupilChoice, YearEndChoice, YearEndFilter, YearEndOrder
from sync_core.messaging.messages import Change, EndYear, TakeBackYearEnd
from sync_core.services import Services
from tests.admin.year_end_scene import ADMIN, ART_KEY, MATHS_KEY, MUSIC_KEY, PUPILS, Scene
from tests.builders import SCHOOL, entra_id, entra_ids, teaching
from tests.fakes.memory_teams import MemoryTeams
from tests.fakes.services import services
from tests.properties.test_year_ends import Bomb, Killed

LAST_YEAR = YearEndFilter(years=(2025,))
EMPTYING = YearEndOrder(LAST_YEAR, YearEndChoice(pupils=PupilChoice.REMOVE))
CLASSES = (ART_KEY, MUSIC_KEY)


@dataclass
class TeamScene(Scene):
    """With teams that are open, and a queue that may lose messages, repeat them and change their order."""

    rng: random.Random = field(default_factory=random.Random)
    unreliable: bool = False
    teams: MemoryTeams = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.chosen = {"teams": "release", **self.chosen}
        self.teams = MemoryTeams(self.tenant, self.step, self.clock)

    @property
    def services(self) -> Services:
        return services(
            self.state, tenant=self.tenant, teams=self.teams, mis=self.mis, outbox=self.outbox, clock=self.clock
        )

    async def deliver(self) -> list[Outcome]:
        scheduled, self.outbox.scheduled = self.outbox.scheduled, []
        self.outbox.changes += [change for _, change, _ in scheduled]
        if not self.unreliable:
            return [await self._next() for _ in range(len(self.outbox.changes))]
        changes, self.outbox.changes = self.outbox.changes, []
        sent: list[Change] = [change for change in changes for _ in range(self.rng.choice([0, 1, 1, 2]))]
        self.rng.shuffle(sent)
        return [await self.apply(change) for change in sent]

    async def _next(self) -> Outcome:
        """Apply the oldest change, which is on the queue until that is done."""
        outcome = await self.apply(self.outbox.changes[0])
        del self.outbox.changes[0]
        return outcome

    async def request_back(self, filter_: YearEndFilter) -> TakeBackYearEnd:
        shown = await preview_taking_back(self.settings, filter_, self.services)
        requester = Requester(ADMIN, self.new_run())
        await request_taking_back(self.settings, filter_, shown.digest, requester, self.services)
        request, _ = self.outbox.requests[-1]
        assert isinstance(request, TakeBackYearEnd)
        return request

    async def carry_out(self, request: EndYear | TakeBackYearEnd) -> None:
        if isinstance(request, EndYear):
            await end_year(request, self.services)
        else:
            await take_back(request, self.services)
        await self.deliver()

    async def quiet_nights(self) -> None:
        self.unreliable = False
        for _ in range(3):
            self.clock.advance(timedelta(days=1))
            await self.night()

    async def check(self, *, ended: bool, why: str) -> None:
        for key in CLASSES:
            group, row = await self.group(key), await self.row(key)
            if ended:  # A team that was archived before its pupils left the group gets them copied by Teams.
                self.teams.copy_people(group.id)
            team = self.teams.teams[group.id]
            pupils = frozenset[str]() if ended else entra_ids(PUPILS)
            known = row.actual.team if row.actual else None
            assert group.members - group.owners == pupils, why
            assert team.members == pupils, why
            assert team.archived is ended, why
            assert known and known.state is (TeamState.ARCHIVED if ended else TeamState.OPEN), why
            assert not row.year_end_waits, why
        writes = self.tenant.writes
        await self.night()
        assert self.tenant.writes == writes, why


@pytest.mark.parametrize("seed", range(60))
async def test_lost_repeated_and_disordered_messages_lead_to_what_was_decided_last(seed: int) -> None:
    scene = TeamScene(rng=random.Random(seed))
    await scene.begin()
    ended = False
    for _ in range(scene.rng.randint(1, 4)):
        if not ended:
            await scene.quiet_nights()  # A year ends only after its reversal was carried out.
        scene.unreliable = True
        await (scene.take_back(LAST_YEAR) if ended else scene.end(EMPTYING))
        ended = not ended
        for _ in range(scene.rng.randint(0, 2)):
            await scene.night()
        if scene.rng.random() < 0.5:
            await scene.quiet_nights()
    await scene.quiet_nights()
    await scene.check(ended=ended, why=f"seed {seed}")


@pytest.mark.parametrize("back", [False, True])
async def test_killed_at_any_step_it_is_done_whole_with_the_team(back: bool) -> None:
    steps, killed = 0, True
    while killed:
        bomb = Bomb()
        scene = TeamScene(step=bomb)
        await scene.begin()
        if back:
            await scene.end(EMPTYING)
        request = await (scene.request_back(LAST_YEAR) if back else scene.request_end(EMPTYING))
        bomb.left, killed = steps, False
        try:
            await scene.carry_out(request)
        except Killed:
            killed = True
        bomb.left = None
        await scene.carry_out(request)
        await scene.quiet_nights()
        await scene.check(ended=not back, why=f"killed at step {steps}")
        steps += 1
    assert steps > 40


async def test_killed_at_any_step_the_end_of_a_grant_in_an_ended_class_reaches_group_and_team() -> None:
    steps, killed, cover = 0, True, entra_id("hand")
    limits = {"smallest_snapshot": 0, "class_loss": 1, "school_loss": 1, "week_loss": 1}
    while killed:
        bomb = Bomb()
        scene = TeamScene(step=bomb, chosen={"limits": limits})
        await scene.begin()
        until = scene.clock.now().date() + timedelta(days=4)
        grant = Grant(until=until, reason="cover", given_by=ADMIN, given_at=scene.clock.now())
        await scene.state.write_choice(SCHOOL.id, ClassChoice(key=MATHS_KEY, owners={cover: grant}))
        await scene.quiet_nights()
        group = await scene.group(MATHS_KEY)
        team = scene.teams.teams[group.id]
        scene.mis.groups = (teaching("L1", "Latin", PUPILS[:2], ["second"], year=2026),)
        await scene.night()
        assert (await scene.row(MATHS_KEY)).desired.ended
        assert cover in group.owners & team.owners
        scene.clock.advance(timedelta(days=5))
        bomb.left, killed = steps, False
        try:
            await scene.night()
        except Killed:
            killed = True
        bomb.left = None
        await scene.deliver()
        await scene.night()
        assert cover not in group.owners | group.members | team.owners | team.members, f"killed at step {steps}"
        assert entra_ids([*PUPILS, "main"]) == group.members == team.owners | team.members
        steps += 1
    assert steps > 30
