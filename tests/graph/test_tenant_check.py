"""The Graph permissions of the app, and the check of a tenant by the token that the app has for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from bench.simulated import FixedToken
from local.tenant.permissions import GRANTED
from sync_core.domain.ids import ClassId, SchoolId
from sync_core.domain.permissions import PERMISSIONS, CheckedPermission, Grants, TenantCheck, check_grants, unchecked
from sync_core.domain.school.settings import SchoolSettings, Teams
from sync_core.domain.school.team_permissions import checked_for_teams
from sync_core.errors import GraphDenied, Transient
from sync_core.graph.connections import GraphTenants, tenant_credential
from sync_core.graph.tenant_check import check_tenant, read_grants
from sync_core.messaging.messages import Priority
from tests.builders import TENANT, settings
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import OneTenant

REQUIRED = [
    "EduRoster.ReadWrite.All",
    "GroupMember.ReadWrite.All",
    "GroupMember.Read.All",
    "Member.Read.Hidden",
    "User.Read.All",
]
TEAMS = ["Team.Create", "TeamMember.ReadWrite.All", "Team.ReadBasic.All", "TeamSettings.ReadWrite.All"]
RESTORE = "Group.ReadWrite.All"
PRINCIPAL = "22222222-3333-4444-8555-666666666666"
GRANT = f"python infra/scripts/grant_graph.py --tenant={TENANT}"


def jwt(claims: object) -> str:
    """A token as Entra issues it: base64url without padding. Its signature is worthless."""
    parts = ({"typ": "JWT", "alg": "RS256"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join((*encoded, "c2lnbmF0dXJl"))


def school(id_: str, teams: Teams, tenant: str = TENANT) -> SchoolSettings:
    return replace(settings(teams=teams), school=SchoolId(id_), tenant=tenant)


def by_name(check: TenantCheck) -> dict[str, CheckedPermission]:
    return {permission.name: permission for permission in check.permissions}


# --- the permissions


def test_the_app_needs_exactly_these_permissions() -> None:
    assert [permission.name for permission in PERMISSIONS if permission.required] == REQUIRED
    assert [permission.name for permission in PERMISSIONS if not permission.required] == [RESTORE, *TEAMS]
    assert all(permission.purpose.startswith("to ") for permission in PERMISSIONS)


def test_the_simulated_tenant_grants_the_same_permissions() -> None:
    assert set(GRANTED) == {permission.name for permission in PERMISSIONS}


# --- the check


def test_a_tenant_that_granted_everything_is_not_blocked() -> None:
    check = check_grants(TENANT, Grants(frozenset([*REQUIRED, RESTORE, *TEAMS, "Mail.Read"])))
    assert (check.blocked, check.what, check.remedy) == (False, "", "")
    assert {(permission.granted, permission.command) for permission in check.permissions} == {(True, "")}


@pytest.mark.parametrize("missing", REQUIRED)
def test_each_required_permission_blocks_with_its_purpose_and_the_command_that_grants_it(missing: str) -> None:
    check = check_grants(TENANT, Grants(frozenset([*REQUIRED, RESTORE, *TEAMS]) - {missing}, PRINCIPAL))
    permission = by_name(check)[missing]
    assert check.blocked
    assert check.what == f"the app's token for tenant {TENANT} lacks {missing} ({permission.purpose})"
    assert permission == CheckedPermission(
        name=missing,
        purpose=permission.purpose,
        required=True,
        granted=False,
        command=f"{GRANT} --principal={PRINCIPAL}",
    )
    assert check.remedy == (
        f"as a Privileged Role Administrator, run 'az login --tenant {TENANT} --allow-no-subscriptions' and then "
        f"'{GRANT} --principal={PRINCIPAL}'; a managed identity's token may take up to 24 hours to carry a later "
        "grant, and the next night after that syncs the tenant"
    )
    assert [other.name for other in check.permissions if other.granted is False] == [missing]


def test_the_optional_permission_does_not_block() -> None:
    check = check_grants(TENANT, Grants(frozenset(REQUIRED), PRINCIPAL))
    assert (check.blocked, check.what) == (False, "")
    assert by_name(check)[RESTORE].command == f"{GRANT} --principal={PRINCIPAL} --restore"


@pytest.mark.parametrize("missing", TEAMS)
def test_a_permission_for_teams_never_blocks_and_is_told_where_a_school_chooses_teams(missing: str) -> None:
    check = check_grants(TENANT, Grants(frozenset([*REQUIRED, RESTORE, *TEAMS]) - {missing}, PRINCIPAL))
    assert not check.blocked
    schools = [school("S2", Teams.RELEASE), school("S1", Teams.NONE)]
    assert checked_for_teams(check, schools[1:]) == check
    told = checked_for_teams(check, schools)
    assert told.teams_of == ("S2",)
    if missing == "Team.ReadBasic.All":
        assert told.teams_what == ""  # the permission for settings includes it
        return
    assert missing in told.teams_what
    assert f"{GRANT} --principal={PRINCIPAL} --teams" in told.teams_remedy
    assert (told.blocked, told.what) == (False, "")


def test_a_school_that_leaves_activation_to_teachers_needs_no_permission_to_activate() -> None:
    check = check_grants(TENANT, Grants(frozenset([*REQUIRED, *TEAMS[:3]])))
    assert checked_for_teams(check, [school("S1", Teams.CREATE)]).teams_what == ""
    assert "TeamSettings" in checked_for_teams(check, [school("S1", Teams.RELEASE)]).teams_what
    elsewhere = school("S1", Teams.RELEASE, "another")
    assert checked_for_teams(check, [elsewhere]).teams_of == ()


def test_nothing_is_said_of_teams_where_the_token_cannot_be_read() -> None:
    check = unchecked(TENANT, Transient("no token", "later"))
    assert checked_for_teams(check, [school("S1", Teams.RELEASE)]).teams_what == ""


def test_without_an_object_id_the_script_takes_its_own() -> None:
    check = check_grants(TENANT, Grants(frozenset()))
    assert {permission.command for permission in check.permissions} == {
        GRANT,
        f"{GRANT} --restore",
        f"{GRANT} --teams",
    }
    assert all(name in check.what for name in REQUIRED)
    assert RESTORE not in check.what


# --- the token


def test_the_roles_of_a_token_are_its_grants() -> None:
    assert read_grants(jwt({"roles": REQUIRED, "oid": PRINCIPAL})) == Grants(frozenset(REQUIRED), PRINCIPAL)
    # Payloads of every length modulo 3, so with each padding.
    assert [read_grants(jwt({"roles": [], "uti": "x" * length})) for length in range(3)] == [Grants(frozenset())] * 3


def test_a_token_without_roles_was_granted_nothing() -> None:
    assert read_grants(jwt({"aud": "https://graph.microsoft.com", "oid": PRINCIPAL})) == Grants(frozenset(), PRINCIPAL)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "simulated.0123456789abcdef",
        "a.b.c",
        "a.!.c",
        jwt({"roles": REQUIRED}) + ".five.parts",
        jwt(["roles"]),
        jwt({"roles": "EduRoster.ReadWrite.All"}),
        jwt({"roles": [1]}),
        jwt({"scp": "User.Read", "oid": PRINCIPAL}),
    ],
)
async def test_a_token_that_cannot_be_read_blocks_nothing(token: str) -> None:
    assert read_grants(token) is None
    tenant = MemoryTenant()
    tenant.granted = read_grants(token)
    check = await check_tenant(OneTenant(tenant), TENANT)
    assert (check.blocked, {permission.granted for permission in check.permissions}) == (False, {None})
    assert {permission.command for permission in check.permissions} == {""}
    assert "cannot be read" in check.what


class _NoToken:
    """Implements AsyncTokenCredential for an identity that gets no token, or none now."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        raise self._failure


def make_refusal(status: int) -> ClientAuthenticationError:
    """How azure-identity reports that the token endpoint answered with this status."""
    return ClientAuthenticationError("refused", response=SimpleNamespace(status_code=status, reason=""))


async def check_with(credential: Callable[[str], AsyncTokenCredential]) -> TenantCheck:
    return await check_tenant(GraphTenants(credential, "http://127.0.0.1:1/v1.0", FixedClock()), TENANT)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_tenant_whose_token_is_refused_is_blocked(status: int) -> None:
    check = await check_with(lambda _: cast(AsyncTokenCredential, _NoToken(make_refusal(status))))
    assert (check.blocked, check.what) == (True, f"the app's identity got no token for tenant {TENANT}")
    assert check.remedy == (
        "check that the app's managed identity is enabled, and that a tenant other than its home tenant has consented "
        "to the app; the next night after that syncs the tenant"
    )
    assert {permission.granted for permission in check.permissions} == {None}
    assert {permission.command for permission in check.permissions} == {""}


async def test_a_tenant_that_no_identity_is_set_for_is_blocked() -> None:
    home = cast(AsyncTokenCredential, FixedToken(jwt({"roles": REQUIRED})))
    check = await check_with(partial(tenant_credential, "home", "", home))
    assert (check.blocked, check.what) == (True, f"tenant {TENANT} is not the home tenant of the app's identity")
    assert "set GRAPH_CLIENT_ID" in check.remedy


@pytest.mark.parametrize(
    "failure",
    [
        *map(make_refusal, (408, 429, 500, 503)),
        ClientAuthenticationError("a chain of credentials failed, for which it gives no answer"),
        ServiceRequestError("lost"),
    ],
    ids=["408", "429", "500", "503", "chain", "lost"],
)
async def test_a_token_that_cannot_be_fetched_now_blocks_nothing_and_says_why(failure: Exception) -> None:
    check = await check_with(lambda _: cast(AsyncTokenCredential, _NoToken(failure)))
    assert (check.blocked, check.what) == (False, "no token for Graph could be fetched")
    assert check.remedy == "it is retried; if that does not help, check that the app's managed identity is enabled"


@pytest.mark.parametrize(("status", "kind"), [(400, GraphDenied), (429, Transient), (503, Transient)])
async def test_a_request_is_denied_only_where_its_token_is_refused(status: int, kind: type[Exception]) -> None:
    credential = cast(AsyncTokenCredential, _NoToken(make_refusal(status)))
    tenants = GraphTenants(lambda _: credential, "http://127.0.0.1:1/v1.0", FixedClock())
    with pytest.raises(kind):
        await tenants.of(TENANT, Priority.BULK).class_exists(ClassId(PRINCIPAL))


async def test_the_token_that_requests_carry_is_read_without_a_request() -> None:
    token = jwt({"roles": REQUIRED, "oid": PRINCIPAL})
    nobody_listens = "http://127.0.0.1:1/v1.0"
    tenants = GraphTenants(lambda _: FixedToken(token), nobody_listens, FixedClock())
    assert await check_tenant(tenants, TENANT) == check_grants(TENANT, Grants(frozenset(REQUIRED), PRINCIPAL))
