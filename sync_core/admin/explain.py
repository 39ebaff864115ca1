"""Why is this person in this class, or not? Answered from Microsoft 365 as it is now, a plan, and the history."""

from __future__ import annotations

from sync_core.admin.requests import existing_class, existing_school
from sync_core.clock import Clock
from sync_core.domain.classes import ClassRecord
from sync_core.errors import NotFound, NotThere
from sync_core.graph.port import Tenant, Tenants
from sync_core.messaging.messages import Priority
from sync_core.mis.port import MisSource
from sync_core.planning.explanation import Explanation, People, explain, find_subject
from sync_core.planning.matching import accounts_by_upn
from sync_core.planning.school_plan import SchoolPlan, plan_now
from sync_core.state.port import StateStore


async def explain_person(
    school: str, key: str, asked: str, mis: MisSource, tenants: Tenants, state: StateStore, clock: Clock
) -> Explanation:
    """`asked` is an Entra id, a MIS person id or a user principal name. Nothing is written. Raises NotFound."""
    settings = await existing_school(school, state)
    record = await existing_class(school, key, state)
    history = await state.history(school, key)
    planned = await plan_now(school, mis, state, clock)
    ruled = planned.ruled if isinstance(planned, SchoolPlan) else None
    by_upn = ruled.by_upn if ruled else accounts_by_upn(await state.accounts(settings.tenant) or ())
    subject = find_subject(asked, by_upn, record, history, planned)
    if subject is None:
        raise NotFound(
            "neither the MIS nor Microsoft 365 has this person, and nobody like that was ever in the class",
            "ask by Entra id, MIS person id or user principal name",
        )
    there = await _people(record, tenants.of(settings.tenant, Priority.URGENT))
    return explain(subject, record, history, there, planned, clock.now())


async def _people(record: ClassRecord, tenant: Tenant) -> People:
    if record.actual is None or record.gone:
        return People()
    try:
        return People(await tenant.members(record.actual.class_id), await tenant.owners(record.actual.class_id))
    except NotThere:
        return People()
