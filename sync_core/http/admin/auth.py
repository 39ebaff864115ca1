"""The caller: the principal that App Service authentication passes on, its app roles, and the schools bound to it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ValidationError

from sync_core.domain.school import SchoolSettings
from sync_core.errors import Forbidden, NotSignedIn

PRINCIPAL_HEADER = "x-ms-client-principal"

# App Service passes claims on under their short names or under URIs, depending on the version of its authentication.
_ID = {"oid", "http://schemas.microsoft.com/identity/claims/objectidentifier"}
_TENANT = {"tid", "http://schemas.microsoft.com/identity/claims/tenantid"}
_ROLES = {"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}
_GROUPS = {"groups", "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"}


class Role(StrEnum):
    """The app roles, as the app registration names them."""

    ADMIN = "GroupSync.Admin"
    TEACHER = "GroupSync.Teacher"


@dataclass(frozen=True, slots=True)
class Caller:
    """`ids` are the Entra ids of the caller and of the groups that the token names: what schools grant access to."""

    id: str
    tenant: str
    roles: frozenset[str]
    ids: frozenset[str]

    def need(self, *roles: Role) -> None:
        """Raises Forbidden without one of `roles`."""
        if not self.roles & set(roles):
            raise Forbidden(
                f"this needs the app role {' or '.join(roles)}",
                "have an admin assign it to you under Enterprise applications in Entra ID",
            )

    def bound_to(self, settings: SchoolSettings, everywhere: Set[str]) -> bool:
        return bool(self.ids & (everywhere | set(settings.access)))

    def everywhere(self, everywhere: Set[str]) -> bool:
        return bool(self.ids & everywhere)

    def need_all_schools(self, everywhere: Set[str], action: str, remedy: str) -> None:
        """Raises Forbidden unless the caller's role counts for every school."""
        if not self.everywhere(everywhere):
            raise Forbidden(f"only an admin of all schools may {action}", remedy)

    def need_school(self, settings: SchoolSettings | None, everywhere: Set[str]) -> None:
        """Raises the same Forbidden for a school that the caller is not bound to as for one that does not exist."""
        if self.everywhere(everywhere) or (settings and self.bound_to(settings, everywhere)):
            return
        raise Forbidden(
            "you are not bound to this school", "have an admin add you, or a group of yours, to the school's access"
        )


class _Claim(BaseModel):
    typ: str
    val: str


class _Principal(BaseModel):
    claims: list[_Claim]
    role_typ: str = ""


def read_caller(header: str | None, signed_in_by_app_service: bool) -> Caller:
    """The caller by the header of App Service authentication ("Work with user identities"). Raises NotSignedIn.

    Where App Service does not sign callers in, it does not strip the header either. A caller could then claim to be any
    other, so none is let in.
    """
    if not signed_in_by_app_service:
        raise NotSignedIn(
            "App Service authentication is off, so no caller can be identified",
            "turn it on for this app with Microsoft Entra ID as its provider",
        )
    try:
        principal = _Principal.model_validate_json(base64.b64decode(header or "", validate=True))
    except (ValidationError, binascii.Error):
        raise NotSignedIn("you are not signed in", "sign in with your school account and try again") from None
    identity = _values(principal, _ID)
    if len(identity) != 1:
        raise NotSignedIn("you are not signed in with Microsoft Entra ID", "sign in with your school account")
    (id_,) = identity
    return Caller(
        id=id_,
        tenant=next(iter(sorted(_values(principal, _TENANT))), ""),
        roles=frozenset(claim.val for claim in principal.claims if claim.typ in _ROLES | {principal.role_typ}),
        ids=frozenset({id_, *_values(principal, _GROUPS)}),
    )


def _values(principal: _Principal, types: Iterable[str]) -> set[str]:
    return {claim.val.lower() for claim in principal.claims if claim.typ in types and claim.val}
