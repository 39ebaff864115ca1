"""Reads the classes of a tenant that may be those of groups without a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sync_core.domain.classes.desired import ClassRequest, DesiredClass
from sync_core.domain.classes.record import Records
from sync_core.domain.classes.tenant_groups import TenantClass
from sync_core.domain.ids import ClassId, ClassKey
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import NotThere, SyncError
from sync_core.graph.port import TenantReader
from sync_core.messaging.messages import Priority, SyncSchool
from sync_core.planning.limits.past import Past
from sync_core.planning.matching.adoption import (
    MOST_READ,
    Adoptions,
    Looked,
    MadeByHand,
    SeenPeople,
    adoptions_of_part,
    find_candidates,
    may_be_owned,
    new_with_team,
    propose_adoptions,
)
from sync_core.planning.membership import RuledSchool
from sync_core.planning.year.arrangement import arrange
from sync_core.planning.year.calendar import school_day
from sync_core.services import Reading

Listed = tuple[TenantClass, ...] | SyncError
"""The classes of a tenant, or why they could not be listed."""


async def look_for_adoptions(
    ruled: RuledSchool,
    records: Records,
    requests: Mapping[ClassKey, ClassRequest],
    settings: SchoolSettings,
    request: SyncSchool,
    past: Past,
    reading: Reading,
) -> tuple[Adoptions, Listed | None]:
    """The teams made by hand that may be those of new classes, and the classes of the tenant if they were listed.

    Only a plan of the whole school looks, for classes that want a team and of which the calendar withholds nothing: a
    team that is taken for a class gets exactly the people of the class.
    """
    new = new_with_team(ruled, records, requests)
    if not new:
        return Adoptions(), None
    if request.scope is not None:
        return adoptions_of_part(new, past.holds, past.decisions.by_digest), None
    day = school_day(settings, reading.clock.now())
    withheld = arrange(new, records, day).withheld
    wanted = [] if day.pause else [desired for desired in new if desired.key not in withheld]
    if not wanted:
        return propose_adoptions(new, Looked(), past.holds, past.decisions.by_digest), None
    tenant = reading.tenants.of(settings.tenant, priority_of_reads(request.cause))
    listed = await list_classes(tenant)
    keys = frozenset(desired.key for desired in wanted)
    if isinstance(listed, SyncError):
        looked = Looked(keys=keys, listed=False, failure=listed)
    else:
        looked = await _look_at(find_candidates(wanted, listed, records), wanted, keys, tenant)
    return propose_adoptions(new, looked, past.holds, past.decisions.by_digest), listed


async def _look_at(
    candidates: tuple[MadeByHand, ...], wanted: Sequence[DesiredClass], keys: frozenset[ClassKey], tenant: TenantReader
) -> Looked:
    """Read the people of the first candidates. Nobody else's members are read than those whose owners fit."""
    people: dict[ClassId, SeenPeople] = {}
    unread: set[ClassId] = set()
    failure: SyncError | None = None
    for candidate in candidates[:MOST_READ]:
        try:
            owners = await tenant.owners(candidate.id)
            fits = may_be_owned(candidate, owners, wanted)
            members = await tenant.members(candidate.id) if fits else frozenset()
        except NotThere:
            people[candidate.id] = SeenPeople(frozenset(), frozenset())
        except SyncError as error:
            unread.add(candidate.id)
            failure = failure or error
        else:
            people[candidate.id] = SeenPeople(members - owners, owners)
    return Looked(keys=keys, candidates=candidates, people=people, unread=frozenset(unread), failure=failure)


async def list_classes(tenant: TenantReader) -> Listed:
    """All classes of the tenant, or why they cannot be listed."""
    try:
        return await tenant.classes()
    except SyncError as error:
        return error


def priority_of_reads(cause: Cause) -> Priority:
    return Priority.BULK if cause is Cause.NIGHTLY else Priority.URGENT
