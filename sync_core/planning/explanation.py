"""Explains why a person is in a class or not, and what the next sync will do, from rules, plan and history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sync_core.domain.classes import AppliedDelta, ClassRecord, ClassState, Reason, Rule
from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import Cause, RunOutcome
from sync_core.planning.school_plan import SchoolPlan, hold_text

_MIS_RULES = frozenset({Rule.STUDENT, Rule.TEACHER, Rule.IN_DOUBT})


class Role(StrEnum):
    """A person's role in a class; every owner whom a sync grants is a member too."""

    MEMBER = "member"
    OWNER = "owner"


class By(StrEnum):
    """The cause of the current state: a sync, a change by hand in Microsoft 365, an unrecorded cause, or none.

    UNRECORDED: a sync found the person there already, added by hand or by a sync that stopped before Graph's answer; or
    they were added before the history begins.
    """

    SYNC = "sync"
    HAND = "hand"
    UNRECORDED = "unrecorded"
    NOBODY = "nobody"


class Next(StrEnum):
    """The next sync's effect. HELD: the role stays as it is until an admin approves the change."""

    STAYS = "stays"
    COMES = "comes"
    GOES = "goes"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Subject:
    """The person to explain: Entra id and MIS person id, each empty if unknown."""

    account: AccountId
    person: MisId


@dataclass(frozen=True, slots=True)
class People:
    """The people of a class in Microsoft 365 now: Entra ids."""

    members: frozenset[AccountId] = frozenset()
    owners: frozenset[AccountId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonEvent:
    """When and by which run a person got a role or lost it; with the reason if they got it."""

    at: datetime
    run: RunId
    cause: Cause
    role: Role
    came: bool
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a person has a role in the class now, the cause, and the next sync's effect.

    `event` is the last one on record. With SYNC, it is the cause: time, run, cause, rule and record. `next_why` says
    why the role stays as it is if the rules are not the reason.
    """

    there: bool
    by: By
    event: PersonEvent | None
    next: Next
    next_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The explanation for one person and one class.

    `account` and `person` are the Entra id and the MIS person id, if known. `wanted` is the reason why the rules want
    the person in the class now. `lines` are the whole explanation as text.
    """

    school: SchoolId
    key: ClassKey
    class_id: ClassId
    account: AccountId
    person: MisId
    at: datetime
    member: Standing
    owner: Standing
    wanted: Reason | None
    history: tuple[PersonEvent, ...]
    lines: tuple[str, ...]


def find_subject(
    query: str, upns: Mapping[str, AccountId], record: ClassRecord, history: Iterable[AppliedDelta], planned: SchoolPlan
) -> Subject | None:
    """Find a person by Entra id, MIS person id or UPN (`upns`: UPN to Entra id); None if nothing is known of them."""
    ruled = planned.ruled
    known = record.desired.members | set(upns.values())
    reasons: dict[AccountId, Reason] = {}
    for delta in history:
        known |= delta.members_added | delta.members_removed | delta.owners_granted | delta.owners_revoked
        reasons |= delta.reasons
    reasons |= record.desired.reasons
    persons = {account: MisId(reason.record) for account, reason in reasons.items() if reason.rule in _MIS_RULES}
    persons |= {account: person for person, account in ruled.matched.items()} if ruled else {}
    for account_id in (upns.get(query.lower()), AccountId(query), AccountId(query.lower())):
        if account_id in known:
            return Subject(account_id, persons.get(account_id, MisId("")))
    matched = min((account for account, person in persons.items() if person == query), default=AccountId(""))
    groups = ruled.groups.values() if ruled else ()
    listed = any(query in group.students or query in group.teachers for group in groups)
    return Subject(matched, MisId(query)) if matched or listed else None


def explain(
    subject: Subject,
    record: ClassRecord,
    history: Sequence[AppliedDelta],
    there: People,
    planned: SchoolPlan,
    at: datetime,
) -> Explanation:
    """Explain the person's place in the class. `history` is that of the class, oldest first."""
    account = subject.account
    creations = [place for place, delta in enumerate(history) if delta.created]
    # The class was empty when it was last created. With that on record, `recorded` has everybody a sync saw in it.
    generation = history[creations[-1] :] if creations else history
    recorded = record.actual if creations else None
    events = tuple(event for delta in generation for event in _events(account, delta))
    outlook = _Outlook(record, there, planned)
    foreign = recorded is not None and account not in (recorded.members or ())
    member = _standing(Role.MEMBER, account in there.members, events, foreign, outlook.membership(account))
    foreign = recorded is not None and account not in recorded.owners
    owner = _standing(Role.OWNER, account in there.owners, events, foreign, outlook.ownership(account))
    wanted = outlook.rules.reasons.get(account) if outlook.rules else None
    lines = [_role_line(Role.MEMBER, member)]
    if owner.there or owner.event or owner.next is not Next.STAYS:
        lines.append(_role_line(Role.OWNER, owner))
    lines += [_mis_line(subject, record.key, wanted, planned), _next_line(member, owner)]
    return Explanation(
        school=record.school,
        key=record.key,
        class_id=record.actual.class_id if record.actual else ClassId(""),
        account=account,
        person=subject.person,
        at=at,
        member=member,
        owner=owner,
        wanted=wanted,
        history=tuple(event for delta in history for event in _events(account, delta)),
        lines=tuple(lines),
    )


# --- the past


def _events(person: AccountId, delta: AppliedDelta) -> Iterable[PersonEvent]:
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
    role: Role, there: bool, events: Iterable[PersonEvent], foreign: bool, outlook: tuple[Next, str]
) -> Standing:
    """`foreign`: the whole generation of the class is on record, and no sync saw the person in the role."""
    last = next((event for event in reversed(tuple(events)) if event.role is role), None)
    if last is not None:
        by = By.SYNC if last.came is there else By.HAND
    elif there:
        by = By.HAND if foreign else By.UNRECORDED
    else:
        by = By.NOBODY
    return Standing(there=there, by=by, event=last, next=outlook[0], next_why=outlook[1])


# --- the next sync


class _Outlook:
    """The class after the next sync: `rules` before the limits hold anything, `_final` after that."""

    def __init__(self, record: ClassRecord, there: People, planned: SchoolPlan) -> None:
        self._record = record
        self._there = there
        self._planned = planned
        self.rules = planned.wanted.get(record.key)
        written = {desired.key: desired for desired in planned.plan.writes}
        self._final = written.get(record.key, record.desired)

    def membership(self, person: AccountId) -> tuple[Next, str]:
        if untouched := self._untouched():
            return Next.STAYS, untouched
        there, wanted = person in self._there.members, person in self._final.members
        if there and not wanted and person in self._there.owners:
            ownership, why = self.ownership(person)
            if ownership is not Next.GOES:
                return ownership, why or "an owner stays a member"
        held = self.rules is not None and (person in self.rules.members) is not there
        return self._effect(there, wanted, held)

    def ownership(self, person: AccountId) -> tuple[Next, str]:
        if untouched := self._untouched():
            return Next.STAYS, untouched
        there, wanted = person in self._there.owners, person in self._final.owners
        if there and not wanted:
            if self._record.actual is None or person not in self._record.actual.granted:
                return Next.STAYS, "an owner stays if they were added by hand or if their grant was never confirmed"
            if not self._final.revoke:
                if self.rules and self.rules.revoke:
                    return Next.HELD, self._holds()
                why = "departed_owners keeps them, or the accounts of the intended owners are not all known"
                return Next.STAYS, why
        held = self.rules is not None and not there and person in self.rules.owners
        return self._effect(there, wanted, held)

    def _effect(self, there: bool, wanted: bool, held: bool) -> tuple[Next, str]:
        if there is not wanted:
            return Next.COMES if wanted else Next.GOES, ""
        return (Next.HELD, self._holds()) if held else (Next.STAYS, "")

    def _untouched(self) -> str:
        """Why no sync changes the class; empty if a sync does."""
        final, actual, run = self._final, self._record.actual, self._planned.run
        match replace(self._record, desired=final).state:
            case ClassState.DELETING | ClassState.DELETED:
                return "an admin deleted the class"
            case ClassState.GONE:
                return "the class is gone from Microsoft 365 until an admin restores it or requests it again"
            case ClassState.ENDED:
                return "its group is no longer in the MIS, so the class stays as it is"
            case ClassState.PINNED if actual and (actual.members, actual.owners) == (final.members, final.owners):
                return "the class is pinned as it was before an undone run until an admin releases it"
        return "; ".join(run.notes) if run.outcome is RunOutcome.PAUSED else ""

    def _holds(self) -> str:
        holds = self._planned.open_holds
        return "; ".join(hold_text(hold) for hold in holds if self._record.key in hold.classes)


# --- text


def _role_line(role: Role, standing: Standing) -> str:
    place = f"{'' if standing.there else 'not '}{'in the class' if role is Role.MEMBER else 'an owner of it'}"
    run = when = because = ""
    if event := standing.event:
        run, when = f"by {event.cause} run {event.run}", f"{event.at:%d %b %Y %H:%M}"
        because = _because(event.reason)
    match standing.by:
        case By.SYNC:
            return f"{place} since {when}, {run}{because}"
        case By.HAND if standing.there:
            last = f"; removed {run} on {when}" if event else ""
            return f"{place}, added by hand in Microsoft 365{last}"
        case By.HAND:
            return f"{place}, removed by hand in Microsoft 365; added {run} on {when}"
        case By.UNRECORDED:
            return f"{place}, found there by a sync: added by hand, by an interrupted sync, or before the history"
        case By.NOBODY:
            return f"{place}, and no sync on record added them"


_BECAUSE = {
    Rule.STUDENT: "the MIS lists person {} as a student of its group",
    Rule.TEACHER: "the MIS lists person {} as a teacher of its group, and the settings make this teacher an owner",
    Rule.ADMIN_OWNER: "the school's settings name them in admin_owners",
    Rule.CREATOR: "they requested the class",
    Rule.IN_DOUBT: "several accounts could belong to MIS person {}, so an existing member stays",
    Rule.UNDONE: "they were in it before run {}, which was undone",
}


def _because(reason: Reason | None) -> str:
    return f": {_BECAUSE[reason.rule].format(reason.record)}" if reason else ""


def _mis_line(subject: Subject, key: ClassKey, wanted: Reason | None, planned: SchoolPlan) -> str:
    """The result of the rules for the person now."""
    if planned.run.outcome is not RunOutcome.PLANNED:
        return f"the rules could not be applied: {'; '.join(planned.run.notes)}"
    if wanted:
        return f"the rules want them in it{_because(wanted)}"
    group = planned.ruled.groups.get(key) if planned.ruled else None
    if group is None:
        return "the rules want nobody in it: its group is no longer in the MIS"
    as_student, as_teacher = subject.person in group.students, subject.person in group.teachers
    if not as_student and not as_teacher:
        return f"the rules do not want them in it: the MIS does not list them in {group.type} group {group.id}"
    listed = f"the rules do not want them in it, though the MIS lists person {subject.person} in group {group.id}"
    if subject.person in planned.run.people_ambiguous:
        return f"{listed}: several accounts match, or several people match one account — make the property unique"
    if subject.person in planned.run.people_without_account:
        return f"{listed}: no account matches — correct the account, the MIS, or the school's matching settings"
    if as_teacher and not as_student:
        owners = "only the main teacher owns" if group.type is GroupType.TEACHING else "no teacher owns"
        return f"{listed}: by the school's settings, {owners} a class of such a group"
    return f"{listed}: a pin keeps the class as it was"


_EFFECTS = {
    (Role.MEMBER, Next.COMES): "adds them",
    (Role.MEMBER, Next.GOES): "removes them",
    (Role.OWNER, Next.COMES): "makes them an owner",
    (Role.OWNER, Next.GOES): "revokes their ownership",
}


def _next_line(member: Standing, owner: Standing) -> str:
    roles = ((Role.MEMBER, member), (Role.OWNER, owner))
    effects = [_EFFECTS[role, standing.next] for role, standing in roles if (role, standing.next) in _EFFECTS]
    reasons = dict.fromkeys(standing.next_why for _, standing in roles if standing.next_why)
    return f"the next sync {' and '.join(effects) or 'leaves it as it is'}{''.join(f'; {why}' for why in reasons)}"
