"""The rehearsal of a new school year: the plan of one day to come, by the same rules, which only reads.

The feed is the school's own, or one that an admin uploads. Both are read as they count on that day: the sessions and
the enrolments that are in force then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from sync_core.admin.plans.apply import MOST_UNCONFIRMED, ConfirmedSchool, action_of
from sync_core.admin.requests import Accepted, Requester, refuse, submit_for
from sync_core.admin.supposed import Supposed
from sync_core.admin.undo import existing_run
from sync_core.clock import Clock
from sync_core.domain.constraints import FORM, Checked, Meaning, UkDate
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, Unreadable
from sync_core.messaging.messages import MOST_TOLD, ApplyPlan
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.preview.digest import class_digests
from sync_core.planning.preview.preview import preview_of
from sync_core.planning.school_plan import plan_to_show
from sync_core.planning.year.turn import Turn, turn_of
from sync_core.services import Services


def _with_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("should have a time zone, such as 2027-09-01T02:00:00Z")
    return moment


@dataclass(frozen=True, slots=True)
class RehearsedDay:
    """The day whose plan is made."""

    __pydantic_config__ = FORM
    day: Annotated[date, UkDate(), Meaning("As 01/09/2027 or 2027-09-01")]


@dataclass(frozen=True, slots=True)
class TurnApproval:
    """The approval of a rehearsed plan."""

    __pydantic_config__ = FORM
    day: Annotated[date, UkDate(), Meaning("The day that was rehearsed")]
    begins_at: Annotated[datetime, Checked(_with_zone), Meaning("When the plan is carried out, with its time zone")]
    confirm: ConfirmedSchool = ""


class TurnDiffers(Conflict):
    """A rehearsal made now is not the one that the admin was shown. `turn` is the new one."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(
            "the plan of the turn of the year has changed since it was shown, or changes nothing; nothing was approved",
            "look at the rehearsal as it is now, and approve that",
        )
        self.turn = turn


class TurnNotConfirmed(Conflict):
    """Many people would leave, and the approval does not confirm it with the id of the school. `turn` is the plan."""

    def __init__(self, school: SchoolId, turn: Turn) -> None:
        super().__init__(
            f"the plan is not approved yet: {turn.leaving} people would leave a class",
            f"look at who leaves, and confirm the plan with the id of the school, {school}",
        )
        self.turn = turn


_FURTHEST = timedelta(days=400)
"""No feed has more than the next year."""
_AT = time(2)
"""A night plans at about this hour."""


@dataclass(frozen=True, slots=True)
class _ClockOf:
    """Implements Clock: the time is `moment`, and waiting is that of the real clock."""

    moment: datetime
    real: Clock

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        await self.real.sleep(seconds)


async def rehearse(settings: SchoolSettings, day: date, services: Services, upload: bytes | None = None) -> Turn:
    """What the night of `day` would do, if classes and accounts were as they are now. Writes nothing.

    `upload` is a zip file with next year's export, in place of the school's own feed. A pause of the school does not
    count: schools are paused over the summer. Raises Unreadable for a day that is past or too far away.
    """
    _, turn = await _rehearse(settings, day, services, upload)
    return turn


async def approve_turn(
    settings: SchoolSettings, digest: str, approval: TurnApproval, requester: Requester, services: Services
) -> Accepted:
    """Carry the rehearsed plan out at `begins_at`, if a sync would then do exactly what was shown.

    Otherwise the run says which classes differ, and nothing is changed. The plan is made of the school's own feed, also
    if the rehearsal was of an uploaded one. Raises Conflict, TurnDiffers, and Unreadable for a moment that is past.
    """
    planned, turn = await _rehearse(settings, approval.day, services, None)
    if not turn.digest or turn.digest != digest:
        raise TurnDiffers(turn)
    now = services.clock.now()
    if not now < approval.begins_at <= now + _FURTHEST:
        raise Unreadable(
            f"the turn of the year begins after now, and at most {_FURTHEST.days} days ahead; nothing was approved",
            "choose when the plan is to be carried out",
        )
    if turn.leaving > MOST_UNCONFIRMED and approval.confirm != settings.school:
        raise TurnNotConfirmed(settings.school, turn)
    told = tuple(f"{key} {part}" for key, part in class_digests(planned).items())
    request = ApplyPlan(settings.school, digest, requester.run, classes=told if len(told) <= MOST_TOLD else ())
    return await submit_for(approval.begins_at.astimezone(now.tzinfo), request, action_of(digest), requester, services)


async def withdraw_approval(settings: SchoolSettings, run: RunId, services: Services) -> RunRecord:
    """End a run that was approved for later, before it begins: its message then changes nothing.

    Raises NotFound, and Conflict for any other run and for one that has begun.
    """
    record = await existing_run(settings.school, run, services)
    if record.outcome is not RunOutcome.REQUESTED or record.is_under_way(services.clock.now()):
        raise Conflict(f"run {run} does not wait for a later time", "undo it, if it has changed anything")
    return await refuse(record, "an admin withdrew the approval before its time, so nothing was changed", services)


async def _rehearse(
    settings: SchoolSettings, day: date, services: Services, upload: bytes | None
) -> tuple[SchoolPlan, Turn]:
    now = services.clock.now()
    zone = ZoneInfo(settings.time_zone)
    today = settings.date_at(now)
    if not today <= day <= today + _FURTHEST:
        raise Unreadable(
            f"the turn of the year can be rehearsed for a day from today on, and at most {_FURTHEST.days} days ahead",
            "choose the first day on which the new classes should be there",
        )
    moment = max(now, datetime.combine(day, _AT, zone).astimezone(now.tzinfo))
    mis = services.dated_mis.on(moment) if upload is None else services.uploads.of(upload, moment)
    reading = replace(
        services.reading,
        school=Supposed(services.reading.school, replace(settings, enabled=True)),
        mis=mis,
        clock=_ClockOf(moment, services.clock),
    )
    planned = await plan_to_show(settings.school, reading)
    return planned, turn_of(planned, preview_of(planned, settings))
