"""A full resync on request: every class of a tenant is compared with Microsoft 365."""

from __future__ import annotations

from sync_core.domain.runs import Cause
from sync_core.errors import NotFound
from sync_core.messaging.messages import RefreshTenant
from sync_core.services import Services


async def request_full_resync(tenant: str, run: str, services: Services) -> None:
    """Refresh the tenant from the beginning of its deltas, in its turn on the queue. Raises NotFound."""
    if not await services.schools.schools(tenant):
        raise NotFound(f"no school is in tenant {tenant}", "list the schools for their tenants")
    await services.outbox.send_requests([RefreshTenant(tenant, run, Cause.ADMIN, full_resync=True)])
