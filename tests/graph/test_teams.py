"""What the adapter of Teams sends, and what it makes of each answer: documented ones, and others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web

from sync_core.domain.ids import AccountId, ClassId
from sync_core.errors import GraphDenied, GraphRefused, NotThere, SyncError, TeamNotReady, Transient
from sync_core.graph.port import Removals, SeenTeam, TeamPeople
from sync_core.graph.teams.class_teams import GraphTeams
from tests.fakes.fixed_clock import FixedClock
from tests.graph.tenants import teams_at
from tests.serving import serve_all

ID = ClassId("11111111-2222-4333-8444-555555555555")
PEOPLE = [AccountId(f"11111111-2222-4333-8444-{number:012}") for number in range(40)]
ADA, BEN, CLEO = PEOPLE[:3]
WRAPPED = (
    "Failed to execute Templates backend request CreateTeamFromGroupWithTemplateRequest. Error: {0} for ada@school"
)
NAME = "Ada Lovelace"
Response = tuple[int, object]


@dataclass(slots=True)
class Server:
    """Returns `responses` in order, repeating the last, and records the requests."""

    responses: list[Response] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {unquote(request.rel_url.raw_path_qs).removeprefix('/v1.0')}")
        self.bodies.append(json.loads(await request.read() or "null"))
        status, body = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        return web.json_response(body, status=status) if body is not None else web.Response(status=status)


@dataclass(frozen=True, slots=True)
class Subject:
    server: Server
    clock: FixedClock
    teams: GraphTeams


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    server, clock = Server(), FixedClock()
    async with serve_all(server.handle) as url:
        yield Subject(server, clock, teams_at(url, clock)())


def refused(code: str, message: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message}}


def result(person: AccountId, code: str = "", message: str = "") -> dict[str, object]:
    return {"userId": person.upper(), "error": {"code": code, "message": message} if code else None}


def membership(person: AccountId, *roles: str, id_: str = "") -> dict[str, object]:
    return {"id": id_ or f"of/{person}==", "userId": person, "roles": list(roles), "displayName": NAME}


async def test_a_team_is_made_of_the_class_and_nothing_else(subject: Subject) -> None:
    subject.server.responses = [(202, None)]
    assert await subject.teams.make_team(ID)
    assert subject.server.seen == ["POST /teams"]
    assert subject.server.bodies == [
        {
            "template@odata.bind": "https://graph.microsoft.com/v1.0/teamsTemplates('educationClass')",
            "group@odata.bind": f"https://graph.microsoft.com/v1.0/groups('{ID}')",
        }
    ]


@pytest.mark.parametrize(
    ("status", "code", "words", "error"),
    [
        (404, "NotFound", "Failed to execute", TeamNotReady),
        (
            400,
            "BadRequest",
            WRAPPED.format("Group must have one or more owners in order to create a Team"),
            TeamNotReady,
        ),
        (
            400,
            "BadRequest",
            WRAPPED.format("Education team can not be provisioned using a group which does not belong to a class"),
            GraphRefused,
        ),
        (403, "Forbidden", "Missing role permissions on the request", GraphDenied),
        (400, "BadRequest", WRAPPED.format("Something new"), GraphRefused),
    ],
)
async def test_a_refusal_to_make_a_team_tells_its_cause_and_none_of_the_words(
    subject: Subject, status: int, code: str, words: str, error: type[SyncError]
) -> None:
    subject.server.responses = [(status, refused(code, words))]
    with pytest.raises(error) as refusal:
        await subject.teams.make_team(ID)
    assert type(refusal.value) is error
    assert "ada@school" not in str(refusal.value)
    assert "Something new" not in str(refusal.value)
    assert len(subject.server.seen) == 1


async def test_a_team_that_exists_is_no_error(subject: Subject) -> None:
    subject.server.responses = [(409, refused("Conflict", WRAPPED.format("The group is already provisioned")))]
    assert not await subject.teams.make_team(ID)


async def test_a_create_without_an_answer_is_sent_again(subject: Subject) -> None:
    """The second one finds the team, so two creates make one."""
    subject.server.responses = [(503, {}), (409, refused("Conflict", WRAPPED.format("is already provisioned")))]
    assert not await subject.teams.make_team(ID)
    assert len(subject.server.seen) == 2


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ({"isMembershipLimitedToOwners": True, "isArchived": False}, SeenTeam(locked=True, archived=False)),
        ({"isMembershipLimitedToOwners": False, "isArchived": True}, SeenTeam(locked=False, archived=True)),
        ({"isMembershipLimitedToOwners": None, "isArchived": None}, SeenTeam(locked=False, archived=False)),
        ({}, SeenTeam(locked=True, archived=False)),
    ],
)
async def test_a_team_as_teams_shows_it(subject: Subject, body: dict[str, object], seen: SeenTeam) -> None:
    subject.server.responses = [(200, {"id": ID, **body})]
    assert await subject.teams.team(ID) == seen
    assert subject.server.seen == [f"GET /teams/{ID}"]


async def test_no_team_is_none_and_anything_else_about_it_is_not_there(subject: Subject) -> None:
    subject.server.responses = [(404, refused("NotFound", "No team found with Group Id"))]
    assert await subject.teams.team(ID) is None
    works: list[Callable[[], Awaitable[object]]] = [
        lambda: subject.teams.open_team(ID),
        lambda: subject.teams.team_people(ID),
        lambda: subject.teams.add_to_team(ID, [ADA]),
        lambda: subject.teams.remove_from_team(ID, [ADA]),
        lambda: subject.teams.archive_team(ID),
        lambda: subject.teams.unarchive_team(ID),
    ]
    for work in works:
        with pytest.raises(NotThere):
            await work()


async def test_the_people_are_read_page_by_page(subject: Subject) -> None:
    second = f"/teams/{ID}/members?$skiptoken=2"
    first = {"value": [membership(ADA, "owner"), membership(BEN)], "@odata.nextLink": second}
    subject.server.responses = [(200, first), (200, {"value": [membership(CLEO, "guest")]})]
    assert await subject.teams.team_people(ID) == TeamPeople(frozenset([BEN, CLEO]), frozenset([ADA]))
    assert subject.server.seen == [f"GET /teams/{ID}/members?$top=999", f"GET {second}"]


async def test_each_person_of_an_addition_has_a_result(subject: Subject) -> None:
    people = PEOPLE[:7]
    results = [
        result(people[0]),
        result(people[1], "Forbidden", f"You do not have permission to perform this operation. {NAME}"),
        result(people[2], "NotFound"),
        result(people[3], "BadRequest", f"{NAME} is already a member of the team"),
        result(people[4], "ServiceUnavailable", "later"),
        result(people[5], "BadRequest", f"{NAME} may not"),
    ]
    subject.server.responses = [(207, {"value": results})]
    additions = await subject.teams.add_to_team(ID, people)
    assert additions.added == {people[0]}
    assert additions.not_there == {people[2]}
    assert additions.already == {people[3]}
    assert additions.refused.keys() == {people[1], people[5]}
    assert "licence" in additions.refused[people[1]].remedy
    assert isinstance(additions.failure, Transient)
    told = "".join(str(error) for error in (*additions.refused.values(), additions.failure))
    assert NAME not in told
    assert subject.server.seen == [f"POST /teams/{ID}/members/add"]
    assert subject.server.bodies[0]["values"][0] == {
        "@odata.type": "microsoft.graph.aadUserConversationMember",
        "roles": [],
        "user@odata.bind": f"https://graph.microsoft.com/v1.0/users('{people[0]}')",
    }


async def test_an_owner_who_is_a_member_already_becomes_one(subject: Subject) -> None:
    """One request more for those whom Teams did not make owners by adding them."""
    subject.server.responses = [
        (207, {"value": [result(ADA, "BadRequest", "already exists"), result(BEN, "BadRequest", "already exists")]}),
        (200, {"value": [membership(ADA), membership(BEN, "owner")]}),
        (200, {}),
    ]
    additions = await subject.teams.add_to_team(ID, [], [ADA, BEN])
    assert additions.already == {ADA, BEN}
    assert [seen.partition(" ")[0] for seen in subject.server.seen] == ["POST", "GET", "PATCH"]
    assert subject.server.bodies[0]["values"][0]["roles"] == ["owner"]
    assert subject.server.bodies[2]["roles"] == ["owner"]


async def test_an_answer_of_200_without_results_means_all(subject: Subject) -> None:
    subject.server.responses = [(200, {})]
    assert (await subject.teams.add_to_team(ID, [ADA])).added == {ADA}


async def test_more_people_than_one_request_may_have_are_an_error(subject: Subject) -> None:
    with pytest.raises(ValueError, match="too many"):
        await subject.teams.add_to_team(ID, [ADA] * 201)


async def test_people_are_removed_by_their_memberships_fifteen_to_a_look(subject: Subject) -> None:
    first = {"value": [membership(ADA, id_="a/b=="), membership(PEOPLE[30])]}
    subject.server.responses = [(200, first), (204, None), (200, {"value": []})]
    removals = await subject.teams.remove_from_team(ID, PEOPLE[:16])
    assert removals == Removals(frozenset([ADA]), frozenset(PEOPLE[:16]) - {ADA})
    assert [seen.partition("?")[0] for seen in subject.server.seen] == [
        f"GET /teams/{ID}/members",
        f"DELETE /teams/{ID}/members/a/b==",
        f"GET /teams/{ID}/members",
    ]
    clause = "microsoft.graph.aadUserConversationMember/userId eq"
    assert subject.server.seen[0].count(clause) == 15
    assert subject.server.seen[2].endswith(f"?$filter={clause} '{PEOPLE[15]}'")


async def test_a_membership_that_is_gone_counts_as_removed_and_a_refusal_ends_the_removals(subject: Subject) -> None:
    memberships = {"value": [membership(person) for person in (ADA, BEN, CLEO)]}
    subject.server.responses = [
        (200, memberships),
        (404, refused("NotFound", "not found")),
        (403, refused("Forbidden", "The last owner cannot be removed")),
    ]
    removals = await subject.teams.remove_from_team(ID, [ADA, BEN, CLEO])
    assert removals.removed == {ADA}
    assert isinstance(removals.failure, GraphRefused)


@pytest.mark.parametrize(
    ("archived", "error"), [(True, None), (False, Transient)], ids=["it was done", "it was not done yet"]
)
async def test_a_404_to_an_archive_is_looked_into(
    subject: Subject, archived: bool, error: type[SyncError] | None
) -> None:
    subject.server.responses = [(404, refused("NotFound", "")), (200, {"id": ID, "isArchived": archived})]
    if error:
        with pytest.raises(error):
            await subject.teams.archive_team(ID)
    else:
        await subject.teams.archive_team(ID)
    assert subject.server.seen == [f"POST /teams/{ID}/archive", f"GET /teams/{ID}"]


@pytest.mark.parametrize("body", [[], "text", {"value": 1}, {"value": [{"userId": 1}]}, {"value": [{"id": "x"}]}])
async def test_an_answer_of_another_form_is_tried_again_later(subject: Subject, body: object) -> None:
    subject.server.responses = [(200, body)]
    with pytest.raises(Transient):
        await subject.teams.team_people(ID)


@pytest.mark.parametrize("body", [[], "text", {"isArchived": "yes"}, {"isMembershipLimitedToOwners": 1}])
async def test_a_team_of_another_form_is_tried_again_later(subject: Subject, body: object) -> None:
    subject.server.responses = [(200, body)]
    with pytest.raises(Transient):
        await subject.teams.team(ID)


@pytest.mark.parametrize("body", [[], "text", {"value": 1}, {"value": [1, {"userId": [], "error": 1}]}])
async def test_a_207_that_names_nobody_leaves_everybody_for_later(subject: Subject, body: object) -> None:
    subject.server.responses = [(207, body)]
    additions = await subject.teams.add_to_team(ID, [ADA])
    assert not additions.added
    assert isinstance(additions.failure, Transient)
