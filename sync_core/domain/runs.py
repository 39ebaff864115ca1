"""Runs and holds: why a school was synced, the outcome, and what waits for an admin's approval. Changes of settings."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from typing import Any

from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import LeftOut, Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FileDrop
from sync_core.errors import LONGEST_SHOWN, SyncError, one_line

_LISTED = 500
"""The most rows that are listed one by one: one row of a table holds no more."""
_NOTES = 100_000
"""The most characters of all notes of a run: a fifth of what one row of a table holds."""


class Cause(StrEnum):
    """What started a run."""

    NIGHTLY = "nightly"
    WEBHOOK = "webhook"
    FILE_DROP = "file_drop"
    ADMIN = "admin"


class HoldKind(StrEnum):
    """Why something of a plan is held: the cause of a loss, or the limit of the school that was exceeded.

    People would leave a class because they LEFT_GROUP (they are in other groups of the MIS), LEFT_MIS (they are in no
    group there), or their GROUP_EMPTIED (it has no pupils). ACCOUNT_DELETED: the tenant no longer has their account.
    UNCLAIMED_ACCOUNT: nobody in the group finds the account now. PINNED: the pin of an undo does not have them.
    TURNOVER: nearly everybody in a class would be replaced. LOST_MATCHING: people who had an account find none now.
    ACCOUNT_MATCHING: too many people find no account, and the whole plan is held. SCHOOL_LOSS, SLOW_LEAK: the school
    would lose too many memberships, at once or in seven days. NEW_CLASSES: too many classes would be made.
    CONTINUATION: a group may continue an earlier class, whose own group the MIS no longer has. ADOPTION: a class team
    that somebody made by hand may be that of a group.
    """

    LEFT_GROUP = "left_group"
    LEFT_MIS = "left_mis"
    GROUP_EMPTIED = "group_emptied"
    ACCOUNT_DELETED = "account_deleted"
    UNCLAIMED_ACCOUNT = "unclaimed_account"
    PINNED = "pinned"
    TURNOVER = "turnover"
    LOST_MATCHING = "lost_matching"
    ACCOUNT_MATCHING = "account_matching"
    SCHOOL_LOSS = "school_loss"
    SLOW_LEAK = "slow_leak"
    NEW_CLASSES = "new_classes"
    CONTINUATION = "continuation"
    ADOPTION = "adoption"


class HoldStatus(StrEnum):
    """An admin's decision on a hold."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


class Approval(StrEnum):
    """How a hold is approved. TWO_STEPS: the first answer says what would happen, and how to confirm it."""

    ONE_STEP = "one_step"
    TWO_STEPS = "two_steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldClass:
    """The part of a hold in one class. `digest` identifies exactly who would come and go.

    `group_name` is the name of the group in the MIS, and `name` that of the class; empty if it is not made yet.
    `leaving` and `joining` are Entra ids, and `people` MIS person ids: of those who would leave, who find no account,
    or who are in a group that may continue the earlier class `continues`. `adopts` is the class in Microsoft 365 that
    may be taken for that of the group. At most 2,000 of each are listed. `lost` counts who would leave, of the
    `students` in the class.
    """

    group_name: str
    name: str
    key: ClassKey
    what: str
    lost: int = 0
    students: int = 0
    leaving: tuple[AccountId, ...] = ()
    joining: tuple[AccountId, ...] = ()
    people: tuple[MisId, ...] = ()
    continues: ClassKey = ClassKey("")
    adopts: ClassId = ClassId("")
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What a plan does not carry out for one cause, class by class. `digest` binds the kind and each class's digest.

    `why` is the limit in words. `value` is what exceeds the `limit`: shares of 1, but counts for `lost_matching`,
    `continuation`, `adoption` and `new_classes`. For the causes of a loss, the limit is that of each class, and the
    value that of the class with the largest loss.
    """

    digest: str
    kind: HoldKind
    status: HoldStatus = HoldStatus.OPEN
    what: str
    remedy: str
    approval: Approval = Approval.ONE_STEP
    why: str = ""
    limit: float = 0.0
    value: float = 0.0
    classes: tuple[HeldClass, ...]
    run: RunId
    at: datetime

    @property
    def approved(self) -> bool:
        return self.status is HoldStatus.APPROVED

    @property
    def keys(self) -> tuple[ClassKey, ...]:
        return tuple(held.key for held in self.classes)


RELEASE = "release"
"""The action of a run that lets pinned classes follow the MIS again."""


class RunOutcome(StrEnum):
    """The outcome of a run for one school.

    REQUESTED: it waits on the queue or is under way. PLANNED: its plan was sent. REJECTED: its feed was rejected.
    PAUSED: the school is paused or was removed. BLOCKED: its tenant has not granted the app a permission that it needs.
    REFUSED: the request cannot be carried out, and the notes say why.
    """

    REQUESTED = "requested"
    PLANNED = "planned"
    REJECTED = "rejected"
    PAUSED = "paused"
    BLOCKED = "blocked"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The result of one run for one school, as planned; `notes` are sentences for an admin, with ids only.

    Each note is one line, and those that are too many are counted in the last one. `whole`: the plan covers every class
    of the school. `action` is the request of an admin, empty for a sync, and `class_key` the class that it is for, if
    it is for one. `requested_by` is the Entra id of the requester, empty where nobody requested the run.
    `scheduled_for` is when a request is carried out that was made for later. `held` are the keys of the classes that
    are held, and `held_because` the kinds of their holds. `removals` counts the memberships that the plan takes away,
    except losses that an admin approved. `left_out` counts the rows of the feed that could not be read.

    The next four count what the school's calendar withholds: classes of the coming year to make, those made without
    their pupils, the pupils who come into both, and the people who stay in a class that the MIS wants them to leave.

    The `people_…` fields are MIS person ids: people without an account, with a disabled account, and with more than one
    candidate. These are class keys: `gone` (deleted in Microsoft 365), `ended` (the group left the MIS in this run),
    `expired` (kept beyond the requested date), `ownerless` (nobody is to own it), `numbered` (its address has a number,
    because another group has the plain one) and `pins_differ` (pinned, and the MIS wants other people now). These are
    keys of classes whose teams are made (`teams_made`) or activated (`teams_opened`) by the run, have to wait because
    the class has no owner (`teams_waiting`), or could not be made or filled when that was last tried (`teams_failed`).
    """

    school: SchoolId
    id: RunId
    cause: Cause
    at: datetime
    outcome: RunOutcome
    whole: bool = False
    action: str = ""
    class_key: ClassKey = ClassKey("")
    requested_by: AccountId = AccountId("")
    scheduled_for: datetime | None = None
    groups: int = 0
    created: tuple[ClassKey, ...] = ()
    changed: tuple[ClassKey, ...] = ()
    unchanged: int = 0
    held: tuple[ClassKey, ...] = ()
    held_because: tuple[HoldKind, ...] = ()
    removals: int = 0
    left_out: int = 0
    gone: tuple[ClassKey, ...] = ()
    ended: tuple[ClassKey, ...] = ()
    expired: tuple[ClassKey, ...] = ()
    classes_to_make: int = 0
    classes_to_fill: int = 0
    pupils_to_come: int = 0
    people_staying: int = 0
    ownerless: tuple[ClassKey, ...] = ()
    numbered: tuple[ClassKey, ...] = ()
    pins_differ: tuple[ClassKey, ...] = ()
    teams_made: tuple[ClassKey, ...] = ()
    teams_opened: tuple[ClassKey, ...] = ()
    teams_waiting: tuple[ClassKey, ...] = ()
    teams_failed: tuple[ClassKey, ...] = ()
    people_without_account: tuple[MisId, ...] = ()
    people_disabled: tuple[MisId, ...] = ()
    people_ambiguous: tuple[MisId, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", _that_fit(self.notes))

    @property
    def syncs(self) -> bool:
        """Whether the run is a sync, and no other action of an admin or a vendor."""
        return self.action in ("", RELEASE)

    def is_under_way(self, now: datetime) -> bool:
        """Whether the run is requested, and not for later."""
        return self.outcome is RunOutcome.REQUESTED and (self.scheduled_for is None or self.scheduled_for <= now)

    @property
    def waiting(self) -> tuple[str, ...]:
        """What waits for a person, with its number; empty if the school was planned and is in step with its MIS."""
        if self.outcome is not RunOutcome.PLANNED:
            return (f"the outcome is {self.outcome}",)
        texts = WAITING | ({"held": _NOT_MATCHED} if HoldKind.ACCOUNT_MATCHING in self.held_because else {})
        counts = ((len(getattr(self, name)), what) for name, what in texts.items())
        return tuple(f"{what}: {count}" for count, what in counts if count)


def _that_fit(notes: tuple[str, ...]) -> tuple[str, ...]:
    lines = tuple(map(one_line, notes))
    ends = list(accumulate(map(len, lines)))
    if not lines or ends[-1] <= _NOTES:
        return lines
    kept = bisect_right(ends, _NOTES - LONGEST_SHOWN)
    return (*lines[:kept], f"{len(lines) - kept} more notes are left out")


WAITING = {
    "held": "classes held until an admin decides",
    "people_without_account": "people who find no account",
    "people_ambiguous": "people with an account in doubt",
    "ownerless": "classes without an owner",
    "pins_differ": "pins that differ from the MIS",
    "teams_waiting": "teams that wait for an owner of the class",
    "teams_failed": "teams that could not be made or filled",
}
"""The fields of a run that are empty if its school is in step, each with what it lists."""
_NOT_MATCHED = "classes held because too many people find no account"
"""In place of a decision of an admin, a setting has to be corrected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutRows:
    """The rows of a school's feed that the last plan left out, for the people who keep the MIS.

    `count` is their number, and `rows` are the first of them by their place in the list.
    """

    run: RunId
    at: datetime
    count: int
    rows: Mapping[str, LeftOut]

    @classmethod
    def of(cls, snapshot: Snapshot, run: RunId, at: datetime) -> LeftOutRows:
        count = sum(each.left_out for each in snapshot.counts)
        rows = {f"{number:04}": row for number, row in enumerate(snapshot.left_out[:_LISTED], start=1)}
        return cls(run=run, at=at, count=count, rows=rows)


@dataclass(frozen=True, slots=True)
class FileDropCheck:
    """The result of one check of a file drop: schools to sync for a new export set, sets archived, and the failure."""

    drop: FileDrop
    schools: int
    archived: int
    failure: SyncError | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """The value of a setting before and after a change, as `values_by_place` has it."""

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """Who saved other settings of a school, when, and which, by place: ids, counts and choices.

    `by` is the Entra id of an admin, empty where none did it.
    """

    school: SchoolId
    at: datetime
    by: AccountId
    settings: Mapping[str, Changed]

    @classmethod
    def between(
        cls, before: SchoolSettings | None, after: SchoolSettings, by: AccountId, at: datetime
    ) -> SettingsChange:
        """User principal names are counted: the record outlives the setting, and an owner may leave the school."""
        changed = changes_between(before, after)
        if owners := changed.get(_ADMIN_OWNERS):
            changed[_ADMIN_OWNERS] = Changed(_counted(owners.before), _counted(owners.after))
        return cls(school=after.school, at=at, by=by, settings=changed)


_ADMIN_OWNERS = "admin_owners"


def changes_between(before: SchoolSettings | None, after: SchoolSettings) -> dict[str, Changed]:
    """The settings that differ, by place. Without `before`, those that are not empty."""
    earlier, now = values_by_place(before) if before else {}, values_by_place(after)
    return {
        place: Changed(earlier.get(place, ""), now.get(place, ""))
        for place in dict.fromkeys((*now, *earlier))
        if earlier.get(place, "") != now.get(place, "")
    }


def values_by_place(record: Any, above: str = "") -> dict[str, str]:
    """The fields of a dataclass as text, by the places that faults of settings name, such as `limits.turnover`."""
    texts: dict[str, str] = {}
    for field in fields(record):
        value, place = getattr(record, field.name), f"{above}{field.name}"
        texts |= values_by_place(value, f"{place}.") if is_dataclass(value) else {place: _as_text(value)}
    return texts


def _as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case tuple():
            return ", ".join(map(str, value))
        case frozenset():
            return ", ".join(sorted(map(str, value)))
        case _:
            return str(value)


def _counted(listed: str) -> str:
    return str(len(listed.split(", "))) if listed else "0"
