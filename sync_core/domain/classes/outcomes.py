"""The outcome of one change of a class, and what its history keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sync_core.domain.classes.desired import Reason
from sync_core.domain.ids import AccountId, AccountIds, RunId
from sync_core.domain.runs import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedDelta:
    """What one change did in Graph, for the history: Entra ids only. `reasons` cover the people who were added."""

    run: RunId
    cause: Cause
    at: datetime
    created: bool = False
    adopted: bool = False
    members_added: AccountIds = frozenset()
    members_removed: AccountIds = frozenset()
    owners_granted: AccountIds = frozenset()
    owners_revoked: AccountIds = frozenset()
    deleted: bool = False
    restored: bool = False
    renamed: bool = False
    team_made: bool = False
    team_opened: bool = False
    team_archived: bool = False
    team_unarchived: bool = False
    team_added: AccountIds = frozenset()
    team_removed: AccountIds = frozenset()
    reasons: Mapping[AccountId, Reason] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class FirstChange:
    """When a run first changed a class. `created`: the run made the class, then or later."""

    at: datetime
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The change is made in Graph; the counts cover this delivery."""

    created: bool = False
    adopted: bool = False
    deleted: bool = False
    restored: bool = False
    owners_granted: int = 0
    owners_revoked: int = 0
    members_added: int = 0
    members_removed: int = 0
    renamed: bool = False
    team_made: bool = False
    team_opened: bool = False
    team_archived: bool = False
    team_unarchived: bool = False
    team_added: int = 0
    team_removed: int = 0


@dataclass(frozen=True, slots=True)
class AlreadySo:
    """Graph already agreed; nothing was written there."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Graph refused permanently; the class row has the remedy. `done` is the part that succeeded."""

    code: str
    remedy: str
    done: Applied = Applied()


Outcome = Applied | AlreadySo | Refused
