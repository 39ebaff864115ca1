"""Finds the person that a question is about, by any value that an admin may have at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId, MisId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict
from sync_core.planning.explain.model import Subject
from sync_core.planning.matching.accounts import looked_for
from sync_core.planning.planned import SchoolPlan


def find_subject(
    query: str,
    accounts: Sequence[Account],
    record: ClassRecord,
    history: Iterable[AppliedDelta],
    planned: SchoolPlan,
    settings: SchoolSettings,
) -> Subject | None:
    """Find a person by MIS person id, Entra id, user principal name, e-mail address or user name.

    None if nothing is known of them. Raises Conflict if several people have the value.
    """
    history = tuple(history)
    known = _recorded(record, history)
    persons = _recorded_people(record, history) | matched_people(planned)
    ruled = planned.ruled
    if query in persons.values() or (ruled and query in ruled.people):
        return Subject(_account_of(MisId(query), planned, persons), MisId(query))
    ids = {account for account in (AccountId(query), AccountId(query.lower())) if account in known}
    ids |= {account.id for account in accounts if query.lower() in (account.id, *_names(account))}
    account = next(iter(ids)) if len(ids) == 1 else AccountId("")
    if account in persons:
        return Subject(account, persons[account])
    people = _people(query.lower(), planned, settings)
    people |= {person for one in accounts if one.id == account for person in _seekers(one, planned, settings)}
    if len(people) == 1:
        (person,) = people
        return Subject(account or _account_of(person, planned, persons), person)
    if people or len(ids) > 1:
        found = people or ids
        what, id_ = ("people in the MIS", "MIS person id") if people else ("accounts", "Entra id")
        raise Conflict(f"{len(found)} {what} have this value: {', '.join(sorted(found))}", f"ask by {id_}")
    return Subject(account, MisId("")) if account else None


def matched_people(planned: SchoolPlan) -> dict[AccountId, MisId]:
    """The MIS person of each account that is matched."""
    roles = (planned.ruled.staff, planned.ruled.students) if planned.ruled else ()
    return {account: person for role in roles for person, account in role.ids.items()}


def seeking_people(planned: SchoolPlan, settings: SchoolSettings) -> dict[AccountId, MisId]:
    """One MIS person who looks for each account, in a group or not."""
    holders: dict[tuple[str, AccountProperty], list[AccountId]] = {}
    for account in planned.ruled.matching.accounts if planned.ruled else ():
        for name, value in account.values.items():
            holders.setdefault((value, name), []).append(account.id)
    seekers = sorted(_sought(planned, settings), reverse=True)
    return {account: person for person, value, name in seekers for account in holders.get((value, name), ())}


def _recorded(record: ClassRecord, history: Iterable[AppliedDelta]) -> frozenset[AccountId]:
    """Everybody who was or is to be in the class."""
    moved = (
        delta.members_added | delta.members_removed | delta.owners_granted | delta.owners_revoked | delta.reasons.keys()
        for delta in history
    )
    return frozenset(record.desired.members | record.desired.reasons.keys()).union(*moved)


def _recorded_people(record: ClassRecord, history: Iterable[AppliedDelta]) -> dict[AccountId, MisId]:
    """The MIS person of each account by the last reason on record that names one: that of an undo names none."""
    reasons = (
        reason for each in (*(delta.reasons for delta in history), record.desired.reasons) for reason in each.items()
    )
    return {account: reason.person for account, reason in reasons if reason.person}


def _names(account: Account) -> Iterable[str]:
    """The values of the account, and its user name without the domain."""
    yield from account.values.values()
    yield account.values.get(AccountProperty.UPN, "").partition("@")[0]


def _people(value: str, planned: SchoolPlan, settings: SchoolSettings) -> set[MisId]:
    """The MIS people with this user name or address, or whose accounts are looked for by it."""
    people = planned.ruled.people.values() if planned.ruled else ()
    named = {person.id for person in people if value in (person.username.lower(), person.email.lower())}
    return named | {person for person, sought, _ in _sought(planned, settings) if sought == value}


def _seekers(account: Account, planned: SchoolPlan, settings: SchoolSettings) -> set[MisId]:
    """The MIS people, in a group or not, whose accounts are looked for by a value of this account."""
    return {person for person, sought, by in _sought(planned, settings) if account.values.get(by) == sought}


def _sought(planned: SchoolPlan, settings: SchoolSettings) -> Iterable[tuple[MisId, str, AccountProperty]]:
    for person in (planned.ruled.people if planned.ruled else {}).values():
        for rule in (settings.student_matching, settings.staff_matching):
            yield from ((person.id, *sought) for sought in looked_for(person, rule))


def _account_of(person: MisId, planned: SchoolPlan, persons: Mapping[AccountId, MisId]) -> AccountId:
    """The account of a person as matched now, or the last one on record; empty if there is none."""
    matched = [role.ids for role in (planned.ruled.students, planned.ruled.staff)] if planned.ruled else []
    now = next((ids[person] for ids in matched if person in ids), None)
    return now or min((account for account, of in persons.items() if of == person), default=AccountId(""))
