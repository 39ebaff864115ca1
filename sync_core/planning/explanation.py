"""Why somebody is in a class or not, and what the next sync does about it: from the rules, the plan and the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sync_core.domain.classes import AppliedDelta, ClassRecord, ClassState, Reason, Rule
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import Cause, RunOutcome
from sync_core.planning.school_plan import SchoolPlan, hold_text

_OF_THE_MIS = frozenset({Rule.STUDENT, Rule.TEACHER, Rule.IN_DOUBT})


class Role(StrEnum):
    """As what somebody can be in a class; every owner whom a sync grants is a member too."""

    MEMBER = "member"
    OWNER = "owner"


class By(StrEnum):
    """Who made it so: a sync; somebody in Microsoft 365; nobody on record; or nobody ever did.

    UNRECORDED: a sync found them there already, put there by hand or by a sync that was cut off before it had Graph's
    answer; or it was longer ago than the history is kept.
    """

    SYNC = "sync"
    HAND = "hand"
    UNRECORDED = "unrecorded"
    NOBODY = "nobody"


class Next(StrEnum):
    """What the next sync does about it. HELD: it stays, but only because an admin has not approved the change."""

    STAYS = "stays"
    COMES = "comes"
    GOES = "goes"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked about: Entra id and MIS person id, each empty where it is not known."""

    account: str
    person: str


@dataclass(frozen=True, slots=True)
class People:
    """The people of a class as Microsoft 365 has them at this moment: Entra ids."""

    members: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonEvent:
    """When somebody came into a role or left it, by which run; and, of who came, why."""

    at: datetime
    run: str
    cause: Cause
    role: Role
    came: bool
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether somebody has a role in the class now, by whom, and what becomes of it.

    `event` is the last one on record, and with SYNC what made it so: since when, by which run, cause, rule and record.
    `next_why` says why it stays, where that is not because the rules want it so.
    """

    there: bool
    by: By
    event: PersonEvent | None
    next: Next
    next_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One person and one class.

    `account` and `person` are the Entra id and the MIS person id, as far as they are known. `wanted` is by what the
    rules want them in the class now; `lines` say all of it to a reader.
    """

    school: str
    key: str
    class_id: str
    account: str
    person: str
    at: datetime
    member: Standing
    owner: Standing
    wanted: Reason | None
    history: tuple[PersonEvent, ...]
    lines: tuple[str, ...]


def find_subject(
    asked: str,
    by_upn: Mapping[str, str],
    record: ClassRecord,
    history: Iterable[AppliedDelta],
    planned: SchoolPlan,
) -> Subject | None:
    """By Entra id, MIS person id or user principal name; None for somebody of whom nothing is known.

    `by_upn` are the Entra ids of the tenant's accounts.
    """
    ruled = planned.ruled
    groups = ruled.groups.values() if ruled else ()
    met = record.desired.members | set(by_upn.values())
    reasons: dict[str, Reason] = {}
    for delta in history:
        met |= delta.members_added | delta.members_removed | delta.owners_granted | delta.owners_revoked
        reasons |= delta.reasons
    reasons |= record.desired.reasons
    persons = {account: reason.record for account, reason in reasons.items() if reason.rule in _OF_THE_MIS}
    persons |= {account: person for person, account in ruled.matched.items()} if ruled else {}
    for account_id in (by_upn.get(asked.lower()), asked, asked.lower()):
        if account_id in met:
            return Subject(account_id, persons.get(account_id, ""))
    for account_id, person in sorted(persons.items()):
        if person == asked:
            return Subject(account_id, asked)
    listed = any(asked in group.students or asked in group.teachers for group in groups)
    return Subject("", asked) if listed else None


def explain(
    subject: Subject,
    record: ClassRecord,
    history: Sequence[AppliedDelta],
    there: People,
    planned: SchoolPlan,
    at: datetime,
) -> Explanation:
    """`history` is the class's, oldest first."""
    outlook = _Outlook(record, there, planned)
    person = subject.account
    generation = _this_generation(history)
    actual = record.actual if generation and generation[0].created else None
    events = tuple(event for delta in generation for event in _events(person, delta))
    strange = actual is not None and person not in (actual.members or frozenset())
    member = _standing(Role.MEMBER, person in there.members, events, strange, *outlook.membership(person))
    strange = actual is not None and person not in actual.owners
    owner = _standing(Role.OWNER, person in there.owners, events, strange, *outlook.ownership(person))
    wanted = outlook.rules.reasons.get(person) if outlook.rules else None
    lines = [_role_line(Role.MEMBER, member)]
    if owner.there or owner.event or owner.next is not Next.STAYS:
        lines.append(_role_line(Role.OWNER, owner))
    lines += [_mis_line(subject, record.key, wanted, planned), *_next_lines(member, owner)]
    return Explanation(
        school=record.school,
        key=record.key,
        class_id=record.actual.class_id if record.actual else "",
        account=person,
        person=subject.person,
        at=at,
        member=member,
        owner=owner,
        wanted=wanted,
        history=tuple(event for delta in history for event in _events(person, delta)),
        lines=tuple(lines),
    )


# --- what has been


def _this_generation(history: Sequence[AppliedDelta]) -> Sequence[AppliedDelta]:
    """A class that was made anew began with nobody in it."""
    births = [place for place, delta in enumerate(history) if delta.created]
    return history[births[-1] :] if births else history


def _events(person: str, delta: AppliedDelta) -> Iterable[PersonEvent]:
    for people, role, came in (
        (delta.owners_granted, Role.OWNER, True),
        (delta.members_added, Role.MEMBER, True),
        (delta.owners_revoked, Role.OWNER, False),
        (delta.members_removed, Role.MEMBER, False),
    ):
        if person in people:
            reason = delta.reasons.get(person) if came else None
            yield PersonEvent(at=delta.at, run=delta.run, cause=delta.cause, role=role, came=came, reason=reason)


def _standing(
    role: Role, there: bool, events: Iterable[PersonEvent], strange: bool, next_: Next, next_why: str
) -> Standing:
    """`strange`: no sync has ever seen them there, as far as the whole life of the class is on record."""
    last = next((event for event in reversed(tuple(events)) if event.role is role), None)
    if last is not None and last.came is there:
        by = By.SYNC
    elif last is not None:
        by = By.HAND
    elif there:
        by = By.HAND if strange else By.UNRECORDED
    else:
        by = By.NOBODY
    return Standing(there=there, by=by, event=last, next=next_, next_why=next_why)


# --- what will be


class _Outlook:
    """What the next sync makes of the class: `rules` before anything was held back, `_final` after it."""

    def __init__(self, record: ClassRecord, there: People, planned: SchoolPlan) -> None:
        self._record = record
        self._there = there
        self._planned = planned
        self.rules = planned.wanted.get(record.key)
        written = {desired.key: desired for desired in planned.plan.writes}
        self._final = written.get(record.key, record.desired)

    def membership(self, person: str) -> tuple[Next, str]:
        if untouched := self._untouched():
            return Next.STAYS, untouched
        there, wanted = person in self._there.members, person in self._final.members
        if wanted and not there:
            return Next.COMES, ""
        if there and not wanted:
            stays, why = self.ownership(person)
            if person in self._there.owners and stays is not Next.GOES:
                return stays, why or "who is an owner stays a member"
            return Next.GOES, ""
        if self.rules and (person in self.rules.members) is not there:
            return Next.HELD, self._holds()
        return Next.STAYS, ""

    def ownership(self, person: str) -> tuple[Next, str]:
        if untouched := self._untouched():
            return Next.STAYS, untouched
        there, wanted = person in self._there.owners, person in self._final.owners
        granted = self._record.actual is not None and person in self._record.actual.granted
        if wanted and not there:
            return Next.COMES, ""
        if there and not wanted:
            if not granted:
                return Next.STAYS, "an owner stays whom somebody made by hand, or whose grant was never confirmed"
            if self._final.revoke:
                return Next.GOES, ""
            if self.rules and self.rules.revoke:
                return Next.HELD, self._holds()
            return Next.STAYS, "departed_owners keeps them, or not everybody who should own the class is known"
        if self.rules and not there and person in self.rules.owners:
            return Next.HELD, self._holds()
        return Next.STAYS, ""

    def _untouched(self) -> str:
        """Why no sync touches the class; empty if one does."""
        final, actual, run = self._final, self._record.actual, self._planned.run
        match replace(self._record, desired=final).state:
            case ClassState.DELETING | ClassState.DELETED:
                return "an admin had the class deleted"
            case ClassState.GONE:
                return "the class is gone from Microsoft 365, until an admin restores it or has it made again"
            case ClassState.ENDED:
                return "its group is no longer in the MIS, and the class stays as it is"
            case ClassState.PINNED if actual and (actual.members, actual.owners) == (final.members, final.owners):
                return "the class is pinned as it was before a run that was undone, until an admin releases it"
        return "; ".join(run.notes) if run.outcome is RunOutcome.PAUSED else ""

    def _holds(self) -> str:
        holds = self._planned.open_holds
        return "; ".join(hold_text(hold) for hold in holds if self._record.key in hold.classes)


# --- in words


def _role_line(role: Role, standing: Standing) -> str:
    what = {Role.MEMBER: "in the class", Role.OWNER: "an owner of it"}[role]
    event = standing.event
    told = f"by {event.cause} run {event.run}" if event else ""
    match standing.by, standing.there:
        case By.SYNC, True:
            assert event is not None
            return f"{what} since {event.at:%d %b %Y %H:%M}, {told}{_because(event.reason)}"
        case By.SYNC, False:
            assert event is not None
            return f"not {what} since {event.at:%d %b %Y %H:%M}, {told}"
        case By.HAND, True:
            last = f": {told} it had ended on {event.at:%d %b %Y %H:%M}" if event else ""
            return f"{what} by hand, in Microsoft 365{last}"
        case By.HAND, False:
            assert event is not None
            return f"not {what} by hand, in Microsoft 365: {told} it had begun on {event.at:%d %b %Y %H:%M}"
        case By.UNRECORDED, _:
            return f"{what}, and was when a sync came to see to it: by hand, by a sync cut off, or before the history"
    return f"not {what}, and by no sync that is on record"


_BECAUSE = {
    Rule.STUDENT: "the MIS has person {} as a student of its group",
    Rule.TEACHER: "the MIS has person {} as a teacher of its group who owns the class",
    Rule.ADMIN_OWNER: "admin_owners of the school's settings name them",
    Rule.CREATOR: "they asked for the class",
    Rule.IN_DOUBT: "several accounts could be MIS person {}'s, and in doubt who is in stays",
    Rule.UNDONE: "they were in it before run {}, which was undone",
}


def _because(reason: Reason | None) -> str:
    return f": {_BECAUSE[reason.rule].format(reason.record)}" if reason else ""


def _mis_line(subject: Subject, key: str, wanted: Reason | None, planned: SchoolPlan) -> str:
    """What the rules make of the MIS now."""
    if planned.run.outcome is not RunOutcome.PLANNED:
        return f"what the rules want now is not known: {'; '.join(planned.run.notes)}"
    if wanted:
        return f"the rules want them in it{_because(wanted)}"
    group = planned.ruled.groups.get(key) if planned.ruled else None
    if group is None:
        return "the rules want nobody in it: its group is not in the MIS any more"
    as_student, as_teacher = subject.person in group.students, subject.person in group.teachers
    if not as_student and not as_teacher:
        return f"the rules do not want them in it: the MIS does not have them in {group.type} group {group.id}"
    listed = f"the rules do not want them in it, though the MIS has person {subject.person} in group {group.id}"
    if subject.person in planned.run.people_ambiguous:
        return f"{listed}: several accounts could be theirs, or theirs several people's — make the property unique"
    if not subject.account:
        return f"{listed}: no account matches — correct the account, the MIS, or the school's matching settings"
    if as_teacher and not as_student:
        owning = "only the main teacher owns" if group.type is GroupType.TEACHING else "no teacher owns"
        return f"{listed}: {owning} a class of such a group by the school's settings"
    return f"{listed}: a pin keeps the class as it was"


_DOES = {
    (Role.MEMBER, Next.COMES): "puts them in",
    (Role.MEMBER, Next.GOES): "takes them out",
    (Role.OWNER, Next.COMES): "makes them an owner",
    (Role.OWNER, Next.GOES): "takes the ownership away",
}


def _next_lines(member: Standing, owner: Standing) -> Iterable[str]:
    both = ((Role.MEMBER, member), (Role.OWNER, owner))
    does = [_DOES[role, standing.next] for role, standing in both if (role, standing.next) in _DOES]
    whys = dict.fromkeys(standing.next_why for _, standing in both if standing.next_why)
    yield f"the next sync {' and '.join(does) or 'leaves it as it is'}{''.join(f'; {why}' for why in whys)}"
