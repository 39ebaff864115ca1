"""Reads single groups of a school at Wonde again: each with its people, in one request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sync_core.clock import Clock
from sync_core.domain.roster import GroupType, MisGroup, Snapshot
from sync_core.domain.school.sources import WondeApi
from sync_core.mis.academic_years import Calendar
from sync_core.mis.budget import ServerBudget
from sync_core.mis.quarantine import Quarantine
from sync_core.mis.records import Record
from sync_core.mis.rest.client import Torn
from sync_core.mis.rest.wonde import Roster, WondeOrigin, WondeServer

MOST_GROUPS = 10
"""More groups take as many requests as the changes of the whole school: a dozen."""


async def read_wonde_groups(
    api: WondeApi,
    secret: str,
    whole: Snapshot,
    groups: Sequence[MisGroup],
    clock: Clock,
    calendar: Calendar,
) -> list[MisGroup] | None:
    """These groups of the school as they are now. None if that cannot be told beyond doubt.

    `whole` is a snapshot of the same day. The ids of people are as they were read then, because whether a `mis_id` is
    one depends on everybody. Raises SnapshotRejected and Transient, the latter at the first failure.
    """
    origin = whole.origin
    if not isinstance(origin, WondeOrigin) or (origin.api, origin.calendar) != (api, calendar):
        return None
    if len(groups) > MOST_GROUPS:
        return None
    budget = ServerBudget(waits=timedelta(0))
    records: dict[str, dict[str, Record]] = {"classes": {}, "groups": {}}
    try:
        async with WondeServer(api, budget, clock) as server:
            server.sign_in(secret)
            for group in groups:
                name = "classes" if group.type is GroupType.TEACHING else "groups"
                records[name][group.id] = await server.read_group(name, group.id)
    except Torn:
        return None
    quarantine = Quarantine(budget.memory)
    roster = Roster(records, whole.school.id, calendar.current_year, quarantine, ids=origin.ids)
    for name in records:
        roster.read_groups(name)
    read = {id_: each.to_group() for id_, each in roster.classes.items()}
    ids = [group.id for group in groups]
    return [read[id_] for id_ in ids] if quarantine.is_empty and read.keys() == {*ids} else None
