"""The class teams of one tenant through Microsoft Graph."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from kiota_abstractions.method import Method
from msgraph.graph_request_adapter import GraphRequestAdapter

from sync_core.backoff import WaitBudget
from sync_core.clock import Clock
from sync_core.domain.ids import AccountId, ClassId, entra_id
from sync_core.errors import AlreadyThere, GraphRefused, NotThere, SyncError, TeamNotReady, Transient
from sync_core.graph.answers import items_of, pages_from, text_of, unreadable
from sync_core.graph.port import PEOPLE_PER_TEAM_WRITE, Additions, Removals, SeenTeam, TeamPeople, Teams
from sync_core.graph.rate_limiter import WAITING_BUDGET
from sync_core.graph.refusals import person_refusal_of, team_refusal_of
from sync_core.graph.sending import Answer, Sender, content_of
from sync_core.graph.teams.limiter import Kind, TeamsLimiter, TeamsRequest
from sync_core.messaging.messages import Priority

_GRAPH = "https://graph.microsoft.com/v1.0"
_TEMPLATE = f"{_GRAPH}/teamsTemplates('educationClass')"
_MEMBER = "microsoft.graph.aadUserConversationMember"
_IDS_PER_FILTER = 15
"""Graph's limit for the clauses of a filter elsewhere. No page tells one for this list."""
_OWNER = "owner"


class GraphTeams:
    """Implements the port Teams. Every request may be sent again if it is unknown whether Teams did the work.

    A team that exists is told by a 409, people who are in the team are no error, and a membership is deleted once.
    """

    def __init__(self, sender: Sender[TeamsRequest]) -> None:
        self._sender = sender

    async def team(self, class_id: ClassId) -> SeenTeam | None:
        """v1.0 tells `isMembershipLimitedToOwners`, but only the beta documents it: a $select might be refused.

        A team that does not tell it counts as locked, because then no pupil is sent to it.
        """
        try:
            team = content_of(await self._send(Method.GET, class_id, "", Kind.TEAM))
        except NotThere:
            return None
        return SeenTeam(
            locked=_flag(team, "isMembershipLimitedToOwners", missing=True),
            archived=_flag(team, "isArchived", missing=False),
        )

    async def make_team(self, class_id: ClassId) -> bool:
        """Name, visibility and people come from the group: naming them in the request is an error ("Create team")."""
        group = f"{_GRAPH}/groups('{entra_id(class_id)}')"
        body = {"template@odata.bind": _TEMPLATE, "group@odata.bind": group}
        answer = await self._sender.send(Method.POST, "/teams", body, TeamsRequest(Kind.CREATE, class_id))
        if answer.done:
            return True
        match refusal := team_refusal_of(answer.status, answer.body):
            case AlreadyThere():
                return False
            case NotThere():
                raise TeamNotReady(
                    "Teams does not know the class yet, so it made no team",
                    "nothing to do: it learns of a new class within 15 minutes, and the team is asked for again",
                )
            case _:
                raise refusal

    async def open_team(self, class_id: ClassId) -> None:
        await self._send(Method.PATCH, class_id, "", Kind.TEAM, {"isMembershipLimitedToOwners": False})

    async def team_people(self, class_id: ClassId) -> TeamPeople:
        people = [each async for each in self._memberships(class_id, "?$top=999")]
        owners = frozenset(AccountId(text_of(each, "userId")) for each in people if _is_owner(each))
        everybody = frozenset(AccountId(text_of(each, "userId")) for each in people)
        return TeamPeople(everybody - owners - {AccountId("")}, owners - {AccountId("")})

    async def add_to_team(
        self, class_id: ClassId, members: Sequence[AccountId], owners: Sequence[AccountId] = ()
    ) -> Additions:
        people = [*members, *owners]
        if len(people) > PEOPLE_PER_TEAM_WRITE:
            raise ValueError("too many people for one request")
        values = [_membership(person, []) for person in members] + [_membership(person, [_OWNER]) for person in owners]
        answer = await self._send(Method.POST, class_id, "/members/add", Kind.OTHER, {"values": values})
        outcomes = _outcomes(people, answer)
        try:
            await self._promote(class_id, [person for person in owners if isinstance(outcomes[person], AlreadyThere)])
        except SyncError as failure:
            return _additions(outcomes, failure)
        return _additions(outcomes, None)

    async def remove_from_team(self, class_id: ClassId, people: Sequence[AccountId]) -> Removals:
        removed: set[AccountId] = set()
        missing: set[AccountId] = set()
        try:
            for start in range(0, len(people), _IDS_PER_FILTER):
                part = people[start : start + _IDS_PER_FILTER]
                memberships = await self._memberships_of(class_id, part)
                missing.update(set(part) - memberships.keys())
                for person, membership in memberships.items():
                    with suppress(NotThere):
                        await self._send(Method.DELETE, class_id, _path_of(membership), Kind.OTHER)
                    removed.add(person)
        except NotThere:
            raise
        except SyncError as failure:
            return Removals(frozenset(removed), frozenset(missing), failure)
        return Removals(frozenset(removed), frozenset(missing))

    async def archive_team(self, class_id: ClassId) -> None:
        """The SharePoint site stays writable: an app that asks for more is refused ("Archive team")."""
        try:
            await self._send(Method.POST, class_id, "/archive", Kind.OTHER, {})
        except NotThere:
            await self._look(class_id, archived=True)

    async def unarchive_team(self, class_id: ClassId) -> None:
        try:
            await self._send(Method.POST, class_id, "/unarchive", Kind.OTHER)
        except NotThere:
            await self._look(class_id, archived=False)

    async def _look(self, class_id: ClassId, archived: bool) -> None:
        """Whether the team is as wanted after a 404, which may be answered though the work was done.

        Source: microsoft-graph-docs, issue 8134. Raises NotThere, and Transient for a team that is not as wanted yet.
        """
        team = await self.team(class_id)
        if team is None:
            raise NotThere
        if team.archived is not archived:
            raise Transient(
                "Teams answered that the team is not there, and shows it unchanged",
                "the queue redelivers the message, and the request is sent again",
            )

    async def _promote(self, class_id: ClassId, people: Sequence[AccountId]) -> None:
        """Make owners of people whom Teams calls members already: no source tells whether adding them does."""
        for start in range(0, len(people), _IDS_PER_FILTER):
            memberships = await self._memberships_of(class_id, people[start : start + _IDS_PER_FILTER])
            for membership in memberships.values():
                if not _is_owner(membership):
                    body = {"@odata.type": f"#{_MEMBER}", "roles": [_OWNER]}
                    await self._send(Method.PATCH, class_id, _path_of(membership), Kind.OTHER, body)

    async def _memberships_of(self, class_id: ClassId, people: Sequence[AccountId]) -> dict[AccountId, dict[str, Any]]:
        """The memberships of at most 15 people. Whatever Teams answers, nobody else's is among them."""
        # The page "List members of team" has this form, for one id and for `or`.
        wanted = " or ".join(f"{_MEMBER}/userId eq '{entra_id(person)}'" for person in people)
        found = [each async for each in self._memberships(class_id, f"?$filter={quote(wanted)}")]
        by_person = {AccountId(text_of(each, "userId").lower()): each for each in found}
        return {person: by_person[person] for person in people if person in by_person}

    async def _memberships(self, class_id: ClassId, query: str) -> AsyncIterator[dict[str, Any]]:
        """The memberships of a team. The answer has names and addresses too: a $select cannot leave them out."""
        request = TeamsRequest(Kind.MEMBERS, class_id)

        async def get(link: str) -> dict[str, Any]:
            return content_of(_done(await self._sender.send(Method.GET, link, None, request)))

        async for page in pages_from(f"/teams/{entra_id(class_id)}/members{query}", get):
            for membership in items_of(page):
                yield membership

    async def _send(
        self, method: Method, class_id: ClassId, below: str, kind: Kind, body: Mapping[str, object] | None = None
    ) -> Answer:
        """The answer to a request about a team, to the path `below` it."""
        path = f"/teams/{entra_id(class_id)}{below}"
        return _done(await self._sender.send(method, path, body, TeamsRequest(kind, class_id)))


class GraphTenantTeams:
    """Implements the port TenantTeams. `adapter` returns the connection to a tenant, or raises UnknownSetting."""

    def __init__(self, adapter: Callable[[str], GraphRequestAdapter], clock: Clock) -> None:
        self._adapter = adapter
        self._clock = clock
        self._limiters: dict[str, TeamsLimiter] = {}

    def of(self, tenant: str, priority: Priority) -> Teams:
        adapter = self._adapter(tenant)
        limiter = self._limiters.setdefault(tenant, TeamsLimiter(self._clock))
        return GraphTeams(Sender(adapter, limiter, priority, WaitBudget(self._clock, WAITING_BUDGET)))


def _done(answer: Answer) -> Answer:
    if not answer.done:
        raise team_refusal_of(answer.status, answer.body)
    return answer


def _membership(person: AccountId, roles: Sequence[str]) -> dict[str, object]:
    user = f"{_GRAPH}/users('{entra_id(person)}')"
    return {"@odata.type": _MEMBER, "roles": list(roles), "user@odata.bind": user}


def _path_of(membership: Mapping[str, Any]) -> str:
    """A membership below its team. Its id is opaque, so it is quoted whole."""
    return f"/members/{quote(membership['id'], safe='')}"


def _is_owner(membership: Mapping[str, Any]) -> bool:
    roles = membership.get("roles")
    if not isinstance(roles, list):
        raise unreadable()
    return _OWNER in roles


def _flag(team: Mapping[str, Any], name: str, *, missing: bool) -> bool:
    """A flag of a team; `missing` stands for one that the answer does not have. Null is no."""
    value = team.get(name, missing)
    if not isinstance(value, bool | None):
        raise unreadable()
    return bool(value)


def _outcomes(people: Sequence[AccountId], answer: Answer) -> dict[AccountId, SyncError | None]:
    """The outcome for each person. The answer to nobody but a 207 may leave somebody out."""
    listed = answer.body.get("value") if isinstance(answer.body, dict) else None
    results = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    errors = {str(one.get("userId")).lower(): one.get("error") for one in results}
    unnamed = unreadable() if answer.status == 207 else None
    return {
        person: unnamed if person not in errors else errors[person] and person_refusal_of(errors[person])
        for person in people
    }


def _additions(outcomes: Mapping[AccountId, SyncError | None], failure: SyncError | None) -> Additions:
    def people(kind: type[SyncError]) -> frozenset[AccountId]:
        return frozenset(person for person, error in outcomes.items() if isinstance(error, kind))

    transient = [error for error in outcomes.values() if isinstance(error, Transient)]
    return Additions(
        added=frozenset(person for person, error in outcomes.items() if error is None),
        already=people(AlreadyThere),
        not_there=people(NotThere),
        refused={person: error for person, error in outcomes.items() if isinstance(error, GraphRefused)},
        failure=failure or next(iter(transient), None),
    )
