"""Why a request for a class is impossible as things stand: the same answer for who asks and for who only looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sync_core.domain.classes.record import ClassOutline, ClassState
from sync_core.domain.ids import ClassKey
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict
from sync_core.planning.year.calendar import in_words


class ClassAction(StrEnum):
    """What may be requested for a class. RELEASE ends the pin of an undo."""

    CREATE = "create"
    RESYNC = "resync"
    DELETE = "delete"
    RESTORE = "restore"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFacts:
    """What decides on a request. `record` is None for a group that has no class.

    `extracted`: the school's MIS allows the group to become a class. `made_from` is the day of the school's calendar
    before which the group gets none.
    """

    settings: SchoolSettings
    key: ClassKey
    record: ClassOutline | None
    pinned: bool = False
    extracted: bool = True
    made_from: date | None = None


def objection(action: ClassAction, facts: ClassFacts) -> Conflict | None:
    """The refusal of a request, with its remedy; None if it is possible now."""
    if action in _NEED_ENABLED and not facts.settings.enabled:
        return paused(facts.settings)
    return _OBJECTIONS[action](facts)


def require_possible(action: ClassAction, facts: ClassFacts) -> None:
    """Raises Conflict."""
    if refusal := objection(action, facts):
        raise refusal


def paused(settings: SchoolSettings) -> Conflict:
    return Conflict(f"school {settings.school} is {settings.paused}", "resume the school, then request it again")


def _to_create(facts: ClassFacts) -> Conflict | None:
    record = facts.record
    if not facts.extracted:
        return Conflict(
            "teaching groups are not extracted from ScholarPack",
            "create the class of a year or registration group, or correct mis in the school's settings",
        )
    if record is not None and not record.gone and (record.made or record.begun):
        return Conflict(f"group {facts.key} has a class already", "resync its members instead")
    if record is None and facts.made_from:
        return Conflict(
            f"group {facts.key} is one of the coming year, whose classes are made from {in_words(facts.made_from)}",
            "wait for that day, or change teachers_in_from in the calendar of the school's settings",
        )
    return None


def _to_resync(facts: ClassFacts) -> Conflict | None:
    key, record = facts.key, facts.record
    if record is None:
        return _never_created(key)
    if record.gone:
        return Conflict(f"class {key} is gone from Microsoft 365", "restore it, or create it again")
    match record.state:
        case ClassState.ENDED if record.retired:
            return Conflict(
                f"an admin ended the year of class {key}, so its members stay as they are",
                "take its year end back; the next sync makes it match the MIS again",
            )
        case ClassState.ENDED:
            return Conflict(
                f"class {key} has ended, so its members stay as they are: its group is no longer in the MIS, or an "
                "admin ended it",
                "if the group should still exist, correct the MIS, or choose on the page of the class that it follows "
                "the MIS; the next sync then does",
            )
        case ClassState.PINNED:
            return Conflict(f"class {key} is pinned", "release it first")
        case _:
            return None


def _to_delete(facts: ClassFacts) -> Conflict | None:
    if facts.record is None:
        return _never_created(facts.key)
    if facts.record.gone:
        return Conflict(f"class {facts.key} is gone from Microsoft 365 already", "nothing is left to delete")
    return None


def _to_restore(facts: ClassFacts) -> Conflict | None:
    if facts.record is None:
        return _never_created(facts.key)
    if not facts.record.gone:
        return Conflict(f"class {facts.key} is not deleted", "resync it if its members are wrong")
    return _never_created(facts.key) if not facts.record.made else None


def _to_release(facts: ClassFacts) -> Conflict | None:
    if facts.pinned:
        return None
    return Conflict(f"class {facts.key} is not pinned", "list the school's classes to see which are pinned")


def _never_created(key: ClassKey) -> Conflict:
    return Conflict(f"class {key} was never created in Microsoft 365", "create it for its group")


_NEED_ENABLED = {ClassAction.CREATE, ClassAction.RESYNC, ClassAction.RELEASE}
_OBJECTIONS: Mapping[ClassAction, Callable[[ClassFacts], Conflict | None]] = {
    ClassAction.CREATE: _to_create,
    ClassAction.RESYNC: _to_resync,
    ClassAction.DELETE: _to_delete,
    ClassAction.RESTORE: _to_restore,
    ClassAction.RELEASE: _to_release,
}
