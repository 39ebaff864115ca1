"""The groups of one member of staff: as recorded, or as the MIS has them now; and what they requested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sync_core.admin.classes.objections import ClassAction, ClassFacts, objection
from sync_core.domain.classes.desired import ClassRequest, Rule
from sync_core.domain.classes.record import ClassRecord, Records, outline_of
from sync_core.domain.ids import AccountId, ClassKey, SchoolId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.planning.membership import RuledSchool
from sync_core.planning.school_plan import plan_to_show
from sync_core.planning.year.calendar import SchoolDay, school_day
from sync_core.services import Services

RECENT = timedelta(days=7)
"""How long a request of a member of staff is shown to them."""
_THEIRS = frozenset({Rule.TEACHER, Rule.CREATOR, Rule.EXTRA_OWNER})


@dataclass(frozen=True, slots=True, kw_only=True)
class MyGroup:
    """A group of a member of staff. `request` is the one for its class, by them or by somebody else.

    `students` is None as recorded, where the MIS was not read. `creatable`: its class can be created now.
    """

    key: ClassKey
    name: str
    type: GroupType
    students: int | None
    record: ClassRecord | None
    request: ClassRequest | None
    creatable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MyGroups:
    """`read_at` is when the MIS was read, None if it was not, and `why_not` says why it could not be.

    `known` is false if the MIS was read, and nobody in it has the account. `runs` are the recent ones, newest first.
    """

    groups: tuple[MyGroup, ...]
    runs: tuple[RunRecord, ...]
    read_at: datetime | None = None
    why_not: str = ""
    known: bool = True


async def read_my_groups(account: AccountId, settings: SchoolSettings, services: Services, *, mis: bool) -> MyGroups:
    """With `mis`, the groups that the MIS gives them now; else the recorded classes that they teach or requested."""
    school = settings.school
    records = {record.key: record for record in await services.classes.class_records(school)}
    requests = await services.classes.class_requests(school)
    runs = await own_runs(account, school, services, services.clock.now() - RECENT)
    newest = tuple(reversed(runs))
    recorded = recorded_groups(account, records, requests)
    if not mis:
        return MyGroups(groups=recorded, runs=newest)
    planned = await plan_to_show(school, services.reading)
    if planned.run.outcome is not RunOutcome.PLANNED or planned.ruled is None:
        return MyGroups(groups=recorded, runs=newest, why_not=" — ".join(planned.run.notes))
    groups = groups_in_mis(account, planned.ruled, records, requests, school_day(settings, planned.run.at), settings)
    known = account in planned.ruled.staff.ids.values()
    return MyGroups(groups=groups, runs=newest, read_at=planned.run.at, known=known)


async def own_runs(
    account: AccountId, school: SchoolId, services: Services, since: datetime | None = None
) -> tuple[RunRecord, ...]:
    """The runs that this person requested, oldest first."""
    runs = await services.runs.runs(school, since)
    return tuple(run for run in runs if run.requested_by == account)


def recorded_groups(
    account: AccountId, records: Records, requests: Mapping[ClassKey, ClassRequest]
) -> tuple[MyGroup, ...]:
    """The classes that the person teaches or requested, and none that they own as an admin owner alone."""
    return _sorted(
        MyGroup(
            key=key,
            name=record.desired.group_name or record.desired.name.display_name,
            type=record.desired.group_type,
            students=None,
            record=record,
            request=requests.get(key),
            creatable=False,
        )
        for key, record in records.items()
        if _teaches(account, record) or (key in requests and requests[key].creator == account)
    )


def groups_in_mis(
    account: AccountId,
    ruled: RuledSchool,
    records: Records,
    requests: Mapping[ClassKey, ClassRequest],
    day: SchoolDay,
    settings: SchoolSettings,
) -> tuple[MyGroup, ...]:
    """The groups whose staff in the MIS have the person, matched as a sync matches them; and those they requested."""
    persons = {person for person, of in ruled.staff.ids.items() if of == account}
    return _sorted(
        MyGroup(
            key=key,
            name=group.name,
            type=group.type,
            students=len(group.students),
            record=records.get(key),
            request=requests.get(key),
            creatable=_creatable(key, records.get(key), day.made_from(group.academic_year), settings),
        )
        for key, group in ruled.groups.items()
        if not persons.isdisjoint(group.teachers) or (key in requests and requests[key].creator == account)
    )


def _creatable(key: ClassKey, record: ClassRecord | None, made_from: date | None, settings: SchoolSettings) -> bool:
    facts = ClassFacts(settings=settings, key=key, record=outline_of(record), made_from=made_from)
    return objection(ClassAction.CREATE, facts) is None


def _teaches(account: AccountId, record: ClassRecord) -> bool:
    reason = record.desired.reasons.get(account)
    return reason is not None and reason.rule in _THEIRS


def _sorted(groups: Iterable[MyGroup]) -> tuple[MyGroup, ...]:
    return tuple(sorted(groups, key=lambda group: (group.type, group.name, group.key)))
