"""The bodies of the admin API: what admins send and read. Ids, names of groups and counts; never a pupil's name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from sync_core.admin.groups import GroupState
from sync_core.admin.school_settings import SchoolBody, body_values
from sync_core.domain.classes import AppliedDelta, ClassRecord, ClassRequest, ClassState
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.http.problems import Problem
from sync_core.planning.preview import OF_REAL_RUNS, Preview

# A new field of RunRecord, Preview or Problem is in the API without an edit here.
_RUN: dict[str, Any] = get_type_hints(RunRecord)
_RUN_IN_PLAN = {name: kind for name, kind in _RUN.items() if name not in OF_REAL_RUNS}
_SHOWN: dict[str, Any] = {name: kind for name, kind in get_type_hints(Preview).items() if name != "run"}
_PROBLEM: dict[str, Any] = get_type_hints(Problem)

Run = create_model("Run", __doc__=RunRecord.__doc__, **_RUN)
Plan = create_model("Plan", __doc__="What a sync would do now; people are Entra ids.", **_RUN_IN_PLAN, **_SHOWN)
PlanProblem = create_model(
    "PlanProblem", __doc__="Why a decision was refused, with the plan as it is now.", **_PROBLEM, plan=Plan
)

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"

_Responses = dict[int | str, dict[str, Any]]
ABSENT: _Responses = {404: {"model": Problem}}
CONFLICT: _Responses = {409: {"model": Problem}}
PLAN_DIFFERS: _Responses = {409: {"model": PlanProblem | Problem}}


class Accepted(BaseModel):
    """The run that does what was requested; read it under the school's runs."""

    run: str


class Replayed(BaseModel):
    """How many messages were put back onto their queue."""

    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class School(SchoolBody):
    """A school's settings under its id."""

    id: str


class NewClassBody(BaseModel):
    """What an admin or teacher chooses for a class made by hand."""

    model_config = ConfigDict(extra="forbid")

    display_name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=256, pattern=_PRINTABLE)] = Field(
        default="", description="By default the name that the naming rule gives"
    )
    description: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1024, pattern=_PRINTABLE)] = ""
    required_until: date | None = Field(
        default=None, description="The required lifetime: its end is reported, and nothing is deleted"
    )


class Question(BaseModel):
    """The person whom a question is about."""

    model_config = ConfigDict(extra="forbid")

    person: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)] = Field(
        description="Entra id, MIS person id or user principal name"
    )


class ClassError(BaseModel):
    """What Microsoft 365 refused permanently."""

    code: str
    what: str
    remedy: str


class LastChange(BaseModel):
    """The last change that was applied to the class in Microsoft 365."""

    at: datetime
    run: str
    cause: str


class Class(BaseModel):
    """A class as its row has it. A `gone` class was deleted in Microsoft 365, a `deleted` one by an admin here."""

    key: str
    state: ClassState
    group: str = Field(description="The MIS id of its group")
    type: GroupType
    name: str
    mail_nickname: str
    class_id: str | None = Field(description="Its id in Microsoft 365, once it is created")
    owners: int
    members: int
    required_until: date | None
    error: ClassError | None
    last_change: LastChange | None = None


class Group(BaseModel):
    """A group as the MIS has it now, with its class, if it has one."""

    key: str = Field(description="The key of its class, created or not")
    id: str
    type: GroupType
    name: str
    academic_year: int
    students: int
    staff: int
    can_become_class: bool
    class_: Class | None = Field(alias="class")


def school_body(settings: SchoolSettings) -> School:
    return School(id=settings.school, **body_values(settings))


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
        error=ClassError(code=record.error.code, what=record.error.message, remedy=record.error.remedy)
        if record.error
        else None,
        last_change=LastChange(at=history[-1].at, run=history[-1].run, cause=history[-1].cause) if history else None,
    )


def group_body(found: GroupState, request: ClassRequest | None) -> Group:
    group = found.group
    fields = {
        "key": found.key,
        "id": group.id,
        "type": group.type,
        "name": group.name,
        "academic_year": group.academic_year,
        "students": len(group.students),
        "staff": len(group.teachers),
        "can_become_class": not found.not_extracted,
        "class": class_body(found.record, request) if found.record else None,
    }
    return Group.model_validate(fields)
