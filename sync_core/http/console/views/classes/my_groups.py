"""What the page of a member of staff shows: their groups, each in words that need no knowledge of the sync."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sync_core.admin.classes.my_groups import MyGroup, MyGroups
from sync_core.admin.overview.schools import Light, Sign
from sync_core.domain.classes.record import ClassState
from sync_core.domain.ids import ClassKey
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.http.console.views.classes.groups import TYPES

_NONE = "There is no class yet."
_REQUESTED = "The class was requested. It is made when its turn comes, most often within a few minutes."
_STATES = {
    ClassState.MAKING: (Light.WAITS, "being made", _REQUESTED),
    ClassState.LIVE: (Light.GOOD, "ready", ""),
    ClassState.CHANGED_BY_HAND: (Light.GOOD, "ready", ""),
    ClassState.PINNED: (Light.GOOD, "ready", "Its members do not follow the MIS now. Ask an admin if one is missing."),
    ClassState.ENDED: (
        Light.WAITS,
        "ended",
        "Its year is over, the MIS no longer has the group, or an admin ended the class. It stays as it is.",
    ),
    ClassState.DELETING: (Light.WAITS, "being deleted", "An admin requested that it is deleted."),
    ClassState.DELETED: (Light.BAD, "deleted", "An admin deleted it. Ask an admin whether it can be restored."),
    ClassState.GONE: (Light.BAD, "gone", "It was deleted in Microsoft 365. Ask an admin whether it can be restored."),
}
_USABLE = frozenset({ClassState.LIVE, ClassState.CHANGED_BY_HAND, ClassState.PINNED, ClassState.ENDED})
_OUTCOMES = {
    RunOutcome.REQUESTED: "It waits for its turn. Open this page again in a minute.",
    RunOutcome.PLANNED: "It was planned. The group's card above says whether the class is ready.",
    RunOutcome.REJECTED: "The data of the MIS could not be used, so nothing was changed. Ask an admin.",
    RunOutcome.PAUSED: "The school is paused, so nothing was changed. Ask an admin.",
    RunOutcome.BLOCKED: "The app lacks a permission in Microsoft 365, so nothing was changed. Ask an admin.",
    RunOutcome.REFUSED: "It was refused, so nothing was changed. Ask an admin.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MyGroupRow:
    """`find_as` is the name of a class that can be opened."""

    key: ClassKey
    name: str
    type: str
    students: int | None
    sign: Sign
    sentence: str
    find_as: str
    creatable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """`names` are the groups whose classes the request made, once they are known."""

    at: datetime
    names: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MyGroupsView:
    rows: tuple[MyGroupRow, ...]
    requests: tuple[RequestRow, ...]


def my_groups_view(found: MyGroups) -> MyGroupsView:
    names = {group.key: group.name for group in found.groups}
    requests = tuple(_request(run, [names[key] for key in run.created if key in names]) for run in found.runs)
    return MyGroupsView(rows=tuple(map(_row, found.groups)), requests=requests)


def _row(group: MyGroup) -> MyGroupRow:
    record = group.record
    state = record.state if record else None
    if record and record.error:
        light, text, sentence = Light.BAD, "refused", "Microsoft 365 refused the last change. Ask an admin."
    elif state:
        light, text, sentence = _STATES[state]
    elif group.request:
        light, text, sentence = Light.WAITS, "requested", _REQUESTED
    else:
        light, text, sentence = Light.WAITS, "no class", _NONE
    usable = record is not None and record.actual is not None and not record.gone and state in _USABLE
    return MyGroupRow(
        key=group.key,
        name=group.name,
        type=TYPES[group.type],
        students=group.students,
        sign=Sign(light=light, text=text),
        sentence=sentence,
        find_as=record.actual.name.display_name if usable and record and record.actual else "",
        creatable=group.creatable and group.request is None,
    )


def _request(run: RunRecord, names: Sequence[str]) -> RequestRow:
    return RequestRow(at=run.at, names=", ".join(names), what=_OUTCOMES[run.outcome])
