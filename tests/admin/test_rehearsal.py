"""The rehearsal of a new school year: the plan of a day to come, and its approval for then."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from sync_core.admin.plans.apply import apply_plan
from sync_core.admin.requests import Requester
from sync_core.admin.year.rehearsal import TurnApproval, TurnDiffers, approve_turn, rehearse, withdraw_approval
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.roster import MisGroup
from sync_core.domain.runs import RunOutcome
from sync_core.errors import Conflict, Unreadable
from sync_core.messaging.messages import ApplyPlan
from sync_core.mis.port import MisSource
from sync_core.planning.year.turn import Turn
from sync_core.services import Services
from tests.admin.year_end_scene import ADMIN, MATHS, MATHS_KEY, PUPILS, Mis, Scene
from tests.builders import SCHOOL, TENANT, accounts, entra_ids, mis_ids, teaching

NO_LIMITS = {"smallest_snapshot": 0, "class_loss": 1, "class_loss_people": 1000}
DAY = date(2027, 9, 1)
BEGINS = datetime(2027, 9, 1, 1, tzinfo=UTC)
NEW = teaching("G2", "12x/Maths", PUPILS[1:], ["main"], year=2027)
KEPT = teaching("F1", "9z", ["amy"], ["second"], year=2026)


@dataclass
class Years(Scene):
    """A school whose MIS has other groups from September 2027 on. `asked` are the moments that were read."""

    next_year: tuple[MisGroup, ...] = (NEW,)
    asked: list[datetime] = field(default_factory=list)

    def on(self, moment: datetime) -> MisSource:
        self.asked.append(moment)
        return Mis(*(self.next_year if moment >= BEGINS - timedelta(hours=1) else self.mis.groups))

    async def fill(self, crowd: list[str]) -> None:
        """A class of this year with all of them, who have accounts and are in no class of the next year."""
        self.chosen = {"rollover": "reuse", "limits": NO_LIMITS | {"school_loss": 1, "week_loss": 1}}
        await self.state.save_school(self.settings)
        changes = tuple(AccountChange(account.id, account.values) for account in accounts(crowd))
        await self.state.write_accounts(TENANT, AccountChanges(False, changes, frozenset(), "token"))
        self.tenant.accounts |= {account.id: account for account in accounts(crowd)}
        self.mis.groups = (replace(MATHS, students=mis_ids(*crowd, *PUPILS)),)
        await self.night()
        self.next_year = (replace(MATHS, academic_year=2027, students=mis_ids(*PUPILS)),)

    @property
    def services(self) -> Services:
        return replace(super().services, dated_mis=self)


@pytest.fixture
async def years() -> Years:
    years = Years()
    await years.begin()
    return years


async def approved(years: Years) -> ApplyPlan:
    turn = await rehearse(years.settings, DAY, years.services)
    requester = Requester(ADMIN, years.new_run())
    await approve_turn(years.settings, turn.digest, TurnApproval(DAY, BEGINS), requester, years.services)
    request, at = years.outbox.requests[-1]
    assert isinstance(request, ApplyPlan)
    assert at == BEGINS
    return request


async def test_a_rehearsal_shows_what_ends_and_begins_and_writes_nothing(years: Years) -> None:
    writes, runs = years.tenant.writes, await years.state.runs(SCHOOL.id)
    turn = await rehearse(years.settings, DAY, years.services)
    assert [each.key for each in turn.ends] == [MATHS_KEY]
    (begins,) = turn.begins
    assert (begins.group_name, begins.new_year, begins.members, begins.owners) == ("12x/Maths", 2027, 5, 1)
    assert ClassName(begins.name, begins.address).mail_nickname == "12xMaths.class.1234567.2027"
    assert turn.writes == 3  # the class, its owner, and four pupils at once
    assert turn.what[-1] == "writes to Microsoft Graph: 3, which take less than a minute at its limits"
    assert years.asked == [BEGINS]
    assert (years.tenant.writes, await years.state.runs(SCHOOL.id), years.outbox.requests) == (writes, runs, [])


async def test_a_class_that_goes_on_is_told_with_who_comes_and_goes(years: Years) -> None:
    years.chosen = {"rollover": "reuse", "limits": NO_LIMITS}
    await years.state.save_school(years.settings)
    years.next_year = (replace(MATHS, academic_year=2027, students=(*MATHS.students[2:],)),)
    turn = await rehearse(years.settings, DAY, years.services)
    (goes_on,) = turn.goes_on
    assert (goes_on.key, goes_on.year, goes_on.new_year) == (MATHS_KEY, 2026, 2027)
    assert goes_on.leaving == entra_ids(["amy", "ben"])
    assert (turn.begins, turn.leaving) == ((), 2)


async def test_people_without_an_account_and_classes_without_an_owner_are_told(years: Years) -> None:
    years.chosen = {"limits": NO_LIMITS}
    years.next_year = (teaching("G2", "12x/Maths", ["amy", "newcomer"], ["nobody"], year=2027),)
    turn: Turn = await rehearse(years.settings, DAY, years.services)
    assert set(turn.people_without_account) == {"newcomer", "nobody"}
    assert len(turn.ownerless) == 1


async def test_a_paused_school_is_rehearsed(years: Years) -> None:
    years.chosen = {"enabled": False}
    await years.state.save_school(years.settings)
    assert (await rehearse(years.settings, DAY, years.services)).made


async def test_what_was_approved_is_carried_out_at_its_time(years: Years) -> None:
    request = await approved(years)
    run = await years.state.run(SCHOOL.id, request.run)
    assert run
    assert (run.outcome, run.requested_by, run.scheduled_for) == (RunOutcome.REQUESTED, ADMIN, BEGINS)
    assert not run.is_under_way(years.clock.now())
    years.mis.groups = years.next_year
    done = await apply_plan(request, years.services)
    assert (done.outcome, done.created) == (RunOutcome.PLANNED, ("2027.teaching.G2",))


async def test_a_plan_that_has_changed_by_then_is_refused_with_the_classes_that_differ(years: Years) -> None:
    request = await approved(years)
    years.mis.groups = (replace(NEW, students=NEW.students[1:]), KEPT)
    run = await apply_plan(request, years.services)
    assert (run.outcome, years.outbox.changes) == (RunOutcome.REFUSED, [])
    assert "in 2 classes (2026.teaching.F1, 2027.teaching.G2), so nothing was changed" in run.notes[0]


async def test_another_digest_is_not_approved(years: Years) -> None:
    turn = await rehearse(years.settings, DAY, years.services)
    years.next_year = (NEW, KEPT)
    with pytest.raises(TurnDiffers) as differs:
        requester = Requester(ADMIN, years.new_run())
        await approve_turn(years.settings, turn.digest, TurnApproval(DAY, BEGINS), requester, years.services)
    assert len(differs.value.turn.begins) == 2
    assert years.outbox.requests == []


async def test_an_approval_is_withdrawn_before_its_time(years: Years) -> None:
    request = await approved(years)
    run = await withdraw_approval(years.settings, request.run, years.services)
    assert run.outcome is RunOutcome.REFUSED
    years.mis.groups = years.next_year
    assert await apply_plan(request, years.services) == run
    assert years.outbox.changes == []
    with pytest.raises(Conflict):
        await withdraw_approval(years.settings, request.run, years.services)


@pytest.mark.parametrize("day", [date(2026, 9, 6), date(2027, 12, 1)])
async def test_a_day_that_is_past_or_too_far_away_is_refused(years: Years, day: date) -> None:
    with pytest.raises(Unreadable):
        await rehearse(years.settings, day, years.services)


async def test_an_approval_for_a_past_moment_is_refused(years: Years) -> None:
    turn = await rehearse(years.settings, DAY, years.services)
    past = TurnApproval(DAY, years.clock.now() - timedelta(minutes=1))
    with pytest.raises(Unreadable):
        await approve_turn(years.settings, turn.digest, past, Requester(ADMIN, years.new_run()), years.services)
    assert years.outbox.requests == []
