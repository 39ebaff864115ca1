"""Who is in which class: the mission's table of owners and members, applied to one snapshot of a school."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sync_core.model import (
    Account,
    ClassName,
    DesiredClass,
    GroupType,
    MisGroup,
    Person,
    SchoolSettings,
    Snapshot,
    TeachingOwners,
    class_key,
)
from sync_core.naming import assign_names


@dataclass(frozen=True, slots=True)
class RuledSchool:
    """The classes that a school should have, and what could not be followed: MIS person ids, no names."""

    classes: tuple[DesiredClass, ...]
    people_without_account: tuple[str, ...]
    notes: tuple[str, ...]


def desired_classes(
    snapshot: Snapshot,
    settings: SchoolSettings,
    accounts: Mapping[str, Account],
    known: Mapping[str, ClassName],
    scope: frozenset[str] | None = None,
) -> RuledSchool:
    """The rules of owners and members for the groups of the chosen types, or only those whose MIS ids are in `scope`.

    `accounts` is by UPN in lower case, `known` are the names of classes that exist, by class key. Owners of a teaching
    group are its main teacher or all its staff, as the school chose, and the admin owners; of the others the admin
    owners. Every owner is a member too: Graph wants teachers in both collections ("Add teacher" of educationClass).
    """
    groups = [group for group in snapshot.groups if group.type in settings.types]
    if scope is not None:
        groups = [group for group in groups if group.id in scope]
    names = assign_names(groups, settings.name_identifier, known)
    admins = {upn: accounts.get(upn.lower()) for upn in settings.admin_owners}
    admin_ids = frozenset(account.id for account in admins.values() if account)
    ids = _account_ids(snapshot.people.values(), settings.account_domain, accounts)

    missing: set[str] = set()
    notes: list[str] = []
    classes: list[DesiredClass] = []
    for group in sorted(groups, key=class_key):
        staff = _owning_staff(group, settings.teaching_owners)
        missing.update(person for person in (*group.students, *staff) if person not in ids)
        owners = admin_ids | {ids[person] for person in staff if person in ids}
        members = owners | {ids[person] for person in group.students if person in ids}
        key = class_key(group)
        classes.append(DesiredClass(key, group.id, group.type, names[key], frozenset(members), owners))
        if not group.students and not group.teachers:
            notes.append(
                f"{group.type} group {group.id} has no one in it: its class has no students — "
                "put people into the group in the MIS, or end the group there"
            )
    notes.extend(
        f"admin owner number {number} of the settings has no account — correct admin_owners in the school's settings"
        for number, account in enumerate(admins.values(), start=1)
        if account is None
    )
    return RuledSchool(tuple(classes), tuple(sorted(missing)), tuple(notes))


def account_name(person: Person, domain: str) -> str:
    """The UPN in lower case that a person should have: username, or email without one; `domain` where it has none."""
    name = (person.username or person.email).lower()
    return name if "@" in name or not name else f"{name}@{domain.lower()}"


def _account_ids(people: Iterable[Person], domain: str, accounts: Mapping[str, Account]) -> dict[str, str]:
    found = ((person.id, accounts.get(account_name(person, domain))) for person in people)
    return {person: account.id for person, account in found if account}


def _owning_staff(group: MisGroup, owners: TeachingOwners) -> tuple[str, ...]:
    if group.type is not GroupType.TEACHING:
        return ()
    return group.teachers if owners is TeachingOwners.ALL else group.teachers[:1]
