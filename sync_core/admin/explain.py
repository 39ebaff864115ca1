"""Explain why a person is in a class or not: from Microsoft 365 as it is now, a plan, and the history."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from sync_core.admin.requests import existing_class
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import GraphDenied, NotFound, NotThere
from sync_core.graph.port import Tenant
from sync_core.messaging.messages import Priority
from sync_core.planning.explain.explanation import explain
from sync_core.planning.explain.model import Evidence, Explanation, People
from sync_core.planning.explain.subject import find_subject
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.school_plan import plan_to_show
from sync_core.services import Services


async def explain_person(settings: SchoolSettings, key: ClassKey, person: str, services: Services) -> Explanation:
    """`person` is an Entra id, a MIS person id, a user principal name, an e-mail address or a user name.

    Writes nothing. Raises NotFound, and Conflict if several people have the value.
    """
    planned = await plan_to_show(settings.school, services.reading)
    return await explain_person_in(planned, settings, key, person, services)


async def explain_person_in(
    planned: SchoolPlan, settings: SchoolSettings, key: ClassKey, person: str, services: Services
) -> Explanation:
    """As `explain_person`, given a plan of the whole school as it is now: one plan explains any number of people."""
    school = settings.school
    record = await _record(school, key, planned, services)
    history = await services.classes.history(school, key)
    accounts = planned.ruled.matching.accounts if planned.ruled else await services.tenants.accounts(settings.tenant)
    subject = find_subject(person, accounts or (), record, history, planned, settings)
    if subject is None:
        raise NotFound(
            "neither the MIS nor Microsoft 365 has this person, and the history of the class does not have them either",
            "ask by MIS person id, Entra id, user principal name, e-mail address or user name",
        )
    tenant = services.graph.of(settings.tenant, Priority.URGENT)
    evidence = Evidence(
        record=record,
        history=history,
        there=await read_people(record, tenant),
        planned=planned,
        settings=settings,
        has_account=subject.account in await tenant.known_people([subject.account] if subject.account else []),
        at=services.clock.now(),
    )
    return explain(subject, evidence)


async def _record(school: SchoolId, key: ClassKey, planned: SchoolPlan, services: Services) -> ClassRecord:
    """The row of a class, or an empty one for a class that the plan wants and no sync has made. Raises NotFound."""
    wanted = planned.wanted.get(key)
    if wanted is None or key in planned.records:
        return await existing_class(school, key, services)
    empty = replace(wanted, members=frozenset(), owners=frozenset(), reasons={})
    return ClassRecord(school=school, desired=empty, tenant=empty.tenant)


async def read_people(record: ClassRecord, tenant: Tenant) -> People:
    """The people of the class in Microsoft 365, who may be hidden if it shows nobody in a class that a sync filled."""
    actual = record.actual
    if actual:
        with suppress(NotThere):
            owners = await tenant.owners(actual.class_id)
            try:
                members = await tenant.members(actual.class_id)
            except GraphDenied:
                return People(None, owners)
            return People(None if actual.members and not members else members, owners)
    return People(found=False)
