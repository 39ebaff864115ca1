"""What the rules say about a person and a class now, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sync_core.domain.classes.desired import DesiredClass, Rule
from sync_core.domain.ids import AccountId, ClassKey, MisId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.runs import RunOutcome
from sync_core.domain.school.settings import Mis, SchoolSettings, TeachingOwners
from sync_core.planning.explain.causes import Finding, Why, because, grant_in_words
from sync_core.planning.explain.model import InMis, OtherGroup, PersonEvent, Subject
from sync_core.planning.matching.accounts import Matched, looked_for
from sync_core.planning.membership import RuledSchool
from sync_core.planning.planned import SchoolPlan

_MIS_RULES = frozenset({Rule.STUDENT, Rule.TEACHER})


def rules_now(
    subject: Subject,
    desired: DesiredClass,
    planned: SchoolPlan,
    settings: SchoolSettings,
    events: Sequence[PersonEvent] = (),
) -> Finding:
    """Why the rules want the person in the class or not, given its row and what is on record of the person."""
    key, ruled = desired.key, planned.ruled
    unknown = Finding(Why.RULES_UNKNOWN, {"notes": "; ".join(planned.run.notes)})
    if planned.run.outcome is not RunOutcome.PLANNED:
        return unknown
    wanted = planned.wanted.get(key)
    if wanted and subject.account in wanted.members:
        return Finding(Why.WANTED, {"because": because(wanted.reasons.get(subject.account))})
    if pin := planned.pins.get(key):
        then = f"before run {pin.undone}" if pin.undone else f"at run {pin.run}, in which an admin pinned it"
        return Finding(Why.PINNED_OUT, {"then": then})
    if ruled is None:
        return unknown
    if desired.retired:
        return Finding(Why.YEAR_ENDED)
    if key in ruled.ended_by_choice:
        return Finding(Why.ENDED_BY_CHOICE)
    group = ruled.groups.get(key)
    if group is None:
        if settings.mis is Mis.SCHOLARPACK and desired.group_type is GroupType.TEACHING:
            return Finding(Why.NOT_EXTRACTED)
        facts = {"type": desired.group_type, "group": desired.group_id, "year": desired.academic_year}
        return Finding(Why.GROUP_ENDED, facts)
    if subject.person in (*group.students, *group.teachers):
        return _listed(subject, group, ruled, settings)
    came = next((event for event in reversed(events) if event.came and event.reason), None)
    reason = desired.reasons.get(subject.account) or (came.reason if came else None)
    if reason and reason.rule is Rule.EXTRA_OWNER:
        return Finding(Why.GRANT_OVER, {"grant": grant_in_words(reason)})
    if not subject.person:
        return Finding(Why.NO_PERSON)
    facts = {"type": group.type, "group": group.id}
    if came and came.reason and came.reason.rule in _MIS_RULES and came.reason.record == subject.person:
        return Finding(Why.NOT_LISTED_SINCE, facts | at(came))
    return Finding(Why.NOT_LISTED, facts)


def in_mis(subject: Subject, key: ClassKey, planned: SchoolPlan, settings: SchoolSettings) -> InMis | None:
    """What the MIS has of the person and of the group of the class; None if it could not be read."""
    ruled = planned.ruled
    if ruled is None:
        return None
    group, person = ruled.groups.get(key), ruled.people.get(subject.person)
    listing = [each for each in ruled.groups.values() if subject.person in (*each.students, *each.teachers)]
    account = next((each for each in ruled.matching.accounts if each.id == subject.account), None)
    sought = (
        {pair for rule in (settings.student_matching, settings.staff_matching) for pair in looked_for(person, rule)}
        if person
        else ()
    )
    found_by = {by for value, by in sought if account and account.values.get(by) == value}
    return InMis(
        group=group is not None,
        person=person is not None,
        student=group is not None and subject.person in group.students,
        teacher=group is not None and subject.person in group.teachers,
        others=tuple(
            OtherGroup(each.id, each.name, each.type)
            for each in sorted(listing, key=lambda each: (each.type, each.name))
            if group is None or each.id != group.id
        ),
        found_by=tuple(sorted(found_by)),
    )


def at(event: PersonEvent) -> dict[str, object]:
    """The facts of an event as sentences name them."""
    return {"when": f"{event.at:%d %b %Y %H:%M} UTC", "run": f"{event.cause} run {event.run}"}


def _listed(subject: Subject, group: MisGroup, ruled: RuledSchool, settings: SchoolSettings) -> Finding:
    """Why a person whom the group lists is not in its class: their part in the group, or their account."""
    facts: dict[str, object] = {"person": subject.person, "group": group.id, "type": group.type}
    if subject.person in group.students:
        return _account(subject, "students", ruled.students, ruled, settings, facts)
    if group.type is not GroupType.TEACHING:
        return Finding(Why.NO_TEACHER_OWNS, facts)
    if settings.teaching_owners is TeachingOwners.MAIN and subject.person != group.teachers[0]:
        return Finding(Why.NOT_MAIN_TEACHER, facts)
    return _account(subject, "staff", ruled.staff, ruled, settings, facts)


def _account(
    subject: Subject,
    role: str,
    matched: Matched,
    ruled: RuledSchool,
    settings: SchoolSettings,
    facts: Mapping[str, object],
) -> Finding:
    rule = settings.student_matching if role == "students" else settings.staff_matching
    values = looked_for(ruled.people[subject.person], rule)
    properties: dict[str, list[str]] = {}
    for value, account_property in values:
        properties.setdefault(value, []).append(account_property)
    sought = ", ".join(f"{value} as {' or '.join(names)}" for value, names in properties.items())
    facts = {**facts, "role": role, "sought": sought}
    if account := matched.ids.get(subject.person):
        return Finding(Why.OTHER_ACCOUNT, {**facts, "accounts": account})
    candidates = matched.candidates.get(subject.person, frozenset())
    if not candidates:
        return Finding(Why.NO_ACCOUNT if values else Why.NO_VALUE, facts)
    facts["accounts"] = ", ".join(sorted(candidates))
    if len(candidates) > 1:
        return Finding(Why.SEVERAL_ACCOUNTS, facts)
    others = _claimants(candidates, matched) - {subject.person}
    return Finding(Why.SHARED_ACCOUNT, {**facts, "others": ", ".join(sorted(others))})


def _claimants(accounts: frozenset[AccountId], matched: Matched) -> set[MisId]:
    return {person for person, candidates in matched.candidates.items() if candidates & accounts}
