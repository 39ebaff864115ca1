"""The words and dates of the formats, as exporters write them: in any capitals, with either order of day and month."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, tzinfo
from enum import IntEnum, StrEnum
from functools import lru_cache

from sync_core.mis.budget import FIRST_YEAR, LAST_YEAR
from sync_core.mis.files.text import one_word, same_word


class Role(IntEnum):
    """The part that a person has in a class. The number is the order in which staff are asked to own it."""

    STUDENT = 0
    TEACHER = 1
    ASSISTANT = 2
    NONE = 3


# The roles of OneRoster 1.1 and 1.2 (1EdTech), and those of School Data Sync (Microsoft: "Default list of values").
# Form tutor, class teacher, main teacher, TA, LSA and HLTA are what schools in the UK call the staff of a class.
_ROLES = {
    Role.STUDENT: "student students pupil pupils learner learners",
    Role.TEACHER: "teacher teachers professor faculty lecturer instructor adjunct substitute formtutor "
    "classteacher mainteacher leadteacher coteacher",
    Role.ASSISTANT: "teacherassistant assistant aide paraprofessional staff coach chair teachingassistant ta "
    "learningsupportassistant lsa hlta",
    Role.NONE: "administrator systemadministrator siteadministrator districtadministrator principal proctor guardian "
    "parent relative counselor researcher affiliate occupationaltherapist physicaltherapist speechtherapist "
    "visiontherapist specialservices advisor nurse officestaff itadmin alumni other",
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words.split()}
_PRESENT = {"": True, "active": True, "tobedeleted": False, "deleted": False, "inactive": False}
_BOOLEANS = {"": False, "true": True, "false": False, "1": True, "0": False, "yes": True, "no": False} | {
    "y": True,
    "n": False,
    "t": True,
    "f": False,
    "-1": True,  # of Microsoft Access
    "1.0": True,  # of pandas, in a column with empty cells
    "0.0": False,
}
_ISO = re.compile(r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|(\d{2})(\d{2}))(?:[T ].*)?")
_PARTS = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?:[T ].*)?")
_WEEKDAY = re.compile(r"(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?\b[, ]*", re.IGNORECASE)
_DAY_OF_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[ -]([a-z]{3,9})[ ,-]+(\d{4}|\d{2})", re.IGNORECASE)
_MONTH_AND_DAY = re.compile(r"([a-z]{3,9}) (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})", re.IGNORECASE)
_SERIAL = re.compile(r"(\d{5})(?:\.\d+)?")
_SERIAL_ZERO = date(1899, 12, 30)
"""Excel counts days from here."""
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_ENDS_OF_DAY = ((0, 0), (23, 59))
_MOST_KNOWN = 10_000
"""The most dates of a file whose reading is remembered."""
_YEAR_GROUP = re.compile(
    r"(?:(?:nc|national curriculum|curriculum) )?(?:(?:ncy|year|yr|y|grade|gr)\.? ?)?"
    r"0*(\d{1,2})(?:\.0|(?:st|nd|rd|th)(?: grade)?)?"
)


@lru_cache(maxsize=1_000)
def read_role(text: str) -> Role | None:
    """None if the role is not known."""
    return _ROLE_OF.get(one_word(text))


@lru_cache(maxsize=1_000)
def is_present(status: str) -> bool | None:
    """Whether a record with this status counts. None if the status is not known."""
    return _PRESENT.get(one_word(status))


@lru_cache(maxsize=1_000)
def read_boolean(text: str) -> bool | None:
    """None if the text is neither true nor false. An empty text is false."""
    return _BOOLEANS.get(same_word(text))


def year_group(text: str) -> str:
    """One form for all ways to write a year group: `07`, `7.0`, `Year 7`, `Y7`, `NC Year 7` and `7th` are one."""
    word = same_word(text.strip("[]\"' "))
    number = _YEAR_GROUP.fullmatch(word)
    return number[1].lstrip("0") or "0" if number else word


def is_plain_date(text: str) -> bool:
    """Whether a date reads the same whatever other dates a file has: it is empty, or begins with the year."""
    return not text or _ISO.fullmatch(text) is not None


class DayFirst(StrEnum):
    """The order of day and month where a file does not show it."""

    YES = "day before month, as in the UK"
    NO = "month before day, as in the format's documentation"


class Dates:
    """The dates of one file. `texts` returns all of them: they show whether the day or the month is first.

    A time with its offset is the date that it is in `zone`, that of the school: local midnight in summer is
    2026-07-31T23:00:00Z in UTC. The first and the last minute of a day stand for the date as it is written.
    """

    def __init__(
        self, texts: Callable[[], Iterable[str]], usual: DayFirst, note: Callable[[str], None], zone: tzinfo
    ) -> None:
        self._zone = zone
        self._texts = texts
        self._usual = usual
        self._note = note
        self._order: DayFirst | None = None
        self._serials = False
        self._known: dict[str, date | None] = {}

    def read(self, text: str) -> date | None:
        """None if the text is not a date, or empty."""
        if text not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[text] = self._parse(text)
        return self._known[text]

    def _parse(self, text: str) -> date | None:
        try:
            if iso := _ISO.fullmatch(text):
                written = date(int(iso[1]), int(iso[3] or iso[5]), int(iso[4] or iso[6]))
                return _date_in(self._zone, text) or written
            if parts := _PARTS.fullmatch(text):
                first, second = int(parts[1]), int(parts[2])
                day, month = (first, second) if self._day_first() is DayFirst.YES else (second, first)
                return date(_full_year(parts[3]), month, day)
            if serial := _SERIAL.fullmatch(text):
                return self._of_spreadsheet(int(serial[1]))
            return _with_month_name(_WEEKDAY.sub("", text, count=1) if text[:1].isalpha() else text)
        except ValueError:
            return None

    def _of_spreadsheet(self, serial: int) -> date | None:
        """The date that Excel has for a number; None if a school's dates are not so far from today."""
        day = _SERIAL_ZERO + timedelta(days=serial)
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            return None
        if not self._serials:
            self._note("has dates as a spreadsheet counts them, in days — have the MIS write them as 2026-09-01")
        self._serials = True
        return day

    def _day_first(self) -> DayFirst:
        if self._order is None:
            orders = {_order_of(text) for text in self._texts()} - {None}
            if len(orders) == 1:
                self._order = orders.pop()
            else:
                why = "in both orders" if orders else "that can be read in both orders"
                self._note(
                    f"has dates {why}: they were read with the {self._usual} — have the MIS write them as 2026-09-01"
                )
        self._order = self._order or self._usual
        return self._order


def _date_in(zone: tzinfo, text: str) -> date | None:
    """The date in the zone of a time with an offset. None otherwise, also for the first and last minute of a day."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or (moment.hour, moment.minute) in _ENDS_OF_DAY:
            return None
        return moment.astimezone(zone).date()
    except (ValueError, OverflowError):
        return None


def _with_month_name(text: str) -> date | None:
    if named := _DAY_OF_MONTH.fullmatch(text):
        return date(_full_year(named[3]), _month(named[2]), int(named[1]))
    if named := _MONTH_AND_DAY.fullmatch(text):
        return date(int(named[3]), _month(named[1]), int(named[2]))
    return None


def _full_year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)


def _month(name: str) -> int:
    """The month of a name or its beginning, in English; 0 if it is none."""
    return next((number for number, month in enumerate(_MONTHS, start=1) if month.startswith(name.casefold())), 0)


def _order_of(text: str) -> DayFirst | None:
    parts = _PARTS.fullmatch(text)
    if parts and int(parts[1]) > 12:
        return DayFirst.YES
    if parts and int(parts[2]) > 12:
        return DayFirst.NO
    return None
