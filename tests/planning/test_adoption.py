"""Which teams made by hand are proposed for new classes, and what follows from a decision."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from local.known_school import KnownSchool, not_checked
from sync_core.domain.classes.desired import ClassRequest
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.classes.tenant_groups import TenantClass
from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId, RunId
from sync_core.domain.roster import FeedStatistics, MisGroup
from sync_core.domain.runs import Cause, Hold, HoldKind, HoldStatus
from sync_core.errors import GraphDenied, MembersHidden, NotThere, SyncError, Transient
from sync_core.graph.port import TenantReader
from sync_core.messaging.messages import Priority, SyncSchool
from sync_core.planning.limits.snapshot import statistics_of
from sync_core.planning.matching.adoption import MOST_READ, find_candidates
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.school_plan import note_shared_names, plan_school
from sync_core.services import Reading
from tests.builders import NOON, SCHOOL, accounts, desired, entra_id, entra_ids, settings, snapshot, synced, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.http.memory_api import Mis

PUPILS = ["amy", "ben", "cleo", "dan", "eve"]
OTHERS = ["fay", "gus", "hal"]
STAFF = ["main", "second", "boss"]
MATHS, ART = teaching("M1", "10A/Ma1", PUPILS, ["main"]), teaching("A1", "10A/Ar1", OTHERS, ["second"])
MATHS_KEY, ART_KEY = map(class_key, (MATHS, ART))
TEAM = ClassId("team")
LIMITS = {"smallest_snapshot": 0, "new_classes": 1000}


@dataclass
class Team:
    """A class in the tenant, as somebody made it. Without `people`, Graph answers with the error."""

    name: str = "Maths 10A/Ma1 with Mrs Z"
    members: Sequence[str] = (*PUPILS, "main")
    owners: Sequence[str] = ("main",)
    source: str = "manual"
    external_id: str = ""
    fails: SyncError | None = None


@dataclass
class Tenants:
    """Implements TenantReaders and TenantReader, and notes each request."""

    teams: Mapping[str, Team] = field(default_factory=dict)
    fails: SyncError | None = None
    requests: list[str] = field(default_factory=list)

    def of(self, tenant: str, priority: Priority) -> TenantReader:
        return self

    async def classes(self) -> tuple[TenantClass, ...]:
        self.requests.append("classes")
        if self.fails:
            raise self.fails
        return tuple(
            TenantClass(ClassId(id_), team.name, team.external_id, team.source) for id_, team in self.teams.items()
        )

    async def members(self, class_id: ClassId) -> frozenset[AccountId]:
        self.requests.append("members")
        team = self.teams[class_id]
        if team.fails:
            raise team.fails
        return entra_ids(team.members)

    async def owners(self, class_id: ClassId) -> frozenset[AccountId]:
        self.requests.append("owners")
        return entra_ids(self.teams[class_id].owners)


async def plan(
    tenants: Tenants,
    groups: Iterable[MisGroup] = (MATHS, ART),
    records: Iterable[ClassRecord] = (),
    holds: Sequence[Hold] = (),
    decided: Mapping[str, HoldStatus] | None = None,
    scope: frozenset[MisId] | None = None,
    requests: Iterable[ClassRequest] = (),
    accepted: FeedStatistics | None = None,
    **chosen: Any,
) -> SchoolPlan:
    """The plan of a night, as it is carried out."""
    known = KnownSchool(
        settings(**{"teams": "create", "limits": LIMITS, **chosen}),
        tuple(accounts([*PUPILS, *OTHERS, *STAFF])),
        records=tuple(records),
        requests={request.key: request for request in requests},
        open_holds=tuple(holds),
        accepted=accepted,
    )
    reading = Reading(known, Mis(list(groups)), FixedClock(NOON), not_checked, tenants)
    cause = Cause.NIGHTLY if scope is None else Cause.WEBHOOK
    request = SyncSchool(SCHOOL.id, RunId("run"), cause, scope=tuple(scope) if scope is not None else None)
    planned = await plan_school(request, reading, decided)
    return await note_shared_names(planned, reading, lambda shared: shared.keys)


def proposed(planned: SchoolPlan) -> dict[ClassKey, ClassId]:
    return {part.key: part.adopts for hold in planned.open_holds for part in hold.classes}


def adopting(planned: SchoolPlan) -> dict[ClassKey, ClassId]:
    return {wanted.key: wanted.adopts for wanted in planned.plan.writes if wanted.adopts}


def decide(planned: SchoolPlan, status: HoldStatus) -> dict[str, HoldStatus]:
    return {part.digest: status for hold in planned.holds for part in hold.classes}


def notes(planned: SchoolPlan) -> str:
    return "; ".join(planned.run.notes)


async def test_a_team_of_the_group_is_proposed_and_its_class_waits() -> None:
    tenants = Tenants({TEAM: Team(members=["amy", "ben", "cleo", "stranger", "boss", "main"], owners=["main", "boss"])})
    planned = await plan(tenants)
    (hold,) = planned.open_holds
    (part,) = hold.classes
    assert (hold.kind, hold.value, planned.run.held) == (HoldKind.ADOPTION, 1, (MATHS_KEY,))
    assert (part.key, part.adopts, part.group_name, part.name) == (MATHS_KEY, TEAM, "10A/Ma1", "")
    assert (part.lost, part.students) == (1, 4)
    assert part.leaving == (entra_id("stranger"),), "who owns the team stays"
    assert frozenset(part.joining) == entra_ids(["dan", "eve"])
    assert part.what == (
        "waits: class team, which somebody made in Microsoft 365, may be its class: 3 of the 4 members of that "
        "class are pupils of the group, which has 5, and 1 of its 2 owners teach the group; 1 people would leave "
        "it, and 2 would come into it"
    )
    assert planned.run.created == (ART_KEY,)
    assert "Mrs Z" not in str(planned.run) + str(planned.holds)
    assert tenants.requests == ["classes", "owners", "members"], "the classes are listed once"


@pytest.mark.parametrize(
    ("team", "expected"),
    [
        (Team(name="10a/MA1"), True),
        (Team(name="10A Ma1"), True),
        (Team(name="y10A/Ma1"), False),
        (Team(name="10A/Ma12"), False),
        (Team(name="Ma1 10A"), False),
        (Team(name="Maths"), False),
        (Team(owners=["second"]), False),
        (Team(owners=["boss"]), False),
        (Team(name="10A/Ma1 and 10A/Ar1", owners=["second"]), False),
        (Team(members=[*PUPILS[:3], "main"]), True),
        (Team(members=[*PUPILS[:2], "main"]), False),
        (Team(members=[*PUPILS[:3], *OTHERS[:2]]), True),
        (Team(members=[*PUPILS[:3], *OTHERS]), False),
        (Team(members=[*PUPILS, *OTHERS], owners=["main", *OTHERS]), True),
        (Team(source="sis"), False),
        (Team(source=""), True),
        (Team(external_id="S9|2026.teaching.G1"), False),
        (Team(external_id="9A"), True),
    ],
)
async def test_the_name_the_teacher_and_most_of_the_pupils_have_to_agree(team: Team, expected: bool) -> None:
    planned = await plan(Tenants({TEAM: team}), admin_owners=["boss@school.onmicrosoft.com"])
    assert proposed(planned) == ({MATHS_KEY: TEAM} if expected else {})
    assert (MATHS_KEY in planned.run.created) is not expected
    assert adopting(planned) == {}


async def test_of_a_group_of_six_half_in_the_team_are_too_few() -> None:
    groups = [teaching("M1", "10A/Ma1", [*PUPILS, "fay"], ["main"])]
    assert proposed(await plan(Tenants({TEAM: Team(members=PUPILS[:3])}), groups)) == {}
    assert proposed(await plan(Tenants({TEAM: Team(members=PUPILS[:4])}), groups)) == {MATHS_KEY: TEAM}


async def test_two_pupils_in_common_may_be_chance() -> None:
    groups = [teaching("M1", "10A/Ma1", PUPILS[:2], ["main"])]
    assert proposed(await plan(Tenants({TEAM: Team(members=PUPILS[:2])}), groups)) == {}


async def test_a_group_without_a_name_has_no_candidates() -> None:
    wanted = replace(desired("K1", PUPILS, ["main"]), group_name="-")
    assert find_candidates([wanted], [TenantClass(TEAM, "")], {}) == ()


async def test_two_teams_or_two_groups_are_no_choice_and_each_group_gets_its_class() -> None:
    two = await plan(Tenants({TEAM: Team(), "twin": Team()}))
    assert (proposed(two), MATHS_KEY in two.run.created) == ({}, True)
    assert f"not the only choice: 1 ({MATHS_KEY}) — none is taken for another" in notes(two)
    again = teaching("M2", "10A/Ma1", PUPILS, ["main"])
    shared = await plan(Tenants({TEAM: Team()}), [MATHS, again])
    assert (proposed(shared), len(shared.run.created)) == ({}, 2)
    assert "not the only choice: 2 (" in notes(shared)


@pytest.mark.parametrize("groups", [[MATHS], [MATHS, teaching("M2", "10A/Ma1", PUPILS, ["main"])]])
async def test_a_question_stays_when_another_team_or_group_becomes_possible(groups: list[MisGroup]) -> None:
    shown = await plan(Tenants({TEAM: Team()}), [MATHS])
    planned = await plan(Tenants({TEAM: Team(), "twin": Team()}), groups, holds=shown.open_holds)
    assert (proposed(planned)[MATHS_KEY], MATHS_KEY in planned.run.created) == (TEAM, False)


async def test_an_approved_team_is_wanted_and_kept_so_until_it_is_taken() -> None:
    tenants = Tenants({TEAM: Team()})
    shown = await plan(tenants)
    planned = await plan(tenants, holds=shown.open_holds, decided=decide(shown, HoldStatus.APPROVED))
    assert (adopting(planned), planned.open_holds) == ({MATHS_KEY: TEAM}, [])
    assert planned.final[MATHS_KEY].members == entra_ids([*PUPILS, "main"])
    row = ClassRecord(school=SCHOOL.id, desired=planned.final[MATHS_KEY], tenant=planned.tenant)
    tenants.requests.clear()
    then = await plan(tenants, records=[row], groups=[MATHS])
    assert (then.final[MATHS_KEY].adopts, then.open_holds, then.run.created) == (TEAM, [], (MATHS_KEY,))
    taken = replace(synced(row.desired), intent=None)
    assert (await plan(tenants, records=[taken], groups=[MATHS])).final[MATHS_KEY].adopts == ""


async def test_an_approved_team_counts_for_no_limit_of_new_classes() -> None:
    tenants = Tenants({TEAM: Team()})
    shown = await plan(tenants)
    decided, limits = decide(shown, HoldStatus.APPROVED), {**LIMITS, "new_classes": 1}
    accepted = statistics_of(snapshot([MATHS]))
    planned = await plan(tenants, holds=shown.open_holds, decided=decided, accepted=accepted, limits=limits)
    assert (adopting(planned), planned.run.created) == ({MATHS_KEY: TEAM}, (ART_KEY, MATHS_KEY))


async def test_a_rejected_team_stays_as_it_is_and_the_group_gets_its_class() -> None:
    tenants = Tenants({TEAM: Team()})
    shown = await plan(tenants)
    planned = await plan(tenants, holds=shown.open_holds, decided=decide(shown, HoldStatus.REJECTED))
    assert (planned.run.created, adopting(planned), planned.holds) == ((ART_KEY, MATHS_KEY), {}, ())


@pytest.mark.parametrize("change", [{"members": [*PUPILS[:4], "main"]}, {"members": [*PUPILS, "gus"]}])
async def test_an_approval_is_for_exactly_the_people_who_were_shown(change: dict[str, Any]) -> None:
    shown = await plan(Tenants({TEAM: Team()}))
    changed = Tenants({TEAM: Team(**change)})
    planned = await plan(changed, holds=shown.open_holds, decided=decide(shown, HoldStatus.APPROVED))
    assert (proposed(planned), adopting(planned)) == ({MATHS_KEY: TEAM}, {})


async def test_what_was_refused_is_proposed_anew_or_made() -> None:
    tenants = Tenants({TEAM: Team()})
    shown = await plan(tenants)
    approved = await plan(tenants, holds=shown.open_holds, decided=decide(shown, HoldStatus.APPROVED))
    row = ClassRecord(
        school=SCHOOL.id,
        desired=approved.final[MATHS_KEY],
        tenant=approved.tenant,
        error=RowError("TeamGone", "it is gone", "sync"),
    )
    again = await plan(tenants, records=[row])
    assert (proposed(again), MATHS_KEY in again.run.created) == ({MATHS_KEY: TEAM}, False)
    without = await plan(Tenants(), records=[row])
    assert (without.final[MATHS_KEY].adopts, MATHS_KEY in without.run.created) == ("", True)


async def test_a_plan_of_some_classes_reads_nobody_and_what_waits_goes_on_waiting() -> None:
    tenants = Tenants({TEAM: Team()})
    shown = await plan(tenants)
    tenants.requests.clear()
    scope = frozenset({MATHS.id})
    planned = await plan(tenants, holds=shown.open_holds, scope=scope)
    assert (proposed(planned), planned.run.created, tenants.requests) == ({MATHS_KEY: TEAM}, (), [])
    (approved,) = shown.open_holds
    unused = replace(approved, status=HoldStatus.APPROVED)
    planned = await plan(tenants, holds=[unused], scope=scope)
    assert (planned.plan.writes, planned.run.created) == ((), ())
    planned = await plan(tenants, holds=[replace(approved, status=HoldStatus.REJECTED)], scope=scope)
    assert planned.run.created == (MATHS_KEY,)


@pytest.mark.parametrize(
    "calendar",
    [
        {"pause": "additions_only", "pause_from": "2026-09-07", "pause_until": "2026-09-07"},
        {"first_day": "2026-09-20", "teachers_in_from": "2026-09-01", "pupils_in_from": "2026-09-20"},
    ],
)
async def test_while_the_calendar_withholds_something_nobody_is_looked_for_and_what_waits_goes_on(
    calendar: dict[str, str],
) -> None:
    tenants = Tenants({TEAM: Team()})
    shown = await plan(tenants)
    tenants.requests.clear()
    planned = await plan(tenants, holds=shown.open_holds, decided=decide(shown, HoldStatus.APPROVED), calendar=calendar)
    assert (proposed(planned), adopting(planned)) == ({MATHS_KEY: TEAM}, {})
    assert tenants.requests == ["classes"], "only the names of the classes to make are compared"
    assert f"cannot be compared with it now: 1 ({MATHS_KEY}) — they wait; approve them once" in notes(planned)


@pytest.mark.parametrize("fails", [MembersHidden(), Transient("Graph was throttled", "it is retried")])
async def test_people_who_cannot_be_read_make_no_proposal_and_a_note_says_so(fails: SyncError) -> None:
    unread = Tenants({TEAM: Team(fails=fails)})
    planned = await plan(unread)
    assert (proposed(planned), MATHS_KEY in planned.run.created) == ({}, True)
    assert f"the people of 1 classes could not be read ({fails.message}), so it is not known" in notes(planned)
    shown = await plan(Tenants({TEAM: Team()}))
    for status in (HoldStatus.OPEN, HoldStatus.APPROVED):
        waiting = await plan(unread, holds=shown.open_holds, decided=decide(shown, status))
        assert (proposed(waiting), adopting(waiting)) == ({MATHS_KEY: TEAM}, {}), "nothing is made by guess"
    rejected = await plan(unread, holds=shown.open_holds, decided=decide(shown, HoldStatus.REJECTED))
    assert MATHS_KEY in rejected.run.created


async def test_a_team_that_is_gone_by_now_is_none() -> None:
    planned = await plan(Tenants({TEAM: Team(fails=NotThere())}))
    assert (proposed(planned), "could not be read" in notes(planned)) == ({}, False)


async def test_without_the_list_of_classes_what_waits_goes_on_waiting() -> None:
    denied = Tenants(fails=GraphDenied("Authorization_RequestDenied", "no", "grant it"))
    planned = await plan(denied)
    assert (planned.run.created, denied.requests) == ((ART_KEY, MATHS_KEY), ["classes"])
    assert "the tenant's classes could not be read (" in notes(planned)
    shown = await plan(Tenants({TEAM: Team()}))
    assert proposed(await plan(denied, holds=shown.open_holds)) == {MATHS_KEY: TEAM}


async def test_one_plan_reads_the_people_of_fifty_classes_and_says_how_many_are_left() -> None:
    tenants = Tenants({f"{number:03}": Team(owners=["boss"]) for number in range(MOST_READ + 3)})
    planned = await plan(tenants)
    assert tenants.requests.count("owners") == MOST_READ
    assert tenants.requests.count("members") == 0, "nobody else's members are read"
    assert "3 classes with the names of groups were not looked at" in notes(planned)


async def test_the_names_with_the_fewest_other_words_are_looked_at_first() -> None:
    crowd = {f"{number:03}": Team(owners=["boss"]) for number in range(MOST_READ)}
    planned = await plan(Tenants({**crowd, TEAM: Team(name="10A/Ma1 2026")}))
    assert proposed(planned) == {MATHS_KEY: TEAM}


async def test_what_waits_is_not_made_because_it_is_beyond_the_fifty() -> None:
    shown = await plan(Tenants({TEAM: Team()}))
    crowd = {f"{number:03}": Team(owners=["boss"]) for number in range(MOST_READ)}
    planned = await plan(Tenants({**crowd, TEAM: Team()}), holds=shown.open_holds)
    assert (proposed(planned), MATHS_KEY in planned.run.created) == ({MATHS_KEY: TEAM}, False)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({"teams": "none"}, ["classes"]), ({"team_types": ["year"]}, ["classes"]), ({}, ["classes", "owners", "members"])],
)
async def test_a_school_without_teams_reads_what_it_read_before(chosen: dict[str, Any], expected: list[str]) -> None:
    tenants = Tenants({TEAM: Team()})
    planned = await plan(tenants, **chosen)
    assert tenants.requests == expected
    assert bool(planned.open_holds) is (len(expected) > 1)


async def test_a_night_without_new_classes_reads_nothing() -> None:
    tenants = Tenants()
    first = await plan(tenants)
    rows = [synced(wanted) for wanted in first.plan.writes]
    tenants = Tenants({TEAM: Team()})
    planned = await plan(tenants, records=rows)
    assert (tenants.requests, planned.plan.writes) == ([], ())


async def test_a_class_that_somebody_requested_is_a_new_one() -> None:
    request = ClassRequest(key=MATHS_KEY, creator=entra_id("main"), requested_at=NOON)
    planned = await plan(Tenants({TEAM: Team()}), requests=[request])
    assert (proposed(planned), MATHS_KEY in planned.run.created) == ({}, True)


@pytest.mark.parametrize("how", ["is", "was", "waits to be"])
async def test_the_class_of_a_row_is_no_candidate(how: str) -> None:
    drama = desired("2026.teaching.D1", PUPILS, ["main"])
    record = synced(drama)
    assert record.actual is not None
    row = {
        "is": replace(record, actual=replace(record.actual, class_id=TEAM)),
        "was": replace(record, previous_ids=frozenset({TEAM})),
        "waits to be": replace(record, desired=replace(drama, adopts=TEAM), actual=None, intent=None),
    }[how]
    assert proposed(await plan(Tenants({TEAM: Team()}), records=[row])) == {}


_people = st.lists(st.sampled_from([*PUPILS, *OTHERS, *STAFF]), unique=True)
_teams = st.builds(
    Team,
    name=st.sampled_from(["10A/Ma1", "10A/Ar1", "10A Ma1 10A Ar1", "Club"]),
    members=_people,
    owners=st.lists(st.sampled_from(STAFF), unique=True),
    source=st.sampled_from(["manual", "", "sis"]),
    external_id=st.sampled_from(["", "", "S9|2026.teaching.G1"]),
    fails=st.sampled_from([None, None, None, MembersHidden()]),
)
_nights = st.lists(
    st.tuples(st.dictionaries(st.sampled_from(["t1", "t2", "t3"]), _teams), st.sampled_from(HoldStatus), st.booleans()),
    min_size=1,
    max_size=4,
)


@given(_nights)
@hypothesis_settings(max_examples=200, deadline=None)
def test_no_team_is_taken_without_an_approval_of_exactly_it_and_none_of_another_product(nights: list[Any]) -> None:
    asyncio.run(_check(nights))


async def _check(nights: list[tuple[dict[str, Team], HoldStatus, bool]]) -> None:
    holds: Sequence[Hold] = ()
    approved: set[tuple[ClassKey, ClassId]] = set()
    for teams, status, partly in nights:
        tenants = Tenants(teams)
        shown = {part.digest: (part.key, part.adopts) for hold in holds for part in hold.classes}
        scope = frozenset({MATHS.id}) if partly else None
        decided = {} if partly else dict.fromkeys(shown, status)
        approved = set(shown.values()) if HoldStatus.APPROVED in decided.values() else set()
        planned = await plan(tenants, holds=holds, decided=decided, scope=scope)
        taken = set(adopting(planned).items())
        assert taken <= approved
        assert len({id_ for _, id_ in taken}) == len(taken)
        for id_ in (*(id_ for _, id_ in taken), *proposed(planned).values()):
            if not partly and id_ in teams and not teams[id_].fails:
                assert (teams[id_].source == "sis", teams[id_].external_id) == (False, "")
        assert not {key for key, _ in proposed(planned).items()} & set(planned.run.created)
        if not partly:
            holds = planned.open_holds
