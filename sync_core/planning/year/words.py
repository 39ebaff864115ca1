"""What the notes and counts of a run say about the school's calendar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from sync_core.domain.ids import ClassKey
from sync_core.domain.school.year import Pause
from sync_core.planning.run_notes import name_some
from sync_core.planning.year.arrangement import Arrangement, YearRule
from sync_core.planning.year.calendar import SchoolDay, in_words

_TO_COME = (YearRule.NOT_MADE, YearRule.WITHOUT_PUPILS, YearRule.GOES_ON)


class YearCounts(TypedDict):
    """The counts of a run, by their fields."""

    classes_to_make: int
    classes_to_fill: int
    pupils_to_come: int
    people_staying: int


def counts_of(year: Arrangement) -> YearCounts:
    to_fill = [key for key in year.keys(YearRule.WITHOUT_PUPILS, YearRule.GOES_ON) if year.withheld[key].coming]
    return YearCounts(
        classes_to_make=len(year.keys(YearRule.NOT_MADE)),
        classes_to_fill=len(to_fill),
        pupils_to_come=len(year.pupils_to_come(*_TO_COME)),
        people_staying=sum(len(each.staying) for each in year.withheld.values()),
    )


def pause_of_all(day: SchoolDay) -> str:
    """Why no plan is made on this day; empty if one is."""
    if day.pause is not Pause.NOTHING:
        return ""
    return f"the school's calendar pauses it {_period(day)}, and nobody joins or leaves a class"


def notes_on(year: Arrangement, day: SchoolDay) -> Iterable[str]:
    """What the calendar withholds, in the order of its dates."""
    calendar = day.calendar
    over = year.keys(YearRule.OVER)
    if over and calendar.last_day:
        yield (
            f"classes of a year that ended on {in_words(calendar.last_day)}, which the MIS would change: "
            f"{_listed(over)} — they keep their people, nobody joins them, and none is made"
        )
    paused = [key for key, each in year.withheld.items() if each.rule is not YearRule.OVER and each.staying]
    if paused and day.pause is Pause.ADDITIONS_ONLY:
        people = sum(len(year.withheld[key].staying) for key in paused)
        yield (
            f"people who stay in classes that the MIS wants them to leave, because the calendar pauses the school "
            f"{_period(day)}: {people} in classes {name_some(sorted(paused))} — they leave after the pause"
        )
    if (to_make := year.keys(YearRule.NOT_MADE)) and calendar.teachers_in_from:
        yield (
            f"classes of the coming year that wait for {in_words(calendar.teachers_in_from)}: {_listed(to_make)} — "
            "they are made on that day, with their owners"
        )
    if (pupils := year.pupils_to_come(*_TO_COME)) and day.pupils_day:
        yield f"pupils who come into classes of the coming year from {in_words(day.pupils_day)}: {len(pupils)}"
    if there := [key for key, each in sorted(year.withheld.items()) if each.there]:
        people = sum(len(year.withheld[key].there) for key in there)
        yield (
            f"pupils who are in classes of the coming year before their day: {people} in classes {name_some(there)} — "
            "they stay, because the calendar takes nobody out of a class"
        )


def _period(day: SchoolDay) -> str:
    since, until = day.calendar.pause_from, day.calendar.pause_until
    assert since and until
    return f"from {in_words(since)} to {in_words(until)}"


def _listed(keys: Sequence[ClassKey]) -> str:
    return f"{len(keys)} ({name_some(keys)})"
