"""The words of the product as types, so that every room means the same by school, group, class and person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from urllib.parse import quote


class GroupType(StrEnum):
    """The kinds of MIS group that become classes."""

    YEAR = "year"
    REGISTRATION = "registration"
    TEACHING = "teaching"


class AccountProperty(StrEnum):
    """What of an account is compared with people, by Graph's names."""

    UPN = "userPrincipalName"
    MAIL = "mail"
    MAIL_NICKNAME = "mailNickname"
    EMPLOYEE_ID = "employeeId"
    SAM_ACCOUNT_NAME = "onPremisesSamAccountName"


@dataclass(frozen=True, slots=True)
class School:
    """A school as its feed names it. `id` is the feed's own id (sourcedId), `dfe_code` the default name identifier."""

    id: str
    name: str
    dfe_code: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the MIS, reduced to what matching to an account needs. Never a name, never a birth date.

    `username` and `email` are as the feed gives them, stripped; empty where it gives none.
    """

    id: str
    username: str = field(default="", repr=False)
    email: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class MisGroup:
    """A year, registration or teaching group with the people in it, by MIS person id.

    `teachers` has the main teacher first and then the order of the feed; `students` has the order of the feed.
    `academic_year` is the calendar year in which the school year starts.
    """

    id: str
    type: GroupType
    name: str
    academic_year: int
    students: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One school as the MIS has it at one moment: whole, or not made at all (the source raises SnapshotRejected)."""

    school: School
    groups: tuple[MisGroup, ...]
    people: Mapping[str, Person]
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class SnapshotFigures:
    """What a snapshot is compared with the next one by. `domain` is the most common one of the people's addresses."""

    dfe_code: str
    academic_year: int
    groups: int
    students: int
    staff: int
    enrolments: int
    domain: str
    taken_at: datetime


class HoldKind(StrEnum):
    """What was too much: for one class, or for the whole school."""

    CLASS_EMPTIED = "class_emptied"
    CLASS_LOSS = "class_loss"
    TURNOVER = "turnover"
    SCHOOL_LOSS = "school_loss"
    SLOW_LEAK = "slow_leak"
    NEW_CLASSES = "new_classes"


class HoldStatus(StrEnum):
    """What an admin said to a hold."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Hold:
    """A part of a plan that is not written and not sent. `digest` is of exactly what would be done to which classes."""

    digest: str
    kind: HoldKind
    classes: tuple[str, ...]
    what: str
    remedy: str
    run: str
    at: datetime
    status: HoldStatus = HoldStatus.OPEN

    @property
    def approved(self) -> bool:
        return self.status is HoldStatus.APPROVED


@dataclass(frozen=True, slots=True)
class Account:
    """A Microsoft 365 account with what matching needs of it: values by property, stripped and in lower case."""

    id: str
    values: Mapping[AccountProperty, str] = field(repr=False)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ClassName:
    """A class's display name and the mail nickname that goes with it."""

    display_name: str
    mail_nickname: str


@dataclass(frozen=True, slots=True)
class ClassRequest:
    """What somebody asked for with a class made by hand: its row outlives every plan.

    `creator` is an Entra user id; an empty `display_name` stands for the naming rule; `life` counts how often the class
    was asked for again after it was gone.
    """

    key: str
    creator: str
    asked_at: datetime
    display_name: str = ""
    description: str = ""
    required_until: date | None = None
    life: int = 0


class Rule(StrEnum):
    """By what somebody belongs into a class."""

    STUDENT = "student"
    TEACHER = "teacher"
    ADMIN_OWNER = "admin_owner"
    CREATOR = "creator"
    IN_DOUBT = "in_doubt"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody is wanted in a class. `record` is his MIS person id, where the MIS said so.

    IN_DOUBT: several accounts could be his, and he was in the class before. UNDONE: he was in it before the run that an
    admin had undone, and `record` is that run.
    """

    rule: Rule
    record: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """A class kept as it was before a run that an admin had undone, in `run`, until an admin releases it."""

    key: str
    members: frozenset[str]
    owners: frozenset[str]
    undone: str
    run: str


@dataclass(frozen=True, slots=True)
class DesiredClass:
    """A class as the rules want it. `members` and `owners` are Entra user ids; every owner is a member too.

    `reasons` say of each of them why.

    `group_name` and `academic_year` are the MIS's, by which a reused class is found in a new year. `revoke` says that
    owners whom we granted and who are not in `owners` any more lose that. `ended`: the group is not in the MIS any
    more, and the class stays as it is. `deleted`: an admin deleted it. `pinned`: an admin had a run undone, and the
    class does not follow the MIS. `life` grows when an admin wants a class that is gone made again.
    """

    key: str
    group_id: str
    group_type: GroupType
    name: ClassName
    members: frozenset[str]
    owners: frozenset[str]
    group_name: str = ""
    academic_year: int = 0
    description: str = ""
    revoke: bool = False
    ended: bool = False
    deleted: bool = False
    pinned: bool = False
    life: int = 0
    reasons: Mapping[str, Reason] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ActualClass:
    """What Graph is known to hold of a class, written by apply alone.

    `members` is None until the first membership change: the class was just made and nobody was put in it yet. It leaves
    out owners added by hand who are members too: they are kept and are nobody's business. `owners` are the wanted
    owners known to be owners; `granted` those of all owners whom we made owners.
    """

    class_id: str
    name: ClassName
    created_at: datetime
    members: frozenset[str] | None = None
    owners: frozenset[str] = frozenset()
    granted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RowError:
    """The last thing that Graph refused for good, in its words, with what to do about it."""

    code: str
    words: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """A class row: what the plan wants (`desired`), what Graph is known to hold (`actual`), and what is between them.

    `intent` is the nickname a create is under way with, written before Graph is asked, at `intent_at`; `stale` says
    that somebody changed the class in Microsoft 365 since `actual` was written; `gone` that it is not in Graph any
    more; `life` is the `desired.life` that `intent` and `actual` are of, `former` the class ids of lives before it.
    `etag` is opaque to all but the store.
    """

    school: str
    desired: DesiredClass
    actual: ActualClass | None = None
    intent: str | None = None
    intent_at: datetime | None = None
    stale: bool = False
    gone: bool = False
    life: int = 0
    former: frozenset[str] = frozenset()
    error: RowError | None = None
    etag: str = ""

    @property
    def key(self) -> str:
        return self.desired.key

    @property
    def lost(self) -> bool:
        """Gone from Microsoft 365, and nobody asked for it again."""
        return self.gone and self.desired.life <= self.life

    @property
    def external_id(self) -> str:
        """The externalId that our class carries in Graph, and by which alone it is adopted."""
        return f"{self.school}|{self.desired.key}"


@dataclass(frozen=True, slots=True)
class AppliedDelta:
    """What one change did in Graph, for the history: Entra ids only. `reasons` are of those who came."""

    run: str
    cause: str
    at: datetime
    created: bool = False
    members_added: frozenset[str] = frozenset()
    members_removed: frozenset[str] = frozenset()
    owners_granted: frozenset[str] = frozenset()
    owners_revoked: frozenset[str] = frozenset()
    deleted: bool = False
    restored: bool = False
    reasons: Mapping[str, Reason] = field(default_factory=dict, repr=False)

    @property
    def empty(self) -> bool:
        people = self.members_added or self.members_removed or self.owners_granted or self.owners_revoked
        return not (people or self.created or self.deleted or self.restored)


class RunOutcome(StrEnum):
    """What became of a run for one school.

    It was asked for and waits on the queue, or is under way; its plan went out; its feed was not trusted; the school is
    paused or has left; what was asked for cannot be done, and the notes say why.
    """

    ASKED = "asked"
    PLANNED = "planned"
    REJECTED = "rejected"
    PAUSED = "paused"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What one run for one school came to, as the plan saw it; `notes` are sentences for an admin, ids only.

    `action` is what an admin asked to be done to one class, and empty for a sync; `asked_by` is who asked, by Entra id,
    and empty where nobody did. `removals` are the memberships that the plan takes away, but for those of which an admin
    approved the loss.

    Of people, MIS person ids: without an account, with a disabled one, and with more than one candidate. `gone` are
    classes that somebody deleted in Microsoft 365, `ended` those whose group left the MIS in this run, `expired` those
    whose required lifetime has run out: all class keys.
    """

    school: str
    run: str
    cause: str
    at: datetime
    outcome: RunOutcome
    action: str = ""
    asked_by: str = ""
    groups: int = 0
    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: int = 0
    held: tuple[str, ...] = ()
    removals: int = 0
    gone: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    people_without_account: tuple[str, ...] = ()
    people_disabled: tuple[str, ...] = ()
    people_ambiguous: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


_LONGEST_KEY = 80


def class_key(group: MisGroup) -> str:
    """The class's key within its school: academic year, type and MIS id, so that a new year makes a new class.

    It is a table row key and part of a Service Bus session id (at most 128 characters), hence only URL-safe characters
    and a digest in place of the end of a long id.
    """
    plain = f"{group.academic_year}.{group.type}.{quote(group.id, safe='')}".replace("%", "!")
    if len(plain) <= _LONGEST_KEY:
        return plain
    return f"{plain[: _LONGEST_KEY - 17]}!{sha256(plain.encode()).hexdigest()[:16]}"
