"""The probe of a tenant: one class is made, asked about, and deleted again, to learn what no source confirms.

Only an admin starts one. Its record is written before its class is made, and has the class's nickname: what a crash
leaves behind is removed by the next probe or by the next refresh of the tenant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import AccountId, ClassId, MisId
from sync_core.domain.school.team_permissions import needs_of
from sync_core.domain.tenants import (
    CREATED,
    ENOUGH_TO_PRICE,
    Outcomes,
    Probe,
    ProbeAnswer,
    ProbeQuestion,
    delta_answer,
    external_id_answer,
    locked_answer,
    members_answer,
    name_answer,
    nickname_answer,
    no_team_answer,
    not_created,
    patch_answer,
    price_answer,
    teacher_answer,
    team_answer,
    team_people_answer,
    unanswered,
    visibility_answer,
)
from sync_core.errors import Conflict, NicknameTaken, NotFound, NotThere, Permanent, SyncError, TeamNotReady
from sync_core.graph.port import MEMBERS_PER_WRITE, Additions, CreatedClass, NewClass, ProbedTenant, Teams, Tenant
from sync_core.messaging.messages import Priority
from sync_core.services import Services

LASTS_AT_MOST = timedelta(minutes=5)
"""A probe that has not ended after this time was interrupted."""

_DISPLAY_NAME = "MIS Class Sync probe (removes itself)"
# Seconds, a minute in all for one question, and the most for all: Azure's load balancer ends a request after 230.
_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_WAITS_AT_MOST = 150.0

_WAITS_FOR_TEAM = _WAITS[:-1]

_Read = TypeVar("_Read")


async def probe_tenant(begun: Probe, home: str, people: Sequence[AccountId], services: Services) -> Probe:
    """Carry out the probe with these accounts, or with disabled ones, and keep what it answers.

    They are members of the class for some minutes at most, and the first is its teacher. Raises NotFound for a tenant
    that is neither `home` nor that of a school, Conflict, and Transient.
    """
    tenant = begun.tenant
    schools = await services.schools.schools(tenant)
    if tenant != home and not schools:
        raise NotFound(f"tenant {tenant} has no school", "list the schools to see their tenants")
    check = await services.reading.check_tenant(tenant)
    if check.blocked:
        raise Conflict(check.what, check.remedy)
    graph = services.graph.probed(tenant)
    await end_interrupted_probes(tenant, services)
    probes = await services.tenants.probes(tenant)
    if running := next((probe for probe in probes if not probe.ended_at and not _interrupted(probe, services)), None):
        raise Conflict(
            f"a probe of tenant {tenant} began at {running.began_at:%H:%M:%S} UTC and has not ended",
            f"read its answers when it has, or try again {LASTS_AT_MOST.seconds // 60} minutes after it began",
        )
    chosen = tuple(people) or await _disabled_accounts(tenant, graph, services)
    if not chosen:
        raise Conflict(
            "the tenant has no disabled account to probe with",
            f"name up to {MEMBERS_PER_WRITE} accounts in 'people', by Entra object id: they are members of the "
            "probe's class for some minutes",
        )
    await services.tenants.write_probe(begun)
    choosing = [school for school in schools if needs_of(school)]
    teams = services.teams.of(tenant, Priority.URGENT) if choosing else None
    ended = await _Walk(begun, chosen, graph, teams, services).run()
    if ended.delta_tells_members is not None:
        facts = await services.tenants.facts(tenant)
        await services.tenants.write_facts(tenant, replace(facts, delta_tells_members=ended.delta_tells_members))
    return ended


async def last_probe(tenant: str, services: Services) -> Probe:
    """Raises NotFound."""
    probes = await services.tenants.probes(tenant)
    if not probes:
        raise NotFound(f"tenant {tenant} was never probed", f"POST /api/admin/tenants/{tenant}/probe probes it")
    return probes[-1]


async def end_interrupted_probes(tenant: str, services: Services) -> None:
    """Delete the classes of probes that a crash interrupted. Raises Transient."""
    for probe in await services.tenants.probes(tenant):
        if not probe.ended_at and _interrupted(probe, services):
            ended = await _without_class(probe, services.graph.of(tenant, Priority.URGENT), services)
            await services.tenants.write_probe(replace(ended, note=ended.note or "the probe was interrupted"))


def _interrupted(probe: Probe, services: Services) -> bool:
    """Whether a probe that has not ended began too long ago."""
    return services.clock.now() - probe.began_at > LASTS_AT_MOST


async def _disabled_accounts(tenant: str, graph: Tenant, services: Services) -> tuple[AccountId, ...]:
    """At most as many as one request adds. Nobody signs in with them, so nobody sees the class."""
    known = await services.tenants.accounts(tenant)
    disabled = [account.id for account in known or () if not account.enabled]
    if known is None:
        async for part in graph.first_accounts(None, frozenset({AccountProperty.UPN})):
            disabled += [account.id for account in part.accounts if account.enabled is False]
            if len(disabled) >= MEMBERS_PER_WRITE:
                break
    return tuple(disabled[:MEMBERS_PER_WRITE])


async def _without_class(probe: Probe, graph: Tenant, services: Services) -> Probe:
    """The probe once its class is deleted: ended, or with the reason why it is not, for the next refresh to try again.

    No other class has its nickname and its externalId, or its id.
    """
    try:
        found = [group.id for group in await graph.find_groups(probe.nickname) if group.external_id == probe.nickname]
        for class_id in {*found, *filter(None, [probe.class_id])}:
            with suppress(NotThere):
                await graph.delete_class(class_id)
    except SyncError as error:
        return replace(probe, note=f"the class {probe.nickname} is not removed yet: {error}")
    return replace(probe, ended_at=services.clock.now(), note="")


class _Walk:
    """One walk through the questions. A question that fails is left unanswered, and the next one is asked."""

    def __init__(
        self,
        probe: Probe,
        people: Sequence[AccountId],
        graph: ProbedTenant,
        teams: Teams | None,
        services: Services,
    ) -> None:
        """`teams` is None where no school of the tenant chooses teams."""
        self._probe = probe
        self._people = people
        self._graph = graph
        self._teams = teams
        self._created_at = probe.began_at
        self._services = services
        self._answers: dict[ProbeQuestion, ProbeAnswer] = {}
        self._wait_left = _WAITS_AT_MOST

    async def run(self) -> Probe:
        """The probe with its answers, as it was recorded."""
        try:
            await self._ask()
        finally:
            answers = {question.name: answer for question, answer in self._answers.items()}
            answered = replace(self._probe, answers=answers)
            self._probe = await _without_class(answered, self._graph, self._services)
            await self._services.tenants.write_probe(self._probe)
        return self._probe

    async def _ask(self) -> None:
        try:
            created = await self._create()
        except SyncError as error:
            refused = isinstance(error, Permanent)
            self._answers[ProbeQuestion.CREATE] = not_created(error) if refused else unanswered(error)
            return
        class_id, self._created_at = created.id, self._services.clock.now()
        self._answers[ProbeQuestion.CREATE] = CREATED
        self._answers[ProbeQuestion.NAME] = name_answer(kept=created.name == self._name)
        self._probe = replace(self._probe, class_id=class_id)
        await self._services.tenants.write_probe(self._probe)
        for question, ask in (
            (ProbeQuestion.VISIBILITY, self._ask_visibility),
            (ProbeQuestion.PATCH, self._ask_patch),
            (ProbeQuestion.MEMBERS, self._ask_members),
            (ProbeQuestion.DELTA, self._ask_delta),
            (ProbeQuestion.TEACHER_TWICE, self._ask_teacher),
        ):
            await self._answer(question, ask(class_id))
        if self._teams:
            await self._answer(ProbeQuestion.TEAM, self._ask_team(class_id, self._teams))
        # These delete the class, and the team with it.
        await self._answer(ProbeQuestion.NICKNAME, self._ask_nickname(class_id))
        await self._answer(ProbeQuestion.EXTERNAL_ID, self._ask_external_id(class_id))

    async def _answer(self, question: ProbeQuestion, answer: Awaitable[ProbeAnswer]) -> None:
        try:
            self._answers[question] = await answer
        except SyncError as error:
            self._answers[question] = unanswered(error)

    async def _create(self) -> CreatedClass:
        new = NewClass(self._name, self._probe.nickname, MisId("probe"), "It has no use of its own.")
        return await self._graph.create_class(new)

    @property
    def _name(self) -> ClassName:
        return ClassName(_DISPLAY_NAME, self._probe.nickname)

    async def _ask_visibility(self, class_id: ClassId) -> ProbeAnswer:
        return visibility_answer((await self._once_there(lambda: self._graph.described(class_id))).visibility)

    async def _ask_patch(self, class_id: ClassId) -> ProbeAnswer:
        people = self._people
        try:
            told = await self._once_there(lambda: self._graph.add_at_once(class_id, people))
        except Permanent as refusal:
            await self._graph.add_members(class_id, people)
            return patch_answer(refusal)
        self._answers[ProbeQuestion.PRICE] = price_answer(told.units, told.share, len(people))
        if told.units is not None and len(people) >= ENOUGH_TO_PRICE:
            self._probe = replace(self._probe, unit_price=told.units / len(people))
        return patch_answer(None)

    async def _ask_members(self, class_id: ClassId) -> ProbeAnswer:
        wanted = frozenset(self._people)
        try:
            seen = await self._until(lambda: self._graph.members(class_id), lambda seen: seen >= wanted)
        except NotThere:
            raise
        except Permanent as refusal:
            return members_answer(0, len(wanted), refusal)
        return members_answer(len(seen & wanted), len(wanted), None)

    async def _ask_delta(self, class_id: ClassId) -> ProbeAnswer:
        changes = await self._until(
            lambda: self._graph.changes_of(class_id), lambda change: bool(change and change.members_added)
        )
        tells = None if changes is None else bool(changes.members_added)
        self._probe = replace(self._probe, delta_tells_members=tells)
        return delta_answer(tells)

    async def _ask_teacher(self, class_id: ClassId) -> ProbeAnswer:
        await self._once_there(lambda: self._graph.add_owner(class_id, self._people[0]))
        try:
            await self._graph.add_teacher(class_id, self._people[0])
        except Permanent as refusal:
            return teacher_answer(refusal)
        return teacher_answer(None)

    async def _ask_team(self, class_id: ClassId, teams: Teams) -> ProbeAnswer:
        """Make the team and, once it shows, ask about its lock and its people."""
        try:
            await self._repeated(lambda: teams.make_team(class_id), TeamNotReady, _WAITS)
        except (TeamNotReady, Permanent) as error:
            return no_team_answer(error)
        made_at = self._services.clock.now()
        for wait in _WAITS_FOR_TEAM:
            if seen := await teams.team(class_id):
                break
            await self._wait(wait)
        else:
            return team_answer(made_at - self._created_at, None)
        shown_after = self._services.clock.now() - made_at
        self._answers[ProbeQuestion.TEAM_LOCKED] = locked_answer(locked=seen.locked)
        await self._answer(ProbeQuestion.TEAM_PEOPLE, self._ask_team_people(class_id, teams))
        return team_answer(made_at - self._created_at, shown_after)

    async def _ask_team_people(self, class_id: ClassId, teams: Teams) -> ProbeAnswer:
        owner, *others = self._people
        of_owner = await teams.add_to_team(class_id, [], [owner])
        of_others = await teams.add_to_team(class_id, others) if others else Additions()
        return team_people_answer(_outcomes_of(of_owner), _outcomes_of(of_others))

    async def _ask_nickname(self, class_id: ClassId) -> ProbeAnswer:
        await self._graph.delete_class(class_id)
        try:
            second = await self._create()
        except NicknameTaken:
            return nickname_answer(free=False)
        await self._graph.delete_class(second.id)
        return nickname_answer(free=True)

    async def _ask_external_id(self, class_id: ClassId) -> ProbeAnswer:
        await self._graph.restore_class(class_id)
        restored = await self._once_there(lambda: self._graph.described(class_id))
        return external_id_answer(kept=restored.external_id == self._probe.nickname)

    async def _once_there(self, request: Callable[[], Awaitable[_Read]]) -> _Read:
        """The answer once Graph's replicas know the class, for at most a minute."""
        return await self._repeated(request, NotThere, _WAITS)

    async def _repeated(
        self, request: Callable[[], Awaitable[_Read]], while_: type[SyncError], waits: Sequence[float]
    ) -> _Read:
        """The answer once it is no error of this kind, or the error after the last wait."""
        for wait in waits:
            with suppress(while_):
                return await request()
            await self._wait(wait)
        return await request()

    async def _until(self, read: Callable[[], Awaitable[_Read]], found: Callable[[_Read], bool]) -> _Read:
        """The first answer that is `found`, or the last one of a minute."""
        answer = await self._once_there(read)
        for wait in _WAITS:
            if found(answer):
                break
            await self._wait(wait)
            answer = await self._once_there(read)
        return answer

    async def _wait(self, seconds: float) -> None:
        seconds = min(seconds, self._wait_left)
        self._wait_left -= seconds
        await self._services.clock.sleep(seconds)


def _outcomes_of(additions: Additions) -> Outcomes:
    """What became of the people, without who they are. The reason of a refusal is the same for all, as a rule."""
    reasons = sorted({refusal.message for refusal in additions.refused.values()})
    return {
        "added": len(additions.added),
        "already there": len(additions.already),
        "not known to Teams": len(additions.not_there),
        f"refused ({'; '.join(reasons)})": len(additions.refused),
        "not answered": int(additions.failure is not None),
    }
