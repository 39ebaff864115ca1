"""What people are called, for a page that an admin asked for: read from Microsoft 365 at that moment, kept nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sync_core.domain.ids import AccountId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import SyncError
from sync_core.messaging.messages import Priority
from sync_core.services import Services

MOST = 150
"""People whose names one page looks up: ten requests to Graph."""


async def names_of(
    people: Iterable[AccountId], settings: SchoolSettings, services: Services
) -> Mapping[AccountId, str]:
    """The display name of each of the first MOST people, and the Entra id of whoever else, or of all if Graph fails."""
    listed = list(dict.fromkeys(people))
    try:
        names = await services.graph.of(settings.tenant, Priority.URGENT).display_names(listed[:MOST])
    except SyncError:
        names = {}
    return {person: names.get(person) or person for person in listed}
