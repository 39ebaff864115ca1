"""One class with all that is known of it: its people as wanted, as Microsoft 365 has them, and as the MIS has them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sync_core.admin.classes.choices import ChosenClass, chosen_class
from sync_core.admin.classes.objections import ClassAction, ClassFacts, objection
from sync_core.admin.explain import read_people
from sync_core.admin.requests import existing_class
from sync_core.domain.classes.desired import ClassRequest, DesiredClass, Pin, Reason
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId, ClassKey
from sync_core.domain.runs import HoldStatus, RunOutcome
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, SyncError
from sync_core.messaging.messages import Priority
from sync_core.planning.explain.model import People, Role
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.school_plan import plan_to_show
from sync_core.services import Services

RESTORED_FOR = timedelta(days=30)
"""How long Microsoft 365 can restore a deleted group ("Restore a deleted Microsoft 365 group")."""


class Seen(StrEnum):
    """How a person of a class is in Microsoft 365, compared with what is wanted.

    UNKNOWN: it does not show it. NO_CLASS: it does not have the class.
    """

    SAME = "same"
    MISSING = "missing"
    EXTRA = "extra"
    EXTRA_OWNER = "extra_owner"
    UNKNOWN = "unknown"
    NO_CLASS = "no_class"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPerson:
    """A person of a class by Entra id, with the role that is wanted, that they have, and that the MIS gives them.

    `there` and `mis` are None too where Microsoft 365 or the MIS was not read. `reason` is why they are wanted.
    """

    account: AccountId
    wanted: Role | None
    there: Role | None
    seen: Seen
    mis: Role | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MisClass:
    """What the MIS wants for a class now. `wanted` is None if nothing is known, and `what` says why."""

    read_at: datetime
    wanted: DesiredClass | None
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneClass:
    """A class. `history` has the newest change first, and `people` those first who differ.

    `there` is None if Microsoft 365 could not be read, and `unread` says why. `mis` is None unless it was asked for.
    `restorable_until` is known of a class that a request deleted. `held`: an open hold has the class. `chosen` is what
    an admin chose for it.
    """

    facts: ClassFacts
    record: ClassRecord
    request: ClassRequest | None
    pin: Pin | None
    history: tuple[AppliedDelta, ...]
    there: People | None
    unread: SyncError | None
    people: tuple[ClassPerson, ...]
    held: bool
    chosen: ChosenClass
    mis: MisClass | None = None
    restorable_until: datetime | None = None
    objections: Mapping[ClassAction, Conflict | None] = field(default_factory=dict)


async def read_one_class(
    settings: SchoolSettings, key: ClassKey, services: Services, mis: MisClass | None = None
) -> OneClass:
    """The class as recorded and as Microsoft 365 has it now. `mis` is what the caller read. Raises NotFound."""
    school, classes = settings.school, services.classes
    record = await existing_class(school, key, services)
    (requests, pins, choices, holds), oldest_first, (there, unread) = await asyncio.gather(
        asyncio.gather(
            classes.class_requests(school),
            classes.pins(school),
            classes.choices(school),
            services.schools.holds(school),
        ),
        classes.history(school, key),
        _read_there(record, settings, services),
    )
    history = tuple(reversed(oldest_first))
    facts = ClassFacts(settings=settings, key=key, record=record.outline, pinned=key in pins)
    return OneClass(
        facts=facts,
        record=record,
        request=requests.get(key),
        pin=pins.get(key),
        history=history,
        there=there,
        unread=unread,
        people=people_of(record.desired, there, mis.wanted if mis else None),
        held=any(key in hold.keys for hold in holds if hold.status is HoldStatus.OPEN),
        chosen=chosen_class(record, choices, pins.get(key), settings, services.clock.now()),
        mis=mis,
        restorable_until=_restorable_until(record, history),
        objections={action: objection(action, facts) for action in ClassAction},
    )


async def read_class_in_mis(settings: SchoolSettings, key: ClassKey, services: Services) -> MisClass:
    """What a plan made now would want for the class, before pins and limits. Reads the MIS, and writes nothing."""
    planned = await plan_to_show(settings.school, services.reading)
    wanted = _wanted(key, planned)
    if planned.run.outcome is not RunOutcome.PLANNED:
        return MisClass(read_at=planned.run.at, wanted=None, what=" — ".join(planned.run.notes))
    what = "" if wanted else "its group is no longer in the MIS, or is not one that becomes a class"
    return MisClass(read_at=planned.run.at, wanted=wanted, what=what)


def people_of(wanted: DesiredClass, there: People | None, mis: DesiredClass | None = None) -> tuple[ClassPerson, ...]:
    """Everybody who is wanted, who is there, or whom the MIS has: those who differ first, then owners, then by id."""
    in_class = (there.owners | (there.members or frozenset())) if there else frozenset()
    everybody = wanted.members | wanted.owners | in_class | (mis.members if mis else frozenset())
    found = [_person(account, wanted, there, mis) for account in sorted(everybody)]
    return tuple(sorted(found, key=lambda person: (not _differs(person, mis), person.wanted is not Role.OWNER)))


def _person(account: AccountId, wanted: DesiredClass, there: People | None, mis: DesiredClass | None) -> ClassPerson:
    wanted_role = _role(account, wanted.members, wanted.owners)
    there_role = _role(account, there.members or frozenset(), there.owners) if there else None
    return ClassPerson(
        account=account,
        wanted=wanted_role,
        there=there_role,
        seen=_seen(wanted_role, there_role, there),
        mis=_role(account, mis.members, mis.owners) if mis else None,
        reason=wanted.reasons.get(account),
    )


def _seen(wanted: Role | None, role: Role | None, there: People | None) -> Seen:
    if there and not there.found:
        return Seen.NO_CLASS
    if role is Role.OWNER:
        return Seen.SAME if wanted is Role.OWNER else Seen.EXTRA_OWNER
    if there is None or there.members is None:
        # Who is an owner is known where the members are hidden.
        return Seen.MISSING if there and wanted is Role.OWNER else Seen.UNKNOWN
    if wanted is role:
        return Seen.SAME
    return Seen.EXTRA if wanted is None else Seen.MISSING


def _differs(person: ClassPerson, mis: DesiredClass | None) -> bool:
    return person.seen is not Seen.SAME or (mis is not None and person.mis is not person.wanted)


def _role(account: AccountId, members: Set[AccountId], owners: Set[AccountId]) -> Role | None:
    if account in owners:
        return Role.OWNER
    return Role.MEMBER if account in members else None


def _wanted(key: ClassKey, planned: SchoolPlan) -> DesiredClass | None:
    ruled = planned.ruled
    return next((each for each in (*ruled.classes, *ruled.overruled) if each.key == key), None) if ruled else None


async def _read_there(
    record: ClassRecord, settings: SchoolSettings, services: Services
) -> tuple[People | None, SyncError | None]:
    try:
        return await read_people(record, services.graph.of(settings.tenant, Priority.URGENT)), None
    except SyncError as error:
        return None, error


def _restorable_until(record: ClassRecord, history: tuple[AppliedDelta, ...]) -> datetime | None:
    """Known only where the last change on record is the deletion: who deletes by hand leaves no time."""
    deleted = record.gone and bool(history) and history[0].deleted
    return history[0].at + RESTORED_FOR if deleted else None
