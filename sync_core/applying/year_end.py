"""Carries out what an admin decided at the end of the year of a class: its display name, and its pupils."""

from __future__ import annotations

from dataclasses import replace

from sync_core.applying.attempt import Attempt
from sync_core.applying.people import People
from sync_core.applying.team import TeamWork
from sync_core.domain.classes.outcomes import AlreadySo, Outcome, Refused
from sync_core.domain.classes.record import ActualClass, ClassRecord
from sync_core.domain.classes.year_end import YearEnd


async def follow_year_end(record: ClassRecord, attempt: Attempt, people: People, team: TeamWork) -> Outcome:
    """Once for each decision: what somebody changes by hand afterwards stays. Raises as the methods of a tenant.

    A delivery that did not reach the team is followed by one that does.
    """
    ending = record.desired.year_end
    if ending is None or record.actual is None or record.gone or record.desired.deleted:
        return AlreadySo()
    if record.year_end_waits:
        actual = await people.follow_year_end(record)
        actual = await _renamed(actual, ending, attempt)
        record = await attempt.write(replace(record, actual=replace(actual, year_end=ending.run), error=people.error()))
    in_team = await team.tell(record)
    error = people.error() or in_team
    return Refused(error.code, error.remedy, attempt.applied) if error else attempt.outcome()


async def _renamed(actual: ActualClass, ending: YearEnd, attempt: Attempt) -> ActualClass:
    """Rename the class unless it has another name than the admin was shown: then somebody renamed it since."""
    if not ending.name:
        return actual
    before, after = (ending.name, ending.name_before) if ending.taken_back else (ending.name_before, ending.name)
    name = (await attempt.tenant.shown_class(actual.class_id)).display_name
    if name == before:
        await attempt.tenant.rename_class(actual.class_id, after)
        attempt.note("renamed")
        name = after
    return replace(actual, name=replace(actual.name, display_name=name))
