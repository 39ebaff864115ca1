"""The caller from the header of App Service authentication. An incomplete principal is rejected."""

from __future__ import annotations

import base64
import json

import pytest

from sync_core.errors import Forbidden, NotSignedIn
from sync_core.http.admin.auth import Role, read_caller
from tests.builders import settings

OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
ME, GROUP = "A0000000-0000-4000-8000-000000000001", "b0000000-0000-4000-8000-000000000001"


def header(*claims: tuple[str, str], role_typ: str = "roles") -> str:
    whole = {"auth_typ": "aad", "role_typ": role_typ, "claims": [{"typ": typ, "val": val} for typ, val in claims]}
    return base64.b64encode(json.dumps(whole).encode()).decode()


@pytest.mark.parametrize("id_type", [OID, "oid"])
def test_a_caller_is_read_from_short_and_mapped_claims(id_type: str) -> None:
    said = header((id_type, ME), ("roles", "GroupSync.Admin"), ("groups", GROUP.upper()))
    caller = read_caller(said, True, frozenset())
    assert caller.id == ME.lower()
    assert caller.roles == {"GroupSync.Admin"}
    assert caller.ids == {ME.lower(), GROUP}


def test_roles_are_read_from_the_claim_type_that_the_principal_names() -> None:
    said = header((OID, ME), ("my-roles", "GroupSync.Teacher"), ("other", "GroupSync.Admin"), role_typ="my-roles")
    assert read_caller(said, True, frozenset()).roles == {"GroupSync.Teacher"}


def test_a_claim_without_a_type_gives_no_role() -> None:
    said = header((OID, ME), ("", "GroupSync.Admin"), role_typ="")
    assert read_caller(said, True, frozenset()).roles == frozenset()


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "no base64!",
        "é",
        "\ud800",
        base64.b64encode(b'{"claims": 5}').decode(),
        base64.b64encode(b"no json").decode(),
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b'{"claims": [{"typ": "oid"}]}').decode(),
        base64.b64encode(b"\xff\xfe").decode(),
        header(),
        header(("roles", "GroupSync.Admin")),
        header((OID, "")),
        header((OID, ME), ("oid", "c0000000-0000-4000-8000-000000000001")),
    ],
)
def test_an_incomplete_principal_is_rejected(said: str | None) -> None:
    with pytest.raises(NotSignedIn):
        read_caller(said, True, frozenset())


def test_every_caller_is_rejected_without_app_service_authentication() -> None:
    with pytest.raises(NotSignedIn, match="turn it on"):
        read_caller(header((OID, ME), ("roles", "GroupSync.Admin")), False, frozenset())


def test_a_role_is_needed_and_a_school_that_grants_access() -> None:
    token = header((OID, ME), ("roles", "GroupSync.Teacher"), ("groups", GROUP))
    caller = read_caller(token, True, frozenset())
    caller.need(Role.ADMIN, Role.TEACHER)
    with pytest.raises(Forbidden, match=r"GroupSync\.Admin"):
        caller.need(Role.ADMIN)
    for access in ([ME], [GROUP]):
        caller.need_school(settings(access=access))
    read_caller(token, True, frozenset({GROUP})).need_school(None)
    for granted in (settings(), None):
        with pytest.raises(Forbidden, match="no access to this school"):
            caller.need_school(granted)


@pytest.mark.parametrize("scope", ["scp", "http://schemas.microsoft.com/identity/claims/scope"])
@pytest.mark.parametrize(
    ("scopes", "accepted"),
    [
        ("user_impersonation", True),
        ("openid user_impersonation", True),
        ("", False),
        ("openid profile", False),
        ("user_impersonation2", False),
        ("User_Impersonation", False),
    ],
)
def test_a_token_without_the_scope_of_the_app_is_no_access_token(scope: str, scopes: str, accepted: bool) -> None:
    caller = read_caller(header((OID, ME), ("roles", "GroupSync.Admin"), (scope, scopes)), True, frozenset())
    if accepted:
        caller.need_scope()
        return
    with pytest.raises(NotSignedIn, match="no access token with the scope user_impersonation"):
        caller.need_scope()


def test_an_id_token_has_no_scope() -> None:
    said = header((OID, ME), ("roles", "GroupSync.Admin"), ("aud", "client"), ("nonce", "1"))
    with pytest.raises(NotSignedIn, match="no access token"):
        read_caller(said, True, frozenset()).need_scope()
