"""Which schools of a tenant choose teams, and which permissions their teams need."""

from __future__ import annotations

from collections.abc import Iterable

from sync_core.domain.permissions import Need, TenantCheck, with_teams
from sync_core.domain.school.settings import SchoolSettings, Teams

_NEEDS = {
    Teams.NONE: frozenset[Need](),
    Teams.CREATE: frozenset({Need.TEAMS}),
    Teams.RELEASE: frozenset({Need.TEAMS, Need.OPEN_TEAMS}),
}


def needs_of(settings: SchoolSettings) -> frozenset[Need]:
    """What the teams of a school need. Nothing where it chooses none."""
    return _NEEDS[settings.teams]


def checked_for_teams(check: TenantCheck, schools: Iterable[SchoolSettings]) -> TenantCheck:
    """The check of a tenant with what the teams of its schools wait for. Those of `schools` elsewhere do not count."""
    choosing = [school for school in schools if school.tenant == check.tenant and needs_of(school)]
    needs = frozenset[Need]().union(*map(needs_of, choosing))
    return with_teams(check, [school.school for school in choosing], needs)
