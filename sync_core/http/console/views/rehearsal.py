"""The rehearsal of a new school year in the words of a page: its lists of classes, and the moment of its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from sync_core.admin.year.rehearsal import RehearsedDay
from sync_core.http.console.forms import FieldFault, read_form
from sync_core.http.console.views.classes.groups import TYPES
from sync_core.http.console.views.year_end import year_text
from sync_core.planning.year.turn import Turn, TurnClass

LABELS = {"day": "Day", "file": "Zip file", "at": "Time", "confirm": "School code"}
_LISTED = 50
"""The most classes of each list that the page has. The API has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRow:
    """A class of a list: its type and academic year in words."""

    shown: TurnClass
    type: str
    year: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnList:
    """A list of classes with a heading, and how many more there are."""

    title: str
    sentence: str
    rows: tuple[TurnRow, ...]
    more: int


def lists_of(turn: Turn) -> Sequence[TurnList]:
    """The lists that have a class."""
    lists = (
        _list("Classes that begin", "They are made, with these addresses.", turn.begins),
        _list("Classes that go on", "They keep their address, their team and their files.", turn.goes_on),
        _list("Classes that end", "The MIS does not have their groups then. They stay as they are.", turn.ends),
        _list("Other classes that change", "People join or leave them.", turn.changes),
    )
    return [each for each in lists if each.rows]


def _list(title: str, sentence: str, classes: Sequence[TurnClass]) -> TurnList:
    rows = tuple(_row(each) for each in classes[:_LISTED])
    return TurnList(title=f"{title}: {len(classes)}", sentence=sentence, rows=rows, more=len(classes) - len(rows))


def _row(each: TurnClass) -> TurnRow:
    years = [each.year] if each.year == each.new_year else [each.year, each.new_year]
    return TurnRow(shown=each, type=TYPES[each.group_type], year=" → ".join(map(year_text, years)))


def read_day(text: str) -> date | FieldFault:
    """The day of a form, as 01/09/2027 or 2027-09-01."""
    if not text.strip():
        return FieldFault("day", "type a day, such as 01/09/2027")
    read = read_form(RehearsedDay, {"day": text.strip()})
    return read.day if isinstance(read, RehearsedDay) else FieldFault("day", read[0].text)


def read_start(day: date, text: str, zone: str) -> datetime | FieldFault:
    """The moment of that day, in the school's time zone."""
    try:
        at = time.fromisoformat(text.strip())
    except ValueError:
        return FieldFault("at", "type the time as hours and minutes, such as 02:00")
    if at.tzinfo:
        return FieldFault("at", "leave the time zone out: it is that of the school")
    return datetime.combine(day, at, ZoneInfo(zone))
