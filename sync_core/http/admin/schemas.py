"""The bodies of the admin API: what admins send and read. Ids, names of groups and counts; never a pupil's name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, get_type_hints
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, create_model

from sync_core.admin.classes.groups import GroupState
from sync_core.admin.overview.matching import MatchingReport
from sync_core.admin.overview.pages import ListPage, page_of
from sync_core.admin.school_settings import SchoolBody, values_of
from sync_core.domain.classes.desired import ClassRequest
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassRecord, ClassState
from sync_core.domain.classes.teams import DesiredTeam, TeamState
from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import Cause, RunRecord, SettingsChange
from sync_core.domain.school.settings import SchoolChoices, SchoolSettings
from sync_core.domain.tenants import Probe, ProbeQuestion
from sync_core.graph.port import MEMBERS_PER_WRITE
from sync_core.http.problems import Problem
from sync_core.planning.matching.findings import Finding
from sync_core.planning.preview.preview import OF_REAL_RUNS, Preview
from sync_core.planning.year.ending import YearEndPlan


def _fields(record: type, without: Collection[str] = ()) -> dict[str, Any]:
    """All fields of a record for a model, so that a new field is in the API without an edit here."""
    return {name: kind for name, kind in get_type_hints(record).items() if name not in without}


Run = create_model("Run", __doc__=RunRecord.__doc__, **_fields(RunRecord))
Plan = create_model(
    "Plan",
    __doc__="What a sync would do now. People are Entra ids in `classes`, and MIS person ids in the `people_…` fields. "
    "`unmatched` has the values that were looked for, so do not keep it.",
    **_fields(RunRecord, OF_REAL_RUNS),
    **_fields(Preview, {"run"}),
)
MatchingPage = create_model(
    "MatchingPage",
    __doc__=f"{MatchingReport.__doc__}\n\nOf the `total` people, those of page `number` are listed.",
    **_fields(MatchingReport),
    number=int,
    pages=int,
    total=int,
)
ShownYearEnd = create_model(
    "ShownYearEnd",
    __doc__="What a year end, or its reversal, would do now. `digest` identifies exactly that, and is empty if it does "
    "nothing. `what` says the totals in sentences.",
    **_fields(YearEndPlan, {"writes"}),
)
# A model, because every route names it many times: of a dataclass, pydantic makes another schema each time.
ProblemBody = create_model("Problem", __doc__=Problem.__doc__, **_fields(Problem))
PlanProblem = create_model(
    "PlanProblem",
    __doc__="Why a request was refused, with the plan as it is now.",
    **_fields(Problem),
    plan=Plan,
)

ABSENT: dict[int | str, dict[str, Any]] = {404: {"model": ProblemBody}}
OUTDATED: dict[int | str, dict[str, Any]] = {412: {"model": ProblemBody}}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": ProblemBody}}
# Of routes that answer with a school's settings.
WITH_ETAG: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"description": "For If-Match of a later change", "schema": {"type": "string"}}}}
}
# Of routes that answer 202 once their run is on the queue, or 409 if the request is impossible now.
STARTS_RUN: dict[str, Any] = {"status_code": 202, "responses": CONFLICT}
# The same, of routes that carry out what a plan showed: if a plan made now differs, it is in the answer.
APPLIES_SHOWN: dict[str, Any] = {"status_code": 202, "responses": {409: {"model": PlanProblem | ProblemBody}}}


class Replayed(BaseModel):
    """The number of messages that were put back on their queues."""

    messages: int


class ProbeBody(BaseModel, extra="forbid"):
    """Whom to probe a tenant with."""

    people: list[UUID] = Field(
        default_factory=list,
        max_length=MEMBERS_PER_WRITE,
        description="The Entra object ids of accounts, the first of which is the teacher; without any, disabled "
        "accounts are taken. With 20, the price of a request shows.",
    )


class Answered(BaseModel):
    """A question, what the tenant answered, and what the sync does about it."""

    question: str
    answer: str
    effect: str


class TenantProbe(BaseModel):
    """A probe of a tenant.

    `ended_at` is null while it runs, and as long as its class is not removed: `note` says why.
    """

    tenant: str
    id: RunId
    requested_by: AccountId
    began_at: datetime
    ended_at: datetime | None
    answers: list[Answered]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class School(SchoolBody):
    """A school's settings with its id."""

    id: SchoolId


class SettingsChanges(BaseModel):
    """Who saved which settings, newest first: of `total` changes, those of page `number` are listed."""

    changes: tuple[SettingsChange, ...]
    number: int
    pages: int
    total: int


class ChangedSchools(BaseModel):
    """The schools that a request paused or resumed."""

    schools: tuple[SchoolId, ...]


class Question(BaseModel, extra="forbid"):
    """The person that a question is about."""

    person: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)] = Field(
        description="MIS person id, Entra id, user principal name, e-mail address or user name"
    )


class ClassError(BaseModel, from_attributes=True):
    """The last permanent refusal by Microsoft 365."""

    code: str
    what: str = Field(validation_alias="message")
    remedy: str


class LastChange(BaseModel, from_attributes=True):
    """The last change that was applied to the class in Microsoft 365."""

    at: datetime
    run: RunId
    cause: Cause


class ClassTeam(BaseModel):
    """The team of a class. `members` and `owners` count the people who are in it as recorded."""

    wanted: DesiredTeam
    state: TeamState | None = Field(description="Null until a team was asked for")
    members: int = 0
    owners: int = 0
    refused: int = Field(default=0, description="People whom Teams refuses, as for a missing licence")
    seen_at: datetime | None = Field(default=None, description="When the team was last compared with what is wanted")
    error: ClassError | None = None


class Class(BaseModel):
    """A class as it is recorded. A `gone` class was deleted in Microsoft 365, a `deleted` one at an admin's request."""

    key: ClassKey
    state: ClassState
    group: MisId = Field(description="The MIS id of its group")
    type: GroupType
    name: str
    mail_nickname: str
    class_id: ClassId | None = Field(description="Its id in Microsoft 365, once it is created")
    owners: int
    members: int
    required_until: date | None
    error: ClassError | None
    team: ClassTeam = Field(description="Its team in Microsoft Teams")
    last_change: LastChange | None = None


class Group(BaseModel):
    """A group as the MIS has it now, with its class if it has one."""

    key: ClassKey = Field(description="The key of its class, created or not")
    id: MisId
    type: GroupType
    name: str
    academic_year: int
    students: int
    staff: int
    can_become_class: bool
    class_: Class | None = Field(serialization_alias="class")


def matching_page(report: MatchingReport, finding: Finding | None, number: int) -> Any:
    page = page_of(report.of(finding), number)
    values = {field.name: getattr(report, field.name) for field in fields(report)} | {"people": page.items}
    return MatchingPage(**values, number=page.number, pages=page.pages, total=page.total)


def settings_changes_body(page: ListPage[SettingsChange]) -> SettingsChanges:
    return SettingsChanges(changes=page.items, number=page.number, pages=page.pages, total=page.total)


def probe_body(probe: Probe) -> TenantProbe:
    """The answers are in the order of the questions."""
    answers = [
        Answered(question=question.value, answer=answer.answer, effect=answer.effect)
        for question in ProbeQuestion
        if (answer := probe.answers.get(question.name))
    ]
    return TenantProbe(
        tenant=probe.tenant,
        id=probe.id,
        requested_by=probe.requested_by,
        began_at=probe.began_at,
        ended_at=probe.ended_at,
        answers=answers,
        note=probe.note,
    )


def school_body(settings: SchoolSettings) -> School:
    return School(
        id=settings.school, tenant=settings.tenant, source=settings.source, **values_of(settings, SchoolChoices)
    )


def school_json(settings: SchoolSettings) -> dict[str, Any]:
    """The settings in the types of JSON, as GET gives them."""
    values: dict[str, Any] = _school_adapter().dump_python(school_body(settings), mode="json")
    return values


@cache
def _school_adapter() -> TypeAdapter[School]:
    return TypeAdapter(School)


def _team_body(record: ClassRecord) -> ClassTeam:
    team, wanted = record.actual.team if record.actual else None, record.desired.team
    if team is None:
        return ClassTeam(wanted=wanted, state=None)
    return ClassTeam(
        wanted=wanted,
        state=team.state,
        members=len(team.members),
        owners=len(team.owners),
        refused=len(team.refused),
        seen_at=team.seen_at,
        error=ClassError.model_validate(team.error) if team.error else None,
    )


def class_body(record: ClassRecord, request: ClassRequest | None, history: tuple[AppliedDelta, ...] = ()) -> Class:
    actual, wanted = record.actual, record.desired
    name = actual.name if actual and not record.gone else wanted.name
    return Class(
        key=record.key,
        state=record.state,
        group=wanted.group_id,
        type=wanted.group_type,
        name=name.display_name,
        mail_nickname=name.mail_nickname,
        class_id=actual.class_id if actual else None,
        owners=len(wanted.owners),
        members=len(wanted.members),
        required_until=request.required_until if request else None,
        error=ClassError.model_validate(record.error) if record.error else None,
        team=_team_body(record),
        last_change=LastChange.model_validate(history[-1]) if history else None,
    )


def group_body(found: GroupState, request: ClassRequest | None) -> Group:
    group = found.group
    return Group(
        key=found.key,
        id=group.id,
        type=group.type,
        name=group.name,
        academic_year=group.academic_year,
        students=len(group.students),
        staff=len(group.teachers),
        can_become_class=not found.not_extracted,
        class_=class_body(found.record, request) if found.record else None,
    )
