"""The Graph permissions that the app needs in each tenant, and which of them a tenant granted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sync_core.domain.ids import SchoolId
from sync_core.errors import LATER_GRANT, SyncError


class Need(StrEnum):
    """Who needs a permission. A tenant that lacks one for SYNC is not synced; the others stop less.

    RESTORE: admins who restore classes. TEAMS: schools that choose teams. OPEN_TEAMS: those whose teams the app
    activates, and admins who archive teams.
    """

    SYNC = "sync"
    RESTORE = "restore"
    TEAMS = "teams"
    OPEN_TEAMS = "open-teams"


@dataclass(frozen=True, slots=True)
class Permission:
    """An application permission of Microsoft Graph, and what the app needs it for. Only `required` ones stop a sync."""

    name: str
    purpose: str
    need: Need = Need.SYNC

    @property
    def required(self) -> bool:
        return self.need is Need.SYNC


# Which of the GroupMember permissions Graph accepts differs between its pages ("Permissions reference", "group: delta",
# "Add members"), so the app has both. No permission here can change or delete a user.
PERMISSIONS = (
    Permission("EduRoster.ReadWrite.All", "to create classes, and to grant and revoke their teachers"),
    Permission("GroupMember.ReadWrite.All", "to add and remove pupils"),
    Permission("GroupMember.Read.All", "to find classes, and changes made to them by hand"),
    Permission("Member.Read.Hidden", "to see who is in a class, because the membership of classes is hidden"),
    Permission("User.Read.All", "to find accounts, and to see whether they are enabled"),
    Permission(
        "Group.ReadWrite.All",
        "to restore deleted classes, to see deleted groups, and to add pupils in bulk if Graph requires it",
        Need.RESTORE,
    ),
    Permission("Team.Create", "to make the teams of classes", Need.TEAMS),
    Permission("TeamMember.ReadWrite.All", "to see who is in a team, and to add and remove people", Need.TEAMS),
    Permission("Team.ReadBasic.All", "to see whether a class has a team", Need.TEAMS),
    Permission("TeamSettings.ReadWrite.All", "to activate teams, and to archive them", Need.OPEN_TEAMS),
)
_INCLUDED = {"Team.ReadBasic.All": "TeamSettings.ReadWrite.All"}
"""A permission that another one includes ("Get team")."""


@dataclass(frozen=True, slots=True)
class Grants:
    """What the app's token for a tenant carries: its permissions, and the object id of the app, empty if left out."""

    roles: frozenset[str]
    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPermission:
    """A permission in one tenant. `granted` is null if the app has no token that can be read.

    `command` grants the permission if it is missing, and is empty otherwise.
    """

    name: str
    purpose: str
    required: bool
    granted: bool | None
    command: str = ""
    need: Need = Need.SYNC

    @property
    def missing(self) -> bool:
        """Whether its absence stops the sync."""
        return self.required and self.granted is False


def _checked(permission: Permission, *, granted: bool | None, command: str = "") -> CheckedPermission:
    return CheckedPermission(
        name=permission.name,
        purpose=permission.purpose,
        required=permission.required,
        granted=granted,
        command=command,
        need=permission.need,
    )


_GRANTED = {permission.name: _checked(permission, granted=True) for permission in PERMISSIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCheck:
    """What the app may do in one tenant. A `blocked` one gives no token or lacks a required permission: no sync.

    `what` and `remedy` say why it is blocked, or why its permissions are not known. Both are empty otherwise.
    `teams_of` are the schools that choose teams, and `teams_what` and `teams_remedy` say why these teams wait.
    """

    tenant: str
    blocked: bool
    what: str
    remedy: str
    permissions: tuple[CheckedPermission, ...]
    teams_of: tuple[SchoolId, ...] = ()
    teams_what: str = ""
    teams_remedy: str = ""


def check_grants(tenant: str, grants: Grants) -> TenantCheck:
    permissions = tuple(
        _GRANTED[permission.name]
        if permission.name in grants.roles
        else _checked(permission, granted=False, command=_command(permission, tenant, grants.principal))
        for permission in PERMISSIONS
    )
    missing = [permission for permission in permissions if permission.missing]
    if not missing:
        return TenantCheck(tenant=tenant, blocked=False, what="", remedy="", permissions=permissions)
    return TenantCheck(
        tenant=tenant,
        blocked=True,
        what=f"the app's token for tenant {tenant} lacks {_listed(missing)}",
        remedy=f"{_run(missing[0].command, tenant)}, and the next night after that syncs the tenant",
        permissions=permissions,
    )


def missing_for(check: TenantCheck, needs: Collection[Need]) -> tuple[CheckedPermission, ...]:
    """The permissions for these needs that the app is known not to have. None of a token that cannot be read."""
    granted = {permission.name for permission in check.permissions if permission.granted}
    return tuple(
        permission
        for permission in check.permissions
        if permission.need in needs and permission.granted is False and _INCLUDED.get(permission.name) not in granted
    )


def with_teams(check: TenantCheck, schools: Collection[SchoolId], needs: Collection[Need]) -> TenantCheck:
    """The check with what the teams of these schools, which have these `needs`, wait for."""
    missing = missing_for(check, needs) if schools else ()
    if not missing:
        return replace(check, teams_of=tuple(sorted(schools)))
    return replace(
        check,
        teams_of=tuple(sorted(schools)),
        teams_what=f"teams wait, because the app's token for tenant {check.tenant} lacks {_listed(missing)}",
        teams_remedy=(
            f"{_run(missing[0].command, check.tenant)}; or choose no teams in the settings of these schools: "
            f"{', '.join(sorted(schools))}; classes are synced without teams meanwhile"
        ),
    )


def unchecked(tenant: str, reason: SyncError) -> TenantCheck:
    """The check of a tenant whose token cannot be read: nothing is known, so nothing is blocked."""
    return TenantCheck(
        tenant=tenant, blocked=False, what=reason.message, remedy=reason.remedy, permissions=_not_known()
    )


def without_token(tenant: str, what: str, remedy: str) -> TenantCheck:
    """The check of a tenant that the app gets no token for, as one that never consented. Only a person changes that."""
    remedy = f"{remedy}; the next night after that syncs the tenant"
    return TenantCheck(tenant=tenant, blocked=True, what=what, remedy=remedy, permissions=_not_known())


def _not_known() -> tuple[CheckedPermission, ...]:
    return tuple(_checked(permission, granted=None) for permission in PERMISSIONS)


def _command(permission: Permission, tenant: str, principal: str) -> str:
    of_principal = f" --principal={principal}" if principal else ""
    option = {Need.SYNC: "", Need.RESTORE: " --restore", Need.TEAMS: " --teams", Need.OPEN_TEAMS: " --teams"}
    return f"python infra/scripts/grant_graph.py --tenant={tenant}{of_principal}{option[permission.need]}"


def _run(command: str, tenant: str) -> str:
    return (
        f"as a Privileged Role Administrator, run 'az login --tenant {tenant} --allow-no-subscriptions' and then "
        f"'{command}'; {LATER_GRANT}"
    )


def _listed(missing: Sequence[CheckedPermission]) -> str:
    return ", ".join(f"{permission.name} ({permission.purpose})" for permission in missing)
