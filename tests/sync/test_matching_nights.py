"""Nights on which a school's rule for finding accounts is wrong, and what an admin reads and decides then."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from sync_core.admin.holds import HoldChoice, NotConfirmed, decide_hold, preview_school, request_decision
from sync_core.admin.requests import Requester
from sync_core.applying.change import apply_change
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.ids import MisId, RunId
from sync_core.domain.roster import FeedStatistics, MatchRate, Person, Snapshot
from sync_core.domain.runs import Cause, HoldKind, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import DecideHold, Decision, Priority, RefreshTenant, SyncSchool
from sync_core.planning.preview.preview import Preview
from sync_core.services import Services
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import NOON, SCHOOL, TENANT, by_id, entra_id, entra_ids, mis_ids, settings, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

PUPILS = tuple(f"pupil{number}" for number in range(20))
NAMES = {"mis": "username", "domain": "wrong.example"}
WRONG = {"students": NAMES, "staff": NAMES}
ADMIN = Requester(entra_id("admin"), RunId("decision"))


@dataclass
class Night:
    """A school whose export has the exact e-mail addresses of its accounts."""

    state: MemoryState = field(default_factory=MemoryState)
    tenant: MemoryTenant = field(default_factory=lambda: MemoryTenant(clock=FixedClock()))
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    emails: dict[str, str] = field(default_factory=lambda: {name: f"{name}@oak.example" for name in (*PUPILS, "main")})

    def __post_init__(self) -> None:
        for person, email in self.emails.items():
            self.tenant.add_account(entra_id(person), email.upper())

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        people = by_id(*(Person(MisId(name), name, email) for name, email in self.emails.items()))
        return Snapshot(SCHOOL, (teaching("G1", "Art", PUPILS, ["main"]),), people, NOON)

    @property
    def fakes(self) -> Services:
        return services(self.state, tenant=self.tenant, mis=self, outbox=self.outbox, clock=FixedClock())

    async def choose(self, **chosen: Any) -> SchoolSettings:
        saved = settings(account_domain="", **chosen)
        await self.state.save_school(saved)
        return saved

    async def run(self, **chosen: Any) -> RunRecord:
        await self.choose(**chosen)
        await refresh_tenant(RefreshTenant(TENANT, RunId("night"), Cause.NIGHTLY), self.fakes, timedelta(days=400))
        run = await sync_school(SyncSchool(SCHOOL.id, RunId("night"), Cause.NIGHTLY), self.fakes)
        await self.apply()
        return run

    async def decide(self, decision: Decision, people: int, **chosen: Any) -> RunRecord:
        (hold,) = await self.state.holds(SCHOOL.id)
        saved = await self.choose(**chosen)
        with pytest.raises(NotConfirmed, match=rf"people who find no account( now)? \({people}\)"):
            await request_decision(saved, hold.digest, decision, ADMIN, self.fakes)
        await request_decision(saved, hold.digest, decision, ADMIN, self.fakes, HoldChoice(confirm=people))
        *_, (request, _) = self.outbox.requests
        assert isinstance(request, DecideHold)
        run = await decide_hold(request, self.fakes)
        await self.apply()
        return run

    async def apply(self) -> None:
        for change in self.outbox.changes:
            await apply_change(change, Priority.BULK, self.fakes)
        self.outbox.changes.clear()

    async def preview(self, **chosen: Any) -> Preview:
        return await preview_school(await self.choose(**chosen), self.fakes)

    async def kinds(self) -> list[HoldKind]:
        return [hold.kind for hold in await self.state.holds(SCHOOL.id)]

    async def statistics(self) -> FeedStatistics:
        statistics = await self.state.accepted_statistics(SCHOOL.id)
        assert statistics
        return statistics

    def members(self) -> frozenset[str]:
        (group,) = self.tenant.groups.values()
        return frozenset(group.members)


@pytest.fixture
def night() -> Night:
    return Night()


async def test_with_the_default_settings_exact_addresses_find_everybody(night: Night) -> None:
    run = await night.run()
    assert (run.people_without_account, run.people_ambiguous, run.held) == ((), (), ())
    assert night.members() == entra_ids([*PUPILS, "main"])
    statistics = await night.statistics()
    assert (statistics.students_matched, statistics.staff_matched) == (MatchRate(20, 0), MatchRate(1, 0))


async def test_a_wrong_domain_on_night_one_makes_no_class_until_it_is_corrected(night: Night) -> None:
    run = await night.run(**WRONG)
    assert (run.outcome, run.created, run.changed, len(run.held)) == (RunOutcome.PLANNED, (), (), 1)
    assert await night.kinds() == [HoldKind.ACCOUNT_MATCHING]
    assert night.tenant.groups == {}
    assert await night.state.class_records(SCHOOL.id) == ()
    assert (await night.statistics()).students_matched is None

    corrected = await night.run()
    assert (len(corrected.created), corrected.held, await night.kinds()) == (1, (), [])


async def test_a_wrong_domain_on_night_two_is_one_hold_and_nobody_leaves(night: Night) -> None:
    await night.run()
    run = await night.run(**WRONG)
    assert (run.changed, run.removals) == ((), 0)
    assert await night.kinds() == [HoldKind.ACCOUNT_MATCHING]
    assert night.members() == entra_ids([*PUPILS, "main"])
    assert (await night.statistics()).students_matched == MatchRate(20, 0)
    (hold,) = await night.state.holds(SCHOOL.id)
    assert "20 of 20 students find no account (0% find one, and 100% found one before)" in hold.what


async def test_an_approved_matching_still_takes_nobody_out_and_is_not_held_again(night: Night) -> None:
    await night.run()
    await night.run(**WRONG)
    run = await night.decide(Decision.APPROVE, 21, **WRONG)
    assert run.removals == 0
    assert await night.kinds() == [HoldKind.LOST_MATCHING]
    assert night.members() == entra_ids([*PUPILS, "main"])
    assert (await night.statistics()).students_matched == MatchRate(20, 20)
    await night.run(**WRONG)
    assert await night.kinds() == [HoldKind.LOST_MATCHING]

    run = await night.decide(Decision.APPROVE, 21, **WRONG)
    assert (run.removals, await night.kinds()) == (0, [])
    assert night.members() == entra_ids(["main"]), "an owner stays an owner, and so a member"


async def test_a_match_that_is_lost_is_held_with_the_person_and_found_again_without_a_decision(night: Night) -> None:
    await night.run()
    night.emails["pupil3"] = "typo@oak.example"
    await night.run()
    (hold,) = await night.state.holds(SCHOOL.id)
    (part,) = hold.classes
    assert (hold.kind, part.people) == (HoldKind.LOST_MATCHING, mis_ids("pupil3"))
    assert entra_id("pupil3") in night.members()
    night.emails["pupil3"] = "pupil3@oak.example"
    await night.run()
    assert await night.kinds() == []


async def test_the_plan_shows_what_was_tried_and_the_nearest_accounts(night: Night) -> None:
    await night.run()
    night.emails["pupil3"] = "pupil.3@oak.example"
    preview = await night.preview()
    (unmatched,) = preview.unmatched
    assert unmatched.person == "pupil3"
    assert [(each.mis, each.value) for each in unmatched.tries] == [
        ("username", "pupil3"),
        ("email", "pupil.3@oak.example"),
    ]
    assert [(near.id, near.account, near.value) for near in unmatched.nearest] == [
        (entra_id("pupil3"), AccountProperty.UPN, "pupil3@oak.example")
    ]
    assert preview.as_data()["unmatched"] == preview.unmatched


async def test_no_run_hold_or_row_has_a_value_that_was_tried(night: Night) -> None:
    await night.run()
    await night.run(**WRONG)
    preview = await night.preview(**WRONG)
    assert len(preview.unmatched) == 21
    stored = [*(await night.state.runs(SCHOOL.id)), *(await night.state.holds(SCHOOL.id)), await night.statistics()]
    shown = (*preview.lines, *preview.run.notes)
    assert not [text for text in map(str, (*stored, *shown)) if "pupil1@" in text or "main@" in text]
