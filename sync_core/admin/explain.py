"""Explain why a person is in a class or not: from Microsoft 365 as it is now, a plan, and the history."""

from __future__ import annotations

from contextlib import suppress

from sync_core.admin.requests import existing_class
from sync_core.domain.classes import ClassRecord
from sync_core.domain.ids import ClassKey
from sync_core.domain.school import SchoolSettings
from sync_core.errors import NotFound, NotThere
from sync_core.graph.port import Tenant
from sync_core.messaging.messages import Priority
from sync_core.planning.explanation import Explanation, People, explain, find_subject
from sync_core.planning.matching.accounts import accounts_by_upn
from sync_core.planning.school_plan import plan_to_show
from sync_core.services import Services


async def explain_person(settings: SchoolSettings, key: ClassKey, person: str, services: Services) -> Explanation:
    """`person` is an Entra id, a MIS person id or a user principal name. Writes nothing. Raises NotFound."""
    school = settings.school
    record = await existing_class(school, key, services)
    history = await services.classes.history(school, key)
    planned = await plan_to_show(school, services.reading)
    if planned.ruled:
        by_upn = planned.ruled.by_upn
    else:
        by_upn = accounts_by_upn(await services.tenants.accounts(settings.tenant) or ())
    subject = find_subject(person, by_upn, record, history, planned)
    if subject is None:
        raise NotFound(
            "neither the MIS nor Microsoft 365 has this person, and the history of the class does not have them either",
            "ask by Entra id, MIS person id or user principal name",
        )
    there = await _people(record, services.graph.of(settings.tenant, Priority.URGENT))
    return explain(subject, record, history, there, planned, services.clock.now())


async def _people(record: ClassRecord, tenant: Tenant) -> People:
    if record.actual and not record.gone:
        with suppress(NotThere):
            return People(await tenant.members(record.actual.class_id), await tenant.owners(record.actual.class_id))
    return People()
