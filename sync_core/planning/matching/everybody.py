"""Everybody in a school with their accounts: what the rules need of the whole school, whatever they plan of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sync_core.domain.accounts import Account
from sync_core.domain.classes.desired import Rule
from sync_core.domain.ids import AccountId, MisId
from sync_core.domain.roster import GroupType, MisGroup, Person, Snapshot, each_once
from sync_core.domain.school.settings import SchoolSettings, TeachingOwners
from sync_core.planning.matching.accounts import Matched, ids_of_upns, match_people
from sync_core.planning.matching.guard import RoleMatching
from sync_core.planning.matching.reasons import Certain, certain_of


@dataclass(frozen=True)
class Everybody:
    """The people of a school and its admin owners, matched to the `accounts` of its tenant by their role in a group.

    `certain_students` and `certain_staff` are the accounts of those who have one, with the reason of their memberships.
    `admins` are the accounts of admin owners with their number in the settings; `admin_notes` name those without one.
    """

    people: Mapping[MisId, Person] = field(repr=False)
    students: Matched = field(repr=False)
    staff: Matched = field(repr=False)
    certain_students: Certain = field(repr=False)
    certain_staff: Certain = field(repr=False)
    admins: Mapping[AccountId, int]
    admin_notes: tuple[str, ...]
    accounts: tuple[Account, ...] = field(repr=False)

    @classmethod
    def of(cls, snapshot: Snapshot, settings: SchoolSettings, accounts: Iterable[Account]) -> Everybody:
        accounts = tuple(accounts)
        roles = ((snapshot.students, settings.student_matching), (snapshot.teachers, settings.staff_matching))
        by_role = [([snapshot.people[id_] for id_ in ids], rule) for ids, rule in roles]
        students, staff = match_people(by_role, accounts, enrolled_in(snapshot.groups))
        upns = [upn.lower() for upn in dict.fromkeys(settings.admin_owners)]
        ids = ids_of_upns(frozenset(upns), accounts) if upns else {}
        admins = [ids.get(upn) for upn in upns]
        return cls(
            people=snapshot.people,
            students=students,
            staff=staff,
            certain_students=certain_of(students, Rule.STUDENT),
            certain_staff=certain_of(staff, Rule.TEACHER),
            admins={account: number for number, account in enumerate(admins, start=1) if account},
            admin_notes=tuple(
                f"admin owner number {number} of the settings has no account — correct admin_owners in the settings"
                for number, account in enumerate(admins, start=1)
                if account is None
            ),
            accounts=accounts,
        )

    @cached_property
    def account_ids(self) -> frozenset[AccountId]:
        return frozenset(account.id for account in self.accounts)

    @cached_property
    def missing(self) -> frozenset[MisId]:
        """Those who have no account in one of their roles."""
        return self.students.missing | self.staff.missing

    @cached_property
    def disabled(self) -> frozenset[MisId]:
        return self.students.disabled | self.staff.disabled

    @cached_property
    def ambiguous(self) -> frozenset[MisId]:
        return frozenset(self.students.candidates.keys() | self.staff.candidates.keys())

    @cached_property
    def doubtful(self) -> frozenset[MisId]:
        """Those who need a closer look: few, while most memberships are of the others."""
        return self.missing | self.disabled | self.ambiguous

    @cached_property
    def unmatched_students(self) -> frozenset[MisId]:
        """The students without an account of their own."""
        return frozenset(self.students.missing | self.students.candidates.keys())

    @cached_property
    def unmatched_staff(self) -> frozenset[MisId]:
        return frozenset(self.staff.missing | self.staff.candidates.keys())


@dataclass(frozen=True, slots=True)
class Heads:
    """The people of the groups that have or get a class, by role, and those of them without an account of their own."""

    students: RoleMatching
    staff: RoleMatching


def heads_of(everybody: Everybody, students: Mapping[MisId, None], owners: Mapping[MisId, None]) -> Heads:
    """The heads of groups with these students, whose classes these people own."""
    return Heads(
        RoleMatching(len(students), everybody.unmatched_students & students.keys()),
        RoleMatching(len(owners), everybody.unmatched_staff & owners.keys()),
    )


def owning(group: MisGroup, settings: SchoolSettings) -> tuple[MisId, ...]:
    """The teachers who own the group's class."""
    if group.type is not GroupType.TEACHING:
        return ()
    return group.teachers if settings.teaching_owners is TeachingOwners.ALL else group.teachers[:1]


def owners_of(groups: Iterable[MisGroup], settings: SchoolSettings) -> Mapping[MisId, None]:
    """Everybody who owns the class of one of the groups."""
    return each_once(owning(group, settings) for group in groups)


def enrolled_in(groups: Iterable[MisGroup]) -> Iterator[MisId]:
    """The people of teaching and registration groups. A year group also has pupils who left or are yet to come."""
    for group in groups:
        if group.type is not GroupType.YEAR:
            yield from group.students
            yield from group.teachers
