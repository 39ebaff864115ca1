"""Explains why a person is in a class or not, and what the next sync will do, from rules, plan and history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassState
from sync_core.domain.ids import AccountId, ClassId
from sync_core.planning.explain.causes import Finding, Why, because
from sync_core.planning.explain.model import (
    By,
    Evidence,
    Explanation,
    Next,
    PersonEvent,
    Role,
    Standing,
    Statement,
    Subject,
)
from sync_core.planning.explain.outlook import Effect, Outlook
from sync_core.planning.explain.rules import at, in_mis, rules_now

_BY = {
    Why.ADDED_BY_SYNC: By.SYNC,
    Why.REMOVED_BY_SYNC: By.SYNC,
    Why.ADDED_BY_HAND: By.HAND,
    Why.REMOVED_BY_HAND: By.HAND,
    Why.ADDED_UNRECORDED: By.UNRECORDED,
    Why.REMOVED_UNRECORDED: By.UNRECORDED,
    Why.NOT_SHOWN: By.UNRECORDED,
    Why.ACCOUNT_DELETED: By.DELETION,
    Why.CLASS_DELETED: By.DELETION,
    Why.CLASS_GONE: By.DELETION,
    Why.CLASS_NOT_FOUND: By.DELETION,
    Why.CLASS_NOT_MADE: By.NOBODY,
    Why.NEVER_ADDED: By.NOBODY,
}
_PLACES = {Role.MEMBER: "in the class", Role.OWNER: "an owner of it"}


def explain(subject: Subject, evidence: Evidence) -> Explanation:
    """Explain the person's place in the class."""
    record, account = evidence.record, subject.account
    events = [event for delta in _generation(evidence) for event in _events(account, delta)]
    outlook = Outlook(evidence)
    findings = {role: _role_now(role, account, events, evidence) for role in Role}
    effects = {Role.MEMBER: outlook.membership(account), Role.OWNER: outlook.ownership(account)}
    member, owner = (_standing(role, findings[role], effects[role], events, account, evidence) for role in Role)
    rules = rules_now(subject, record.desired, evidence.planned, evidence.settings, events)
    said = [findings[Role.MEMBER]]
    if owner.there or owner.event or owner.next is not Next.STAYS:
        said.append(findings[Role.OWNER])
    said.append(rules)
    causes = [finding.why for finding in said] + [cause.why for _, cause in effects.values() if cause]
    *now, ruled = (Statement(finding.why, finding.text) for finding in said)
    next_sync = _next_line(member, owner)
    desired = record.desired
    return Explanation(
        school=record.school,
        key=record.key,
        class_name=(record.actual or desired).name.display_name,
        group_name=desired.group_name,
        group_type=desired.group_type,
        class_id=record.actual.class_id if record.actual else ClassId(""),
        account=account,
        person=subject.person,
        at=evidence.at,
        member=member,
        owner=owner,
        wanted=outlook.rules.reasons.get(account) if outlook.rules else None,
        mis=in_mis(subject, record.key, evidence.planned, evidence.settings),
        now=tuple(now),
        rules=ruled,
        next_sync=next_sync,
        decides=_deciding(member, owner, findings[Role.MEMBER].why, rules.why),
        history=tuple(event for delta in evidence.history for event in _events(account, delta)),
        causes=tuple(dict.fromkeys(causes)),
        lines=(*(finding.text for finding in said), next_sync),
    )


def _deciding(member: Standing, owner: Standing, now: Why, rules: Why) -> Why:
    """The cause of what the person has and gets: the rules if both agree, or else what the sync does not follow."""
    if member.there is None:
        return now
    there = member.there or bool(owner.there)
    if rules is not Why.RULES_UNKNOWN and there is (rules is Why.WANTED):
        return rules
    effect = member.next_cause or owner.next_cause
    if effect is Why.ENDED and rules is not Why.RULES_UNKNOWN:
        return rules  # they say why the group is not there
    return effect or rules


# --- the past


def _generation(evidence: Evidence) -> Sequence[AppliedDelta]:
    """The history since the class was last created, when it was empty; all of it if that is not on record."""
    creations = [place for place, delta in enumerate(evidence.history) if delta.created]
    return evidence.history[creations[-1] :] if creations else evidence.history


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


# --- now


def _there(role: Role, account: AccountId, evidence: Evidence) -> bool | None:
    people = evidence.there.members if role is Role.MEMBER else evidence.there.owners
    return None if people is None else account in people


def _role_now(role: Role, account: AccountId, events: Sequence[PersonEvent], evidence: Evidence) -> Finding:
    """Why the person has the role now, or does not have it."""
    place: dict[str, object] = {"role": _PLACES[role]}
    there, record = _there(role, account, evidence), evidence.record
    recorded = _recorded(role, evidence)
    if there is None:
        among = "and them among these" if account in recorded else "and them not among these"
        return Finding(Why.NOT_SHOWN, place | {"recorded": len(recorded), "among": among})
    if not evidence.there.found:
        return Finding(_without_class(record.state), place)
    last = next((event for event in reversed(events) if event.role is role), None)
    wanted = record.desired.members if role is Role.MEMBER else record.desired.owners
    under_way = (account in wanted) is not (account in recorded)
    if last is None:
        if not there:
            return Finding(Why.NEVER_ADDED, place)
        whole = any(delta.created for delta in evidence.history)
        foreign = whole and account not in recorded and not under_way
        return Finding(Why.ADDED_BY_HAND if foreign else Why.ADDED_UNRECORDED, place | {"removed": ""})
    facts = place | at(last) | {"because": because(last.reason)}
    if last.came is there:
        return Finding(Why.ADDED_BY_SYNC if there else Why.REMOVED_BY_SYNC, facts)
    if there:
        facts["removed"] = f"; removed by {facts['run']} on {facts['when']}"
        return Finding(Why.ADDED_UNRECORDED if under_way else Why.ADDED_BY_HAND, facts)
    if not evidence.has_account:
        return Finding(Why.ACCOUNT_DELETED, facts)
    return Finding(Why.REMOVED_UNRECORDED if under_way else Why.REMOVED_BY_HAND, facts)


def _recorded(role: Role, evidence: Evidence) -> frozenset[AccountId]:
    """Those whom a sync last left in the role."""
    actual = evidence.record.actual
    if actual is None:
        return frozenset()
    return (actual.members or frozenset()) if role is Role.MEMBER else actual.owners | actual.granted


def _without_class(state: ClassState) -> Why:
    match state:
        case ClassState.DELETING | ClassState.DELETED:
            return Why.CLASS_DELETED
        case ClassState.GONE:
            return Why.CLASS_GONE
        case ClassState.MAKING:
            return Why.CLASS_NOT_MADE
        case _:
            return Why.CLASS_NOT_FOUND


def _standing(
    role: Role,
    now: Finding,
    effect: Effect,
    events: Sequence[PersonEvent],
    account: AccountId,
    evidence: Evidence,
) -> Standing:
    last = next((event for event in reversed(events) if event.role is role), None)
    next_, cause = effect
    there = _there(role, account, evidence)
    return Standing(
        there=there,
        by=_BY[now.why],
        event=last,
        next=next_,
        next_why=cause.text if cause else "",
        next_cause=cause.why if cause else None,
    )


# --- the next sync

_EFFECTS = {
    (Role.MEMBER, Next.COMES): "adds them",
    (Role.MEMBER, Next.GOES): "removes them",
    (Role.OWNER, Next.COMES): "makes them an owner",
    (Role.OWNER, Next.GOES): "revokes their ownership",
}


def effects_of(member: Standing, owner: Standing) -> tuple[str, ...]:
    """What the next sync does, as the ends of sentences about it."""
    roles = ((Role.MEMBER, member), (Role.OWNER, owner))
    return tuple(_EFFECTS[role, standing.next] for role, standing in roles if (role, standing.next) in _EFFECTS)


def _next_line(member: Standing, owner: Standing) -> str:
    effects = effects_of(member, owner)
    reasons = dict.fromkeys(standing.next_why for standing in (member, owner) if standing.next_why)
    return f"the next sync {' and '.join(effects) or 'leaves it as it is'}{''.join(f'; {why}' for why in reasons)}"
