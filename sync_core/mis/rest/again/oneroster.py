"""Reads single classes of a OneRoster server again: each by its id, with its enrolments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial

from sync_core.clock import Clock
from sync_core.domain.ids import MisId
from sync_core.domain.roster import MisGroup, Person, Snapshot
from sync_core.domain.school.sources import OneRosterApi
from sync_core.mis.academic_years import Calendar
from sync_core.mis.budget import ServerBudget
from sync_core.mis.files.oneroster import ROLE_DATES, Tables, read_classes
from sync_core.mis.files.words import is_plain_date
from sync_core.mis.quarantine import Quarantine
from sync_core.mis.records import Record
from sync_core.mis.rest.cache import Collections
from sync_core.mis.rest.client import Torn
from sync_core.mis.rest.oneroster import OneRosterOrigin, signed_in
from sync_core.mis.rest.oneroster_records import NAMES, SCHEMAS, read_table
from sync_core.mis.rest.quirks import Quirks
from sync_core.mis.rest.shared_lists import ListsOfServer

MOST_CLASSES = 4
"""More classes take as many requests as the changes of the whole school: three for each, and sixteen."""


async def read_oneroster_classes(
    api: OneRosterApi,
    secret: str,
    whole: Snapshot,
    groups: Iterable[MisGroup],
    quirks: Quirks,
    lists: ListsOfServer,
    clock: Clock,
    calendar: Calendar,
) -> list[MisGroup] | None:
    """These groups of the school as they are now. None if that cannot be told beyond doubt.

    `whole` is a snapshot of the same day. Sessions and people are as they were read then. Raises SnapshotRejected and
    Transient, the latter at the first failure.
    """
    origin, school, people, ids = whole.origin, whole.school.id, whole.people, [group.id for group in groups]
    if not isinstance(origin, OneRosterOrigin) or (origin.api, origin.calendar) != (api, calendar):
        return None
    if len(ids) > MOST_CLASSES:
        return None
    budget = ServerBudget(waits=timedelta(0))
    classes: dict[str, Record] = {}
    enrolments: dict[str, Record] = {}
    try:
        async with signed_in(api, secret, school, quirks, lists, budget, clock) as server:
            for id_ in ids:
                classes[id_], of_class = await server.read_class(id_)
                enrolments |= of_class
    except Torn:
        return None
    dates = (record[column] for record in enrolments.values() for column in ROLE_DATES)
    if not all(map(is_plain_date, dates)):
        return None
    users = {
        record["user"]: people[user] for record in enrolments.values() if (user := MisId(record["user"])) in people
    }
    records = {**origin.records, "classes": classes, "enrollments": enrolments, **_as_users(users)}
    quarantine = Quarantine(budget.memory, NAMES)
    read = {
        group.id: group for group in read_classes(Tables(partial(read_table, records, school)), calendar, quarantine)
    }
    return [read[id_] for id_ in ids] if quarantine.is_empty and read.keys() == {*ids} else None


def _as_users(people: Mapping[str, Person]) -> Collections:
    """People as the users that they were made of, without the grades that put them into year groups."""
    schema = SCHEMAS["users"]
    users = {
        id_: schema.read(
            {"sourcedId": id_, "username": person.username, "email": person.email, "enabledUser": person.enabled}
        )
        for id_, person in people.items()
    }
    return {"students": {}, "teachers": {}, "others": {id_: user for id_, user in users.items() if user}}
