"""A full resync on an admin's request: every class of a tenant is compared with Microsoft 365."""

from __future__ import annotations

from sync_core.domain.runs import Cause
from sync_core.errors import NotFound
from sync_core.messaging.messages import RefreshTenant
from sync_core.messaging.port import Outbox
from sync_core.state.port import StateStore


async def request_full_resync(tenant: str, run: str, state: StateStore, outbox: Outbox) -> None:
    """Have the tenant refreshed from the beginning, in its turn on the queue.

    Raises NotFound for a tenant without schools.
    """
    if not await state.schools(tenant):
        raise NotFound(f"no school is in tenant {tenant}", "list the schools for their tenants")
    await outbox.send_requests([RefreshTenant(tenant, run, Cause.ADMIN, full_resync=True)])
