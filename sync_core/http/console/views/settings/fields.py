"""The fields of a form of settings: derived from the settings, filled in, and read back into a body of the API."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from starlette.datastructures import FormData

from sync_core.admin.school_settings import Fault, SchoolBody
from sync_core.domain.constraints import Meaning
from sync_core.domain.school.sources import FeedContainer, FeedFolder, OneRosterApi, WondeApi
from sync_core.http.console.views.settings.words import (
    ELSEWHERE,
    HINTS,
    LABELS,
    WITHOUT_CHOICE,
    word_for,
)

SOURCES: Mapping[str, type] = {
    "wonde": WondeApi,
    "oneroster": OneRosterApi,
    "container": FeedContainer,
    "folder": FeedFolder,
}
"""The kinds of source, by their tags."""


class Kind(StrEnum):
    """How a setting is filled in: a line, a number, a day, a line for each value, one choice, or any number of them."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    LINES = "lines"
    ONE = "one"
    SEVERAL = "several"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting as its dataclass has it. `may_be_none`: an empty field means its default."""

    place: str
    label: str
    hint: str
    kind: Kind
    choices: Mapping[str, str] = field(default_factory=dict)
    may_be_none: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledField:
    """A setting with its values as text, of which only LINES and SEVERAL have more than one, and its fault."""

    setting: Setting
    values: tuple[str, ...]
    fault: str

    @property
    def value(self) -> str:
        return "\n".join(self.values)


@cache
def settings_at(name: str, source_kind: str = "") -> tuple[Setting, ...]:
    """The settings at the place `name`, which may be several. `source` has those of the kind of source."""
    hint = get_type_hints(SchoolBody, include_extras=True)[name]
    if name == "source":
        return tuple(_of_record(SOURCES[source_kind], "source."))
    bare, _ = _bare(hint)
    return tuple(_of_record(bare, f"{name}.")) if is_dataclass(bare) else (_setting(name, hint),)


def _of_record(record: Any, above: str) -> Iterable[Setting]:
    hints = get_type_hints(record, include_extras=True)
    return (
        _setting(above + each.name, hints[each.name])
        for each in fields(record)
        if get_origin(hints[each.name]) is not Literal
    )


def _bare(hint: Any) -> tuple[Any, str]:
    """A type without what is said of it, and its description."""
    meaning = ""
    while get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        meaning = next((mark.text for mark in marks if isinstance(mark, Meaning)), meaning)
        hint = inner
    return hint, meaning


def _setting(place: str, hint: Any) -> Setting:
    bare, meaning = _bare(hint)
    may_be_none = get_origin(bare) in (Union, types.UnionType)
    if may_be_none:
        bare, inner = _bare(next(each for each in get_args(bare) if each is not type(None)))
        meaning = meaning or inner
    kind, choices = _kind_of(bare)
    if kind is Kind.ONE and may_be_none:
        choices = {"": WITHOUT_CHOICE[place], **choices}
    return Setting(
        place=place,
        label=LABELS[place],
        hint=HINTS.get(place, meaning),
        kind=kind,
        choices=choices,
        may_be_none=may_be_none,
    )


def _kind_of(bare: Any) -> tuple[Kind, dict[str, str]]:
    if get_origin(bare) is frozenset:
        return Kind.SEVERAL, _choices(_bare(get_args(bare)[0])[0])
    if get_origin(bare) is tuple:
        return Kind.LINES, {}
    if issubclass(bare, StrEnum):
        return Kind.ONE, _choices(bare)
    return _KINDS.get(bare, Kind.TEXT), {}


_KINDS: Mapping[type, Kind] = {int: Kind.NUMBER, float: Kind.NUMBER, date: Kind.DATE}


def _choices(choice: type[StrEnum]) -> dict[str, str]:
    return {each.value: word_for(each) for each in choice}


_YES_NO = {"true": "yes", "false": "no"}


def value_in_words(place: str, text: str) -> str:
    """The value of a setting as the form words it: the choices of a choice, and texts as they are."""
    choices = _choices_by_place().get(place, {})
    return ", ".join(choices.get(each, each) for each in text.split(", ")) if choices else text


@cache
def _choices_by_place() -> Mapping[str, Mapping[str, str]]:
    names = [each.name for each in fields(SchoolBody) if each.name != "source"]
    settings = [setting for name in names if name not in ELSEWHERE for setting in settings_at(name)]
    settings += [setting for kind in SOURCES for setting in settings_at("source", kind)]
    return {"enabled": _YES_NO} | {setting.place: setting.choices for setting in settings if setting.choices}


# --- filling in, and reading back


def fill_in(settings: Iterable[Setting], body: Mapping[str, Any], faults: Sequence[Fault] = ()) -> list[FilledField]:
    """Each setting with its value in the body, which need not be a valid one."""
    return [
        FilledField(setting=each, values=_texts(_value_at(body, each.place)), fault=_fault_at(each.place, faults))
        for each in settings
    ]


def read_into(body: Mapping[str, Any], settings: Iterable[Setting], form: FormData) -> dict[str, Any]:
    """The body with the values of the form at the places of these settings. They are checked by whoever reads it."""
    filled = dict(body)
    for setting in settings:
        sent = [value for value in form.getlist(setting.place) if isinstance(value, str)]
        head, _, name = setting.place.partition(".")
        if name:
            filled[head] = {**filled.get(head, {}), name: _read(setting, sent, _value_at(body, setting.place))}
        else:
            filled[head] = _read(setting, sent, body.get(head))
    return filled


def without_place(faults: Iterable[Fault], settings: Iterable[Setting]) -> list[Fault]:
    """The faults that no field of the form shows."""
    places = [setting.place for setting in settings]
    return [fault for fault in faults if not any(_is_at(fault, place) for place in places)]


def _read(setting: Setting, sent: Sequence[str], before: Any) -> Any:
    """An empty text, which the API may have in place of a default, is kept if the field was empty and still is."""
    text = sent[0].strip() if sent else ""
    match setting.kind:
        case Kind.SEVERAL:
            return list(sent)
        case Kind.LINES:
            return [line.strip() for line in "\n".join(sent).splitlines() if line.strip()]
        case Kind.NUMBER:
            return _number(text)
        case _:
            return None if setting.may_be_none and not text and before != "" else text


def _number(text: str) -> float | int | str:
    """What is no number stays a text, which the setting refuses."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _value_at(body: Mapping[str, Any], place: str) -> Any:
    head, _, name = place.partition(".")
    value = body.get(head)
    return value.get(name) if name and isinstance(value, Mapping) else value


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(map(str, value))
    return () if value is None or value == "" else (f"{value:g}" if isinstance(value, float) else str(value),)


def _fault_at(place: str, faults: Iterable[Fault]) -> str:
    return "; ".join(dict.fromkeys(fault.text for fault in faults if _is_at(fault, place)))


def _is_at(fault: Fault, place: str) -> bool:
    """A place of a source has its kind: `source.wonde.school`. An item of a list has its number: `admin_owners.0`."""
    head, _, rest = fault.place.partition(".")
    if head == "source":
        rest = rest.partition(".")[2] or rest
    found = f"{head}.{rest}" if rest else head
    return found == place or found.startswith(f"{place}.")
