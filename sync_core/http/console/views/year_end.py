"""The end of the year as a form and as a preview: what an admin chooses, and what would happen to each class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, QueryParams

from sync_core.admin.overview.schools import Light, Sign
from sync_core.domain.classes.record import ClassOutline
from sync_core.domain.classes.year_end import NameChoice, PupilChoice, TeamChoice, YearEndOrder, YearState
from sync_core.domain.school.year import in_years
from sync_core.errors import faults_of
from sync_core.http.console.forms import FieldFault
from sync_core.http.console.views.classes.groups import TYPES
from sync_core.planning.year.ending import YearEndClass, YearEndPlan

Sent = QueryParams | FormData
STATES = {YearState.ENDED: "The MIS no longer has the group", YearState.LIVE: "The MIS still has the group"}
TEAMS = {
    TeamChoice.ARCHIVE: "Archive the team, where the sync knows of one",
    TeamChoice.LEAVE: "Leave the team as it is, and only end the year",
}
NAMES = {
    NameChoice.KEEP: "Keep the display name",
    NameChoice.YEAR: "Add the academic year, such as (2025/26)",
    NameChoice.SUFFIX: "Add your own text",
}
PUPILS = {PupilChoice.LEAVE_THEM: "Leave the pupils in the class", PupilChoice.REMOVE: "Remove the pupils"}
LABELS = {
    "year": "Academic year",
    "type": "Type",
    "state": "Group in the MIS",
    "name": "Name",
    "classes": "Only these classes",
    "never_used": "Never used",
    "team": "Team",
    "rename": "Display name",
    "suffix": "Your own text",
    "pupils": "Pupils",
    "keep_years": "Keep for",
}
"""The fields of the form, each with its label."""
_FILTER = {"year": "years", "type": "types", "state": "states"}
"""Fields of the form that may be there several times, by the field of the filter."""
_CHOICE = ("team", "rename", "suffix", "pupils", "keep_years")


@dataclass(frozen=True, slots=True, kw_only=True)
class YearEndRow:
    """A class of the preview: a sign, what happens to it, and what is known of its use."""

    shown: YearEndClass
    type: str
    sign: Sign
    effects: tuple[str, ...]


def read_order(sent: Sent) -> YearEndOrder | tuple[FieldFault, ...]:
    """The order of a form. A field that is left empty has its default."""
    lines = [line.strip() for text in _texts(sent, "classes") for line in text.splitlines()]
    filter_: dict[str, Any] = {of: list(map(_read, _texts(sent, name))) for name, of in _FILTER.items()}
    filter_ |= {"classes": list(filter(None, lines)), "never_used": bool(_texts(sent, "never_used"))}
    filter_ |= {"name": "".join(_texts(sent, "name")[:1])}
    choice: dict[str, Any] = {name: texts[0] for name in _CHOICE if (texts := _texts(sent, name))}
    if "keep_years" in choice:
        choice["keep_years"] = _read(choice["keep_years"])
    if choice.get("rename") != NameChoice.SUFFIX:
        choice.pop("suffix", None)
    elif "suffix" not in choice:
        return (FieldFault("suffix", "type the text that each display name gets"),)
    try:
        return TypeAdapter(YearEndOrder).validate_python({"filter": filter_, "choice": choice})
    except ValidationError as error:
        return tuple(_fault(faults_of([each])) for each in error.errors())


def hidden_fields(order: YearEndOrder) -> list[tuple[str, str]]:
    """The fields of a form that `read_order` reads as this order."""
    filter_, choice = order.filter, order.choice
    fields = [(name, str(value)) for name, of in _FILTER.items() for value in getattr(filter_, of)]
    fields += [("classes", "\n".join(filter_.classes)), ("name", filter_.name)]
    fields += [("never_used", "yes")] if filter_.never_used else []
    fields += [(name, str(value)) for name in _CHOICE if (value := getattr(choice, name)) is not None]
    return [(name, value) for name, value in fields if value]


def years_of(outlines: Iterable[ClassOutline]) -> Sequence[int]:
    """The academic years of the school's classes, the latest first."""
    return sorted({each.academic_year for each in outlines if each.academic_year}, reverse=True)


def year_text(year: int) -> str:
    return in_years(year) if year else "–"


def rows_of(plan: YearEndPlan, *, ending: bool) -> list[YearEndRow]:
    """Those that are left as they are come last."""
    rows = [_row(each, _ENDING if ending else _TAKEN_BACK) for each in plan.classes]
    return sorted(rows, key=lambda row: bool(row.shown.refused))


_ENDING: Mapping[str, str] = {"done": "ends", "team": "its team is archived", "pupils": "{} pupils leave"}
_TAKEN_BACK: Mapping[str, str] = {
    "done": "is taken back",
    "team": "its team can be used again",
    "pupils": "{} pupils return",
}


def _row(shown: YearEndClass, words: Mapping[str, str]) -> YearEndRow:
    sign = Sign(light=Light.WAITS, text="left") if shown.refused else Sign(light=Light.GOOD, text=words["done"])
    effects = (
        f"its name becomes {shown.new_name}" if shown.new_name else "",
        words["team"] if shown.archives else "",
        words["pupils"].format(shown.pupils) if shown.pupils else "",
        f"kept until {shown.kept_until:%d %b %Y}, then reported" if shown.kept_until else "",
        shown.note,
    )
    told = (shown.refused,) if shown.refused else tuple(filter(None, effects))
    return YearEndRow(shown=shown, type=TYPES[shown.group_type], sign=sign, effects=told)


def _texts(sent: Sent, name: str) -> list[str]:
    return [value for value in sent.getlist(name) if isinstance(value, str) and value.strip()]


def _read(text: str) -> int | str:
    """A number, if it is one: JSON has no other way to tell it from a text."""
    return int(text) if re.fullmatch(r"\s*[0-9]{1,9}\s*", text) else text


def _fault(text: str) -> FieldFault:
    """Of `filter.years.0: should …`, the field of the form and the fault."""
    place, _, what = text.partition(": ")
    name = place.split(".")[1] if "." in place else place
    fields = {of: field for field, of in _FILTER.items()}
    return FieldFault(fields.get(name, name), what)
