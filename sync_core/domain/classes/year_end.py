"""The end of a class's year, which an admin alone decides: which classes it is about, and what happens to each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen

from sync_core.domain.classes.teams import DesiredTeam
from sync_core.domain.constraints import CLASS_NAME, FORM, PRINTABLE, EachOnce, Exact, Meaning
from sync_core.domain.ids import AccountIds, RunId
from sync_core.domain.roster import GroupType

MOST_NAMED = 200
"""The most classes that a filter names: a message holds 256 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YearEnd:
    """What an admin decided for one class. Until it is taken back, no plan changes the class.

    `run` is the run of the last decision. `name_before` and `name` are the display names before the year end and after
    it, both empty if the class keeps its name. `pupils` are those who leave, or return if it is taken back: Entra ids.
    `team_before` is what was wanted of its team until the year end archived it, None if that did not. `ended_before`:
    its group had left the MIS before. `kept_until` is the day after which the class is reported, and never deleted.
    `taken_back`: `run` reverses all of it.
    """

    run: RunId
    name_before: str = ""
    name: str = ""
    pupils: AccountIds = frozenset()
    team_before: DesiredTeam | None = None
    ended_before: bool = False
    kept_until: date | None = None
    taken_back: bool = False


class YearState(StrEnum):
    """A state in which a class can be chosen. ENDED: its group has left the MIS. LIVE: the MIS still has it."""

    ENDED = "ended"
    LIVE = "live"


class TeamChoice(StrEnum):
    """What happens to a team that the sync knows of. Of a class without one, only the year end is recorded."""

    ARCHIVE = "archive"
    LEAVE = "leave"


class NameChoice(StrEnum):
    """What the display name gets at its end. YEAR: the academic year, as ` (2025/26)`. SUFFIX: the admin's own text."""

    KEEP = "keep"
    YEAR = "year"
    SUFFIX = "suffix"


class PupilChoice(StrEnum):
    """Whether the pupils stay in the class. Its owners always do."""

    LEAVE_THEM = "leave_them"
    REMOVE = "remove"


_Year = Annotated[int, Exact(), Ge(2000), Le(2100)]
_Name = Annotated[str, PRINTABLE, MinLen(1), MaxLen(256)]


@dataclass(frozen=True, slots=True)
class YearEndFilter:
    """Which classes a year end is about. What is left empty does not matter."""

    __pydantic_config__ = FORM
    years: Annotated[
        tuple[_Year, ...], MaxLen(20), Meaning("Academic years, each as the calendar year in which it starts")
    ] = ()
    types: Annotated[tuple[GroupType, ...], EachOnce()] = ()
    states: Annotated[
        tuple[YearState, ...], EachOnce(), Meaning("`ended`: the MIS no longer has the group. `live`: it still has it")
    ] = ()
    classes: Annotated[
        tuple[_Name, ...], MaxLen(MOST_NAMED), Meaning("Keys, or other names, of classes: only these, if any is named")
    ] = ()
    name: Annotated[
        str, PRINTABLE, MaxLen(256), Meaning("A part of the display name, or of the name of the group in the MIS")
    ] = ""
    never_used: Annotated[
        bool,
        Exact(),
        Meaning("Only classes without a team as far as the sync knows, and those whose team was never activated"),
    ] = False


@dataclass(frozen=True, slots=True)
class YearEndChoice:
    """What happens to the classes of a year end."""

    __pydantic_config__ = FORM
    team: TeamChoice = TeamChoice.ARCHIVE
    rename: NameChoice = NameChoice.KEEP
    suffix: Annotated[
        str, CLASS_NAME, MaxLen(60), Meaning("The end of each display name, after a space, if `rename` is `suffix`")
    ] = ""
    pupils: PupilChoice = PupilChoice.LEAVE_THEM
    keep_years: Annotated[
        int | None,
        Exact(),
        Ge(1),
        Le(50),
        Meaning("For so many years after its own, the class is kept. Then runs report it, and delete nothing"),
    ] = None


@dataclass(frozen=True, slots=True)
class YearEndOrder:
    """A year end: which classes, and what happens to them."""

    __pydantic_config__ = FORM
    filter: YearEndFilter = field(default_factory=YearEndFilter)
    choice: YearEndChoice = field(default_factory=YearEndChoice)
