"""The objects of a directory, named as Graph names them, and their form in the journal."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

USER_PROPERTIES = (
    "userPrincipalName",
    "displayName",
    "mail",
    "mailNickname",
    "employeeId",
    "onPremisesSamAccountName",
    "accountEnabled",
    "userType",
)

Collection = Literal["members", "owners"]


@dataclass(slots=True)
class User:
    """`licensed` is whether the user has an education licence, which Graph shows nowhere."""

    id: str
    userPrincipalName: str  # noqa: N815  named as Graph names it
    displayName: str = ""  # noqa: N815
    mail: str | None = None
    mailNickname: str | None = None  # noqa: N815
    employeeId: str | None = None  # noqa: N815
    onPremisesSamAccountName: str | None = None  # noqa: N815
    accountEnabled: bool = True  # noqa: N815
    userType: str = "Member"  # noqa: N815
    licensed: bool = True
    deleted: bool = False


@dataclass(slots=True)
class Group:
    """A group; a class if `is_class`. A class's teachers are its owners."""

    id: str
    displayName: str  # noqa: N815
    mailNickname: str  # noqa: N815
    is_class: bool
    created_at: float
    description: str | None = None
    externalId: str | None = None  # noqa: N815
    externalName: str | None = None  # noqa: N815
    externalSource: str | None = None  # noqa: N815
    members: dict[str, None] = field(default_factory=dict)
    owners: dict[str, None] = field(default_factory=dict)
    deleted_at: float | None = None
    purged: bool = False

    def people(self, collection: Collection) -> dict[str, None]:
        return self.members if collection == "members" else self.owners


@dataclass(frozen=True, slots=True)
class Event:
    """One change, for the deltas: `kind` is user, group, members or owners; `properties` are those of a user."""

    kind: str
    id: str
    person: str = ""
    added: bool = True
    properties: tuple[str, ...] = ()


def values_of(record: User | Group | Event) -> dict[str, Any]:
    """Its fields by their names. `asdict` would copy the people of a group one by one."""
    return {each.name: getattr(record, each.name) for each in fields(record)}


def stored_group(group: Group) -> dict[str, Any]:
    return values_of(group) | {"members": list(group.members), "owners": list(group.owners)}


def loaded_group(stored: dict[str, Any]) -> Group:
    people = {name: dict.fromkeys(stored[name]) for name in ("members", "owners")}
    return Group(**{**stored, **people})
