"""What the home of a school shows: what needs a person, counts, latest runs, and the checklist of a new school."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sync_core.admin.overview.school import SchoolHome
from sync_core.domain.classes.record import ClassState
from sync_core.domain.ids import AccountId, SchoolId
from sync_core.domain.roster import MatchRate
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.http.console.formats import count
from sync_core.http.console.views.holds.cards import card_of
from sync_core.http.console.views.runs.words import RunRow, run_row

Moment = Callable[[datetime], str]
"""A time as a page shows it."""

_STATES = {
    ClassState.LIVE: ("class in Microsoft 365", "classes in Microsoft 365"),
    ClassState.MAKING: ("class being made", "classes being made"),
    ClassState.CHANGED_BY_HAND: ("class changed by hand", "classes changed by hand"),
    ClassState.PINNED: ("class pinned by an undo", "classes pinned by an undo"),
    ClassState.ENDED: ("class kept whose group left the MIS", "classes kept whose groups left the MIS"),
    ClassState.DELETING: ("class being deleted", "classes being deleted"),
    ClassState.DELETED: ("class deleted by an admin", "classes deleted by admins"),
    ClassState.GONE: ("class deleted in Microsoft 365", "classes deleted in Microsoft 365"),
}
_ENDED_BADLY = {
    RunOutcome.REJECTED: "The last feed was rejected, and no class was changed",
    RunOutcome.BLOCKED: "The app lacks a permission in the tenant, and no class was changed",
    RunOutcome.REFUSED: "The last request was not carried out",
}


@dataclass(frozen=True, slots=True)
class Need:
    """What needs a person: where it is dealt with, and what more there is to say."""

    text: str
    address: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A number, and what it counts."""

    number: str
    text: str


@dataclass(frozen=True, slots=True)
class Task:
    """A step of the checklist of a new school. `address` is where it is done, if it is done in the console."""

    text: str
    detail: str
    done: bool
    address: str = ""


# --- what needs a person


def needs(home: SchoolHome, moment: Moment) -> tuple[Need, ...]:
    """Decisions first, then what stops the school, then what a person corrects in the MIS or in Microsoft 365."""
    return tuple(_needs(home, f"/schools/{home.overview.school}", moment))


def _needs(home: SchoolHome, school: str, moment: Moment) -> Iterator[Need]:
    for hold in home.holds:
        yield Need(card_of(hold).headline, f"{school}/approvals#{hold.digest}", f"Held since {moment(hold.at)}.")
    if home.last and home.last.outcome in _ENDED_BADLY:
        detail = home.last.notes[0] if home.last.notes else ""
        yield Need(_ENDED_BADLY[home.last.outcome], f"{school}/runs/{home.last.id}", detail)
    if home.refused:
        refused = count(len(home.refused), "class", "classes")
        yield Need(f"Microsoft 365 refused a change of {refused}", f"{school}/groups", "Each class says why.")
    if home.planned:
        yield from _left_by(home.planned, school)


def _left_by(plan: RunRecord, school: str) -> Iterator[Need]:
    """What the last plan of the whole school could not do."""
    if without := len(plan.people_without_account):
        yield Need(
            f"{count(without, 'person', 'people')} in the MIS {_find(without)} no account in Microsoft 365",
            f"{school}/people",
            "No sync adds them to a class.",
        )
    if doubted := len(plan.people_ambiguous):
        yield Need(
            f"{count(doubted, 'person', 'people')} in the MIS {_find(doubted)} several accounts, or share one",
            f"{school}/people",
            "No sync adds them to a class, or removes them from one.",
        )
    if classes := len(plan.ownerless):
        yield Need(
            f"{count(classes, 'class is', 'classes are')} to have no owner",
            f"{school}/settings",
            "Name admins in the settings who own every class, or give teaching groups a teacher with an account.",
        )
    if pins := len(plan.pins_differ):
        yield Need(
            f"{count(pins, 'pinned class', 'pinned classes')} {'differs' if pins == 1 else 'differ'} from the MIS",
            f"{school}/groups?state={ClassState.PINNED}",
            "A pin stays until an admin releases it.",
        )


def _find(people: int) -> str:
    return "finds" if people == 1 else "find"


# --- counts


def cards(home: SchoolHome, moment: Moment) -> tuple[Card, ...]:
    """The classes by state, the people who have accounts, and the next night."""
    found = [
        Card(count(home.states[state]), words[home.states[state] != 1])
        for state, words in _STATES.items()
        if home.states.get(state)
    ]
    if home.statistics:
        pupils, staff = home.statistics.students_matched, home.statistics.staff_matched
        rates = ((pupils, "pupil", "pupils"), (staff, "member of staff", "staff"))
        found += [_matched(rate, one, many) for rate, one, many in rates if rate and rate.people]
    if home.overview.pinned and not home.states.get(ClassState.PINNED):
        found.append(Card(count(home.overview.pinned), "pins"))
    if at := home.overview.next_night:
        day, _, clock = moment(at).rpartition(" ")
        found.append(Card(clock, f"{day}: the next night begins"))
    return tuple(found)


def _matched(rate: MatchRate, one: str, many: str) -> Card:
    people, verb = count(rate.people, one, many), "has" if rate.people == 1 else "have"
    return Card(count(rate.people - rate.unmatched), f"of {people} {verb} an account")


# --- runs


def run_rows(home: SchoolHome, names: Mapping[AccountId, str]) -> tuple[RunRow, ...]:
    """`names` are those of the people who requested the runs."""
    return tuple(run_row(run, names, home.class_names.get(run.class_key, run.class_key)) for run in home.runs)


# --- the checklist of a new school


def checklist(home: SchoolHome, school: SchoolId) -> tuple[Task, ...]:
    """The steps until a school has its first classes; none for a school that has classes in Microsoft 365."""
    check = home.check
    if check is None:
        return ()
    path = f"/schools/{school}"
    decisions = count(len(home.holds), "decision waits", "decisions wait")
    made = sum(home.states.get(state, 0) for state in (ClassState.LIVE, ClassState.CHANGED_BY_HAND))
    return (
        Task("Save the settings", "The school has settings.", True, f"{path}/settings"),
        Task(
            "Grant the permissions in Microsoft 365",
            f"{check.what[:1].upper()}{check.what[1:]}. What helps: {check.remedy}." if check.what else "",
            not check.what,
        ),
        Task(
            "Have a feed of the MIS accepted",
            "" if home.statistics else "No plan has accepted one yet. Tonight shows what the MIS has.",
            home.statistics is not None,
            f"{path}/tonight",
        ),
        Task(
            "Find the accounts of the people",
            "" if home.planned else "The first plan shows who finds no account.",
            home.planned is not None and not home.planned.people_without_account,
            f"{path}/people",
        ),
        Task(
            "Decide what is held",
            f"{decisions}." if home.holds else "",
            home.planned is not None and not home.holds,
            f"{path}/approvals",
        ),
        Task("Have the first classes made", "A night makes them, or Sync now.", made > 0, f"{path}/tonight"),
    )
