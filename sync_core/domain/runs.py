"""Runs and holds: why something was synced, what came of it, and what waits for an admin's approval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sync_core.domain.school import FileDrop
from sync_core.errors import SyncError


class Cause(StrEnum):
    """Why something is synced."""

    NIGHTLY = "nightly"
    WEBHOOK = "webhook"
    FILE_DROP = "file_drop"
    ADMIN = "admin"


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


class RunOutcome(StrEnum):
    """What became of a run for one school.

    It was asked for and waits on the queue, or is under way; its plan went out; its feed was not trusted; the school is
    paused or has left; what was asked for cannot be done, and the notes say why.
    """

    REQUESTED = "requested"
    PLANNED = "planned"
    REJECTED = "rejected"
    PAUSED = "paused"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What one run for one school came to, as the plan saw it; `notes` are sentences for an admin, ids only.

    `action` is what an admin asked to be done to one class, and empty for a sync; `requested_by` is the Entra id of
    the requester, and empty where nobody requested the run. `removals` counts the memberships that the plan takes away,
    without those whose loss an admin approved.

    Of people, MIS person ids: without an account, with a disabled one, and with more than one candidate. `gone` are
    classes that somebody deleted in Microsoft 365, `ended` those whose group left the MIS in this run, `expired` those
    whose required lifetime has run out: all class keys.
    """

    school: str
    id: str
    cause: Cause
    at: datetime
    outcome: RunOutcome
    action: str = ""
    requested_by: str = ""
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


@dataclass(frozen=True, slots=True)
class FileDropCheck:
    """What one look at a file drop came to: schools to sync for a new export set, sets archived, and what failed."""

    drop: FileDrop
    schools: int
    archived: int
    failure: SyncError | None = None
