"""How people find their accounts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from annotated_types import MaxLen

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.constraints import FORM, Meaning, Text


class MisProperty(StrEnum):
    """The MIS property of a person that is compared with accounts. USERNAME_OR_EMAIL tries each of the two."""

    USERNAME_OR_EMAIL = "username_or_email"
    USERNAME = "username"
    EMAIL = "email"
    ID = "id"


LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"


_DOMAIN = Text(rf"^({LABEL}(\.{LABEL})+)?$", "a domain, such as school.org, without @")


Domain = Annotated[str, _DOMAIN, MaxLen(253)]


@dataclass(frozen=True, slots=True)
class MatchingChoice:
    """How people of one role find their accounts: a MIS property, and the account property it is compared with."""

    __pydantic_config__ = FORM
    mis: Annotated[
        MisProperty, Meaning("By default the user name and the e-mail address are both tried, as the MIS gives them")
    ] = MisProperty.USERNAME_OR_EMAIL
    account: Annotated[AccountProperty | None, Meaning("By default userPrincipalName and mail are both compared")] = (
        None
    )
    domain: Annotated[
        Domain | None,
        Meaning("Appended to a MIS value without one; by default account_domain, if `account` is an address"),
    ] = None

    @property
    def account_properties(self) -> tuple[AccountProperty, ...]:
        """The account properties that MIS values are compared with."""
        return (self.account,) if self.account else (AccountProperty.UPN, AccountProperty.MAIL)

    def rule(self, account_domain: str) -> Matching:
        """The rule of this choice in a school with this `account_domain`, which completes addresses only."""
        usual = account_domain if all(name.is_address for name in self.account_properties) else ""
        return Matching(self.mis, self.account, usual if self.domain is None else self.domain)


@dataclass(frozen=True, slots=True)
class Matching(MatchingChoice):
    """How people of one role find their accounts. An empty `domain` is not appended."""

    domain: Domain = ""


USUAL_MATCHING = MatchingChoice()
