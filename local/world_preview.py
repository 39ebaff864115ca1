"""The plan of a feed against the local world as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import loopback
from local.accounts import ListedAccount
from local.known_school import KnownSchool
from local.nightly import open_state
from local.preview import preview_feed
from local.world import Addresses
from sync_core.domain.classes.tenant_groups import TenantClass
from sync_core.domain.ids import AccountId, ClassId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import NotThere
from sync_core.graph.port import TenantReader
from sync_core.messaging.messages import Priority
from sync_core.planning.preview.preview import Preview


@dataclass(frozen=True, slots=True)
class SimulatedTenants:
    """Implements TenantReaders and TenantReader for the simulated tenant at `address`, without a sign-in."""

    address: str

    def of(self, tenant: str, priority: Priority) -> TenantReader:
        return self

    async def classes(self) -> tuple[TenantClass, ...]:
        return tuple(
            TenantClass(one["id"], one["displayName"], one["externalId"] or "", one["externalSource"] or "")
            for one in self._there()
        )

    async def members(self, class_id: ClassId) -> frozenset[AccountId]:
        return self._people(class_id, "members")

    async def owners(self, class_id: ClassId) -> frozenset[AccountId]:
        return self._people(class_id, "owners")

    def _people(self, class_id: ClassId, role: str) -> frozenset[AccountId]:
        found = [one for one in self._there() if one["id"] == class_id]
        if not found:
            raise NotThere
        return frozenset(map(AccountId, found[0][role]))

    def _there(self) -> list[dict[str, Any]]:
        listed = (
            loopback.get(f"{self.address}/_sim/classes", params={"people": "ids"}, timeout=60).raise_for_status().json()
        )
        return [one for one in listed if not one["deleted"]]


async def preview_world(
    addresses: Addresses, feed_path: Path, values: Mapping[str, object], accounts: Sequence[ListedAccount] | None
) -> list[Preview]:
    """What `sync` of the same feed would do in the local world. Raises SnapshotRejected, UnknownSetting."""
    async with open_state(addresses.tables) as state:
        await state.ensure_tables()

        async def known(settings: SchoolSettings) -> KnownSchool:
            return KnownSchool(
                settings=settings,
                known_accounts=await state.accounts(settings.tenant) or (),
                records=await state.class_records(settings.school),
                requests=await state.class_requests(settings.school),
                pinned=await state.pins(settings.school),
                open_holds=await state.holds(settings.school),
                accepted=await state.accepted_statistics(settings.school),
                past=await state.runs(settings.school),
            )

        return await preview_feed(feed_path, values, accounts, known, SimulatedTenants(addresses.tenant))
