"""The caller: the principal that App Service authentication passes on, with its app roles and its access to schools."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel

from sync_core.domain.ids import AccountId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Forbidden, NotSignedIn

PRINCIPAL_HEADER = "x-ms-client-principal"

# App Service names claims by short names or by URIs, depending on the version of its authentication.
_ID = {"oid", "http://schemas.microsoft.com/identity/claims/objectidentifier"}
_ROLES = {"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}
_SCOPES = {"scp", "http://schemas.microsoft.com/identity/claims/scope"}
SCOPE = "user_impersonation"
"""The scope of the app registration (infra/scripts/admin_registration.py). An ID token has no scope."""
_GROUPS = {"groups", "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"}


class Role(StrEnum):
    """The app roles, as the app registration names them."""

    ADMIN = "GroupSync.Admin"
    TEACHER = "GroupSync.Teacher"


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in person by Entra id. `ids` are the Entra ids that schools grant access to: theirs and their groups'.

    `name` is for their own pages alone, never for a log or a table.

    Their app roles apply to the schools that grant them access, or to every school for `all_schools`.
    """

    id: AccountId
    roles: frozenset[str]
    ids: frozenset[str]
    all_schools: bool
    name: str = field(default="", repr=False)
    scopes: frozenset[str] = frozenset()

    def need_scope(self) -> None:
        """Raises NotSignedIn for a token that is no access token for this app: App Service takes its ID tokens too."""
        if SCOPE not in self.scopes:
            raise NotSignedIn(
                f"the token is no access token with the scope {SCOPE}",
                "request one for the scope api://CLIENT/.default, with the client id of the admins' sign-in as CLIENT",
            )

    def need(self, *roles: Role) -> None:
        """Raises Forbidden without one of `roles`."""
        if not self.roles & set(roles):
            raise Forbidden(
                f"this needs the app role {' or '.join(roles)}",
                "ask an admin to assign it to you under Enterprise applications in Entra ID",
            )

    def has_access(self, settings: SchoolSettings) -> bool:
        return self.all_schools or not self.ids.isdisjoint(settings.access)

    def need_all_schools(self, action: str, remedy: str) -> None:
        """Raises Forbidden unless the caller's role applies to every school."""
        if not self.all_schools:
            raise Forbidden(f"only an admin of all schools may {action}", remedy)

    def need_school(self, settings: SchoolSettings | None) -> None:
        """Raises the same Forbidden for a school without access as for a school that does not exist."""
        if not self.all_schools and (settings is None or not self.has_access(settings)):
            raise Forbidden(
                "you have no access to this school",
                "ask an admin to add you, or one of your groups, to access in the school's settings",
            )


class _Claim(BaseModel):
    typ: str
    val: str


class _Principal(BaseModel):
    claims: list[_Claim]
    role_typ: str = ""


def read_caller(header: str | None, signed_in_by_app_service: bool, everywhere: Set[str]) -> Caller:
    """The caller named by the header of App Service authentication ("Work with user identities"). Raises NotSignedIn.

    `everywhere` are the Entra ids whose app roles apply to every school. Where App Service does not sign callers in, it
    does not strip the header either: anybody could send it, so every caller is rejected.
    """
    if not signed_in_by_app_service:
        raise NotSignedIn(
            "App Service authentication is off, so no caller can be identified",
            "turn it on for this app with Microsoft Entra ID as its provider",
        )
    try:
        principal = _Principal.model_validate_json(base64.b64decode(header or "", validate=True))
    except ValueError:  # of base64, of its text, or of pydantic
        raise NotSignedIn("you are not signed in", "sign in with your school account and try again") from None
    identity = _values(principal, _ID)
    if len(identity) != 1:
        raise NotSignedIn("you are not signed in with Microsoft Entra ID", "sign in with your school account")
    ids = frozenset(identity | _values(principal, _GROUPS))
    return Caller(
        id=AccountId(identity.pop()),
        roles=frozenset(claim.val for claim in principal.claims if claim.typ in _ROLES | ({principal.role_typ} - {""})),
        ids=ids,
        all_schools=not ids.isdisjoint(everywhere),
        name=next((claim.val for claim in principal.claims if claim.typ == "name"), ""),
        scopes=frozenset(word for claim in principal.claims if claim.typ in _SCOPES for word in claim.val.split()),
    )


def _values(principal: _Principal, types: Iterable[str]) -> set[str]:
    return {claim.val.lower() for claim in principal.claims if claim.typ in types and claim.val}
