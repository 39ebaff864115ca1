"""The end of the year for classes that an admin chose, and its reversal: what happens to each, and what is refused.

Only rows and display names are looked at. Nothing here happens without a request: no plan calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from sync_core.domain.classes.desired import ClassRequest, DesiredClass, Reason, Rule
from sync_core.domain.classes.record import ClassRecord, ClassState, Records
from sync_core.domain.classes.teams import ActualTeam, DesiredTeam, TeamState
from sync_core.domain.classes.year_end import (
    NameChoice,
    PupilChoice,
    TeamChoice,
    YearEnd,
    YearEndChoice,
    YearEndFilter,
    YearState,
)
from sync_core.domain.ids import AccountIds, ClassId, ClassKey, RunId
from sync_core.domain.roster import GroupType
from sync_core.domain.school.year import academic_year_of, in_years
from sync_core.errors import Unreadable
from sync_core.planning.limits.holds import digest_of
from sync_core.planning.naming.class_keys import keys_called, names_of_class
from sync_core.planning.year.duration import in_words, shortest_time, writes_to_add

_LONGEST_NAME = 256
"""The most characters of a display name (Graph: "group resource type")."""
_LISTED = 10
_NOT_THERE = {
    ClassState.MAKING: "Microsoft 365 does not have the class yet",
    ClassState.GONE: "the class is gone from Microsoft 365",
    ClassState.DELETING: "the class is being deleted",
    ClassState.DELETED: "the class is deleted",
}
_NEVER_ACTIVATED = (TeamState.ASKED, TeamState.LOCKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class YearEndClass:
    """One class of a year end, or of its reversal, before it is carried out.

    `in_mis`: the last plan still had its group. `use` says exactly what is known of its use. `refused` says why nothing
    happens to it, and is empty otherwise. `new_name` is the display name that it gets, empty if it keeps its own.
    `archives`: its team is archived, or used again at a reversal. `pupils` counts the pupils who leave, or return.
    """

    key: ClassKey
    name: str
    group_name: str
    group_type: GroupType
    academic_year: int
    in_mis: bool
    use: str
    refused: str = ""
    new_name: str = ""
    archives: bool = False
    pupils: int = 0
    kept_until: date | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class YearEndPlan:
    """What a year end, or its reversal, would do. `digest` identifies exactly that, and is empty if it does nothing.

    `what` says the totals in sentences. `writes` are the rows of the classes that are not refused.
    """

    digest: str
    what: tuple[str, ...]
    classes: tuple[YearEndClass, ...]
    writes: tuple[DesiredClass, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolNow:
    """What a year end looks at. `names` are the display names of all classes in Microsoft 365, by id.

    `today` is the day in the school, and `first_month` (1 to 12) the one in which its academic year begins.
    """

    records: Records
    requests: Mapping[ClassKey, ClassRequest]
    names: Mapping[ClassId, str]
    today: date
    first_month: int

    @property
    def year(self) -> int:
        """The academic year of today: the calendar year in which it starts."""
        return academic_year_of(self.today, self.first_month)


@dataclass(frozen=True, slots=True)
class _Considered:
    shown: YearEndClass
    wanted: DesiredClass | None = None


def plan_year_end(filter_: YearEndFilter, choice: YearEndChoice, now: SchoolNow, run: RunId) -> YearEndPlan:
    """What the year end of the classes that the filter chooses would do. Raises Unreadable for an unknown class."""
    considered = [_ended(record, choice, now, run) for record in chosen(filter_, now.records)]
    classes = [each.shown for each in considered if not each.shown.refused]
    teams = sum(each.archives for each in classes)
    leaving, renamed = sum(each.pupils for each in classes), sum(bool(each.new_name) for each in classes)
    stay = "; the pupils stay in all of them" if choice.pupils is PupilChoice.LEAVE_THEM else ""
    return _plan(
        considered,
        f"classes that end their year: {len(classes)}",
        f"teams that are archived: {teams}",
        f"classes that get another display name: {renamed}; their addresses stay",
        f"memberships of pupils that end: {leaving}{stay}",
        f"this takes {in_words(shortest_time(renamed + leaving + teams))} at the limits of Microsoft Graph",
    )


def plan_taking_back(
    filter_: YearEndFilter, returned: Mapping[ClassKey, AccountIds | None], now: SchoolNow, run: RunId
) -> YearEndPlan:
    """What the reversal would do for the chosen classes whose year an admin ended. Raises as `plan_year_end`.

    `returned` are the pupils whom the year end removed, None where its history is no longer on record.
    """
    ended = [record for record in chosen(filter_, now.records) if record.desired.retired]
    considered = [_taken_back(record, returned.get(record.key, frozenset()), now, run) for record in ended]
    classes = [each.shown for each in considered if not each.shown.refused]
    pupils, renamed = sum(each.pupils for each in classes), sum(bool(each.new_name) for each in classes)
    teams = sum(each.archives for each in classes)
    writes = renamed + teams + sum(writes_to_add(each.pupils) for each in classes)
    return _plan(
        considered,
        f"classes whose year end is taken back: {len(classes)}",
        f"archived teams that can be used again: {teams}",
        f"classes that get their display name back: {renamed}",
        f"memberships of pupils that are restored: {pupils}",
        f"this takes {in_words(shortest_time(writes))} at the limits of Microsoft Graph",
    )


def chosen(filter_: YearEndFilter, records: Records) -> list[ClassRecord]:
    """The rows that the filter chooses, in order of key. Raises Unreadable for a class that it names and nobody has."""
    named = _named(filter_.classes, records)
    part = filter_.name.strip().casefold()
    return [
        record
        for key, record in sorted(records.items())
        if (named is None or key in named)
        and (not filter_.years or record.desired.academic_year in filter_.years)
        and (not filter_.types or record.desired.group_type in filter_.types)
        and (not filter_.states or (YearState.ENDED if record.desired.ended else YearState.LIVE) in filter_.states)
        and any(part in name.casefold() for name in (record.outline.display_name, record.desired.group_name))
        and (not filter_.never_used or _never_used(record))
    ]


def known_use(record: ClassRecord) -> str:
    """What is known of the use of a class: of its team, because nobody reads what happens in it."""
    team = record.actual.team if record.actual else None
    if team is None:
        return "no team that the sync knows of; one that somebody made by hand would not show here"
    seen = f", as of {team.seen_at:%d %b %Y}" if team.seen_at else ""
    match team.state:
        case TeamState.MISSING:
            return "no team, because Teams did not make it"
        case TeamState.ASKED:
            return f"a team was requested, and Teams has not shown it yet{seen}"
        case TeamState.LOCKED:
            return f"its team was never activated{seen}"
        case TeamState.OPEN:
            return f"its team is activated{seen}; whether anybody uses it is not known"
        case TeamState.ARCHIVED:
            return f"its team is archived{seen}"
        case TeamState.ARCHIVED_BY_HAND:
            return f"its team was archived by hand{seen}"
        case TeamState.GONE:
            return f"its team was deleted by hand{seen}; whether anybody used it is not known"


# --- one class


def _ended(record: ClassRecord, choice: YearEndChoice, now: SchoolNow, run: RunId) -> _Considered:
    wanted, actual = record.desired, record.actual
    shown = _shown(record, now)
    if refused := _objection(record, now):
        return _Considered(replace(shown, refused=refused))
    assert actual is not None, "a class that is not made is refused"
    name, refused = _new_name(wanted, choice, now.names.get(actual.class_id))
    if refused:
        return _Considered(replace(shown, refused=refused))
    archives = choice.team is TeamChoice.ARCHIVE and _is_there(actual.team)
    known = wanted.members | (actual.members or frozenset())
    pupils = known - wanted.owners if choice.pupils is PupilChoice.REMOVE else frozenset()
    kept_until = _kept_until(wanted, choice, now)
    ending = YearEnd(
        run=run,
        name_before=shown.name if name else "",
        name=name,
        pupils=pupils,
        team_before=_team_before(wanted, actual.team) if archives else None,
        ended_before=wanted.ended,
        kept_until=kept_until,
    )
    members = wanted.members - pupils
    after = replace(
        wanted,
        ended=True,
        pinned=False,
        members=members,
        reasons={person: reason for person, reason in wanted.reasons.items() if person in members},
        team=DesiredTeam.ARCHIVED if archives else wanted.team,
        year_end=ending,
    )
    return _Considered(
        replace(shown, new_name=name, archives=archives, pupils=len(pupils), kept_until=kept_until), after
    )


def _taken_back(record: ClassRecord, returned: AccountIds | None, now: SchoolNow, run: RunId) -> _Considered:
    wanted, actual, ending = record.desired, record.actual, record.desired.year_end
    assert ending is not None, "only such classes are taken back"
    shown = _shown(record, now)
    if actual is None or record.state in _NOT_THERE:
        return _Considered(replace(shown, refused=f"{_NOT_THERE[record.state]} — restore it first"))
    renamed_by_hand = bool(ending.name) and shown.name != ending.name
    name = ending.name_before if ending.name and not renamed_by_hand else ""
    # Who is wanted and was never in the class is not put back: a plan may be under way.
    inside = actual.members or frozenset()
    waiting = ending.pupils & inside if record.year_end_waits else frozenset()
    pupils = ((returned or frozenset()) | waiting) - wanted.members
    members = wanted.members | pupils
    reasons = dict(wanted.reasons) | {person: Reason(Rule.UNDONE, ending.run) for person in sorted(pupils)}
    after = replace(
        wanted,
        ended=ending.ended_before and not wanted.pinned,
        members=members,
        reasons=reasons,
        team=wanted.team if ending.team_before is None else ending.team_before,
        year_end=replace(ending, run=run, pupils=pupils, taken_back=True),
    )
    notes = []
    if renamed_by_hand:
        notes.append("somebody renamed it since, so it keeps its name")
    if returned is None:
        notes.append("the history of its year end is no longer on record, so nobody is put back by this")
    if not ending.ended_before:
        notes.append("the next sync makes it match the MIS again")
    archives = ending.team_before is not None
    return _Considered(
        replace(shown, new_name=name, archives=archives, pupils=len(pupils), note="; ".join(notes)), after
    )


def _objection(record: ClassRecord, now: SchoolNow) -> str:
    """Why the year of a class cannot be ended now, with what to do; empty if it can."""
    wanted = record.desired
    if wanted.retired:
        return "its year has ended already — take that back first, to choose anything else"
    if record.state in _NOT_THERE:
        return f"{_NOT_THERE[record.state]} — there is nothing to end"
    if record.year_end_waits:
        return "its year end was taken back a moment ago, which is not carried out yet — wait until the next night"
    if wanted.pinned:
        return "an undo pinned it as it was — release the pin first"
    if not wanted.ended and _is_current(wanted, now):
        year = f"{wanted.academic_year}" if wanted.academic_year else "an unknown year"
        return f"it is a class of {year}, and the MIS still has its group — end the group in the MIS first"
    request = now.requests.get(wanted.key)
    if request and request.required_until and request.required_until >= now.today:
        return f"its requester needs it until {request.required_until:%d %b %Y} — wait until then"
    assert record.actual is not None, "a class that is not made has another state"
    if record.actual.class_id not in now.names:
        return "the list of classes in Microsoft 365 does not have it now — try again in some minutes"
    return ""


def _is_current(wanted: DesiredClass, now: SchoolNow) -> bool:
    """Whether the class may be one of this year, or of a later one."""
    return not wanted.academic_year or wanted.academic_year >= now.year


def _new_name(wanted: DesiredClass, choice: YearEndChoice, name: str | None) -> tuple[str, str]:
    """The new display name, empty for none; and why there can be none, empty if there can."""
    if choice.rename is NameChoice.KEEP or name is None:
        return "", ""
    if choice.rename is NameChoice.YEAR:
        if not wanted.academic_year:
            return "", "its academic year is not known — choose a suffix of your own"
        suffix = f"({in_years(wanted.academic_year)})"
    else:
        suffix = choice.suffix.strip()
    if name.endswith(suffix):
        return "", ""
    new = f"{name} {suffix}"
    if len(new) > _LONGEST_NAME:
        return "", f"its name would have {len(new)} characters, and {_LONGEST_NAME} are allowed — choose a shorter one"
    return new, ""


def _kept_until(wanted: DesiredClass, choice: YearEndChoice, now: SchoolNow) -> date | None:
    """The last day of the school year that ends so many years after its own."""
    if choice.keep_years is None:
        return None
    return date((wanted.academic_year or now.year) + 1 + choice.keep_years, now.first_month, 1) - timedelta(days=1)


def _team_before(wanted: DesiredClass, team: ActualTeam | None) -> DesiredTeam:
    """What is wanted of the team without the year end. A team that nobody wants now is left as it is."""
    if wanted.team is not DesiredTeam.NONE:
        return wanted.team
    return DesiredTeam.LOCKED if team and team.state in _NEVER_ACTIVATED else DesiredTeam.OPEN


def _is_there(team: ActualTeam | None) -> bool:
    """Whether there is a team to archive. One that is archived by hand stays so, whatever is taken back later."""
    return team is not None and team.state in (TeamState.ASKED, TeamState.LOCKED, TeamState.OPEN)


def _never_used(record: ClassRecord) -> bool:
    team = record.actual.team if record.actual else None
    return team is None or team.state in _NEVER_ACTIVATED


def _shown(record: ClassRecord, now: SchoolNow) -> YearEndClass:
    wanted = record.desired
    listed = now.names.get(record.actual.class_id) if record.actual else None
    return YearEndClass(
        key=record.key,
        name=listed or record.outline.display_name,
        group_name=wanted.group_name,
        group_type=wanted.group_type,
        academic_year=wanted.academic_year,
        in_mis=not (wanted.year_end.ended_before if wanted.year_end and wanted.retired else wanted.ended),
        use=known_use(record),
    )


# --- all classes


def _plan(considered: Sequence[_Considered], *what: str) -> YearEndPlan:
    refused = sum(bool(each.shown.refused) for each in considered)
    writes = tuple(each.wanted for each in considered if each.wanted)
    identities = [_identity(each.shown, each.wanted) for each in considered if each.wanted]
    left = f"classes that are chosen, and left as they are: {refused}"
    return YearEndPlan(
        digest=digest_of(identities) if identities else "",
        what=(*what, left) if refused else what,
        classes=tuple(each.shown for each in considered),
        writes=writes,
    )


def _identity(shown: YearEndClass, wanted: DesiredClass) -> list[object]:
    """What identifies the change of one class, but for its run."""
    ending = wanted.year_end
    assert ending is not None, "every change here is one of a year end"
    kept = ending.kept_until.isoformat() if ending.kept_until else ""
    return [shown.key, shown.name, shown.new_name, shown.archives, ending.taken_back, kept, sorted(ending.pupils)]


def _named(names: Iterable[str], records: Records) -> frozenset[ClassKey] | None:
    """The keys of the classes with these keys or names; None if no name is given."""
    listed = tuple(names)
    if not listed:
        return None
    all_names = {key: (key, *names_of_class(record)) for key, record in records.items()}
    found = {name: keys_called(name, all_names) for name in listed}
    if unknown := [str(number) for number, name in enumerate(listed, start=1) if not found[name]]:
        raise Unreadable(
            f"the school has no class with these of the keys and names: number {', '.join(unknown[:_LISTED])}",
            "name each class by a key that the list of classes has",
        )
    return frozenset(key for keys in found.values() for key in keys)
