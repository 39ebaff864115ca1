"""What an explanation is made from, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes.desired import Reason
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.planning.explain.causes import Why
from sync_core.planning.planned import SchoolPlan


class Role(StrEnum):
    """A person's role in a class; every owner whom a sync grants is a member too."""

    MEMBER = "member"
    OWNER = "owner"


class By(StrEnum):
    """The cause of the current state of a role.

    HAND: somebody changed the class in Microsoft 365. UNRECORDED: a sync found the person there already, a sync is
    under way or stopped before it recorded its work, or it happened before the history begins. DELETION: the class or
    the account was deleted. NOBODY: no sync on record ever added them.
    """

    SYNC = "sync"
    HAND = "hand"
    UNRECORDED = "unrecorded"
    DELETION = "deletion"
    NOBODY = "nobody"


class Next(StrEnum):
    """The next sync's effect. HELD: the role stays as it is until an admin approves the change."""

    STAYS = "stays"
    COMES = "comes"
    GOES = "goes"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Subject:
    """The person to explain: Entra id and MIS person id, each empty if unknown."""

    account: AccountId
    person: MisId


@dataclass(frozen=True, slots=True)
class People:
    """The people of a class in Microsoft 365 now: Entra ids.

    `members` is None if Microsoft 365 does not show them. `found`: Microsoft 365 has the class.
    """

    members: frozenset[AccountId] | None = frozenset()
    owners: frozenset[AccountId] = frozenset()
    found: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that an explanation is made from.

    `history` is that of the class, oldest first. `has_account`: Microsoft 365 has the account of the person.
    """

    record: ClassRecord
    history: Sequence[AppliedDelta]
    there: People
    planned: SchoolPlan
    settings: SchoolSettings
    has_account: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonEvent:
    """When and by which run a person got a role or lost it; with the reason if they got it."""

    at: datetime
    run: RunId
    cause: Cause
    role: Role
    came: bool
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a person has a role in the class now, the cause, and the next sync's effect.

    `there` is None if Microsoft 365 does not show it. `event` is the last one on record. With SYNC, it is the cause:
    time, run, cause, rule and record. `next_why` says why the role stays as it is if the rules are not the reason, or
    why the last sync did not change it, and `next_cause` is its cause.
    """

    there: bool | None
    by: By
    event: PersonEvent | None
    next: Next
    next_why: str = ""
    next_cause: Why | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A cause, and its sentence."""

    why: Why
    text: str


@dataclass(frozen=True, slots=True)
class OtherGroup:
    """Another group of the MIS that lists the person."""

    id: MisId
    name: str
    type: GroupType


@dataclass(frozen=True, slots=True, kw_only=True)
class InMis:
    """What the MIS has now: the group of the class, the person, their parts in the group, and their other groups.

    `found_by` are the properties of the account that a value of the person equals; never the value.
    """

    group: bool
    person: bool
    student: bool
    teacher: bool
    others: tuple[OtherGroup, ...]
    found_by: tuple[AccountProperty, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The explanation for one person and one class.

    `class_name` is the display name of the class, and `group_name` and `group_type` are those of its group. `account`
    and `person` are the Entra id and the MIS person id, if known. `wanted` is the reason why the rules want the person
    in the class now. `mis` is None if no plan could be made. `now` has the sentence of each role that matters, `rules`
    that of the rules, and `next_sync` what the next sync does; `decides` is the cause among these that decides. `lines`
    are the whole explanation as text, and `causes` the causes that they name.
    """

    school: SchoolId
    key: ClassKey
    class_name: str
    group_name: str
    group_type: GroupType
    class_id: ClassId
    account: AccountId
    person: MisId
    at: datetime
    member: Standing
    owner: Standing
    wanted: Reason | None
    mis: InMis | None
    now: tuple[Statement, ...]
    rules: Statement
    next_sync: str
    decides: Why
    history: tuple[PersonEvent, ...]
    causes: tuple[Why, ...]
    lines: tuple[str, ...]
