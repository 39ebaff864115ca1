"""A class: what is wanted of it, what Graph is known to hold, and what one change came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from sync_core.domain.roster import GroupType
from sync_core.domain.runs import Cause


@dataclass(frozen=True, slots=True)
class ClassName:
    """A class's display name and the mail nickname that goes with it."""

    display_name: str
    mail_nickname: str


@dataclass(frozen=True, slots=True)
class ClassRequest:
    """What somebody asked for with a class made by hand: its row outlives every plan.

    `creator` is an Entra user id. An empty `display_name` stands for the naming rule. `generation` counts how often the
    class was requested again after it was gone.
    """

    key: str
    creator: str
    requested_at: datetime
    display_name: str = ""
    description: str = ""
    required_until: date | None = None
    generation: int = 0


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
    class does not follow the MIS. `generation` grows when an admin wants a class that is gone made again.
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
    generation: int = 0
    reasons: Mapping[str, Reason] = field(default_factory=dict, repr=False)

    @property
    def follows_mis(self) -> bool:
        """False for a class that stays as it is: its group left the MIS, or a pin keeps it."""
        return not self.ended and not self.pinned


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
    message: str
    remedy: str


class ClassState(StrEnum):
    """The one state of a class. GONE and DELETED are not in Microsoft 365: only DELETED is an admin's doing here."""

    MAKING = "making"
    LIVE = "live"
    CHANGED_BY_HAND = "changed_by_hand"
    ENDED = "ended"
    PINNED = "pinned"
    DELETING = "deleting"
    DELETED = "deleted"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """A class row: what the plan wants (`desired`), what Graph is known to hold (`actual`), and what is between them.

    `intent` is the nickname a create is under way with, written before Graph is asked, at `intent_at`; `stale` says
    that somebody changed the class in Microsoft 365 since `actual` was written; `gone` that it is not in Graph any
    more; `generation` is the `desired.generation` that `intent` and `actual` belong to, `previous_ids` the class ids of
    earlier generations. `etag` is opaque to all but the store.
    """

    school: str
    desired: DesiredClass
    actual: ActualClass | None = None
    intent: str | None = None
    intent_at: datetime | None = None
    stale: bool = False
    gone: bool = False
    generation: int = 0
    previous_ids: frozenset[str] = frozenset()
    error: RowError | None = None
    etag: str = ""

    @property
    def key(self) -> str:
        return self.desired.key

    @property
    def state(self) -> ClassState:
        wanted = self.desired
        if wanted.deleted:
            return ClassState.DELETED if self.gone else ClassState.DELETING
        if self.gone and wanted.generation <= self.generation:
            return ClassState.GONE
        if wanted.ended:
            return ClassState.ENDED
        if self.actual is None or self.gone:
            return ClassState.MAKING
        if wanted.pinned:
            return ClassState.PINNED
        return ClassState.CHANGED_BY_HAND if self.stale else ClassState.LIVE

    @property
    def external_id(self) -> str:
        """The externalId that our class carries in Graph, and by which alone it is adopted."""
        return f"{self.school}|{self.desired.key}"


@dataclass(frozen=True, slots=True)
class AppliedDelta:
    """What one change did in Graph, for the history: Entra ids only. `reasons` are of those who came."""

    run: str
    cause: Cause
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


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What the delta says of one group: people who came or went, in any order and perhaps twice; `gone` if deleted.

    `nickname` is None where the delta does not repeat it.
    """

    id: str
    nickname: str | None
    members_added: frozenset[str] = frozenset()
    members_removed: frozenset[str] = frozenset()
    owners_added: frozenset[str] = frozenset()
    owners_removed: frozenset[str] = frozenset()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """The groups delta since a token. `full` means the whole tenant: what is not in it is not there."""

    full: bool
    groups: tuple[GroupChange, ...]
    token: str


@dataclass(frozen=True, slots=True)
class Drift:
    """What a refresh found out about one class row; None leaves the column as it is."""

    key: str
    stale: bool | None = None
    gone: bool | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """True in Graph now, and was not before; the counts are of this delivery."""

    created: bool = False
    deleted: bool = False
    restored: bool = False
    owners_granted: int = 0
    owners_revoked: int = 0
    members_added: int = 0
    members_removed: int = 0


@dataclass(frozen=True, slots=True)
class AlreadySo:
    """True in Graph already; nothing was written there."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Graph said a permanent no; it stands on the class row with the remedy. `done` is what was done all the same."""

    code: str
    remedy: str
    done: Applied = Applied()


Outcome = Applied | AlreadySo | Refused
