"""The groups of a tenant as Graph lists and reports them, and what their changes mean for class rows."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core.domain.ids import AccountId, ClassId, ClassKey


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange:
    """A change to one group in a delta. A person may be both added and removed; `gone` means deleted."""

    id: ClassId
    nickname: str | None  # None where the delta does not repeat it
    members_added: frozenset[AccountId] = frozenset()
    members_removed: frozenset[AccountId] = frozenset()
    owners_added: frozenset[AccountId] = frozenset()
    owners_removed: frozenset[AccountId] = frozenset()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """The groups delta since a token. `full` means the whole tenant: a group that is not listed does not exist."""

    full: bool
    groups: tuple[GroupChange, ...]
    token: str


FROM_MIS = "sis"
"""The source of a class that a product made which reads an MIS, also this app."""


@dataclass(frozen=True, slots=True)
class TenantClass:
    """A class in the list of all classes of a tenant; a text is empty where Graph has none.

    `external_source` says who made it: FROM_MIS, or `manual`.
    """

    id: ClassId
    display_name: str
    external_id: str = ""
    external_source: str = ""
    mail_nickname: str = ""


@dataclass(frozen=True, slots=True)
class Drift:
    """What a refresh changes on one class row; None leaves the column as it is."""

    key: ClassKey
    stale: bool | None = None
    gone: bool | None = None
