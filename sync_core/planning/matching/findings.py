"""The people for whom a plan found no account, one in doubt or a disabled one, with what helps an admin to decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import AccountId, MisId
from sync_core.planning.matching.accounts import Try
from sync_core.planning.matching.unmatched import NearAccount, Unmatched, report_unmatched
from sync_core.planning.membership import RuledSchool


class Finding(StrEnum):
    """What is wrong with the account of a person."""

    NO_ACCOUNT = "no_account"
    IN_DOUBT = "in_doubt"
    DISABLED = "disabled"


class Role(StrEnum):
    """The role of a person in the groups of the MIS."""

    STUDENT = "student"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFound:
    """A person who has no account that is surely theirs, or a disabled one.

    `groups` are the names of the person's groups in the MIS, and `tries` the values that were looked for. `accounts`
    are those in doubt, or the disabled one, by their user principal names; of a person without any, they are the
    nearest ones, at most three, by the values that are near. All values are for the answers to admins: no log, event
    or table contains them.
    """

    person: MisId
    role: Role
    finding: Finding
    groups: tuple[str, ...]
    tries: tuple[Try, ...] = field(default=(), repr=False)
    accounts: tuple[NearAccount, ...] = field(default=(), repr=False)


def people_found(ruled: RuledSchool) -> tuple[PersonFound, ...]:
    """Those without an account first, then those in doubt, then those whose account is disabled, each by MIS id."""
    roles = {Role.STUDENT: ruled.students, Role.STAFF: ruled.staff}
    found = _Found(ruled)
    return (
        *found.of(
            Finding.NO_ACCOUNT,
            ruled.people_without_account,
            {role: dict.fromkeys(matched.missing, ()) for role, matched in roles.items()},
        ),
        *found.of(
            Finding.IN_DOUBT, ruled.people_ambiguous, {role: matched.candidates for role, matched in roles.items()}
        ),
        *found.of(
            Finding.DISABLED,
            ruled.people_disabled,
            {role: {person: (matched.ids[person],) for person in matched.disabled} for role, matched in roles.items()},
        ),
    )


class _Found:
    """What is known of the people and accounts of a plan."""

    def __init__(self, ruled: RuledSchool) -> None:
        self._accounts = {account.id: account for account in ruled.matching.accounts}
        self._tried = {each.person: each for each in report_unmatched(ruled.matching.tried, ruled.matching.accounts)}
        self._groups: defaultdict[MisId, set[str]] = defaultdict(set)
        for group in ruled.groups.values():
            for person in (*group.students, *group.teachers):
                self._groups[person].add(group.name)

    def of(
        self, finding: Finding, people: Iterable[MisId], roles: Mapping[Role, Mapping[MisId, Iterable[AccountId]]]
    ) -> Iterator[PersonFound]:
        """The people with this finding. `roles` have the accounts of each that this is about, by role."""
        for person in people:
            tried = self._tried.get(person, Unmatched(person, (), ())) if finding is Finding.NO_ACCOUNT else None
            ids = sorted({id_ for by_person in roles.values() for id_ in by_person.get(person, ())})
            yield PersonFound(
                person=person,
                role=next(role for role, by_person in roles.items() if person in by_person),
                finding=finding,
                groups=tuple(sorted(self._groups[person])),
                tries=tried.tries if tried else (),
                accounts=tried.nearest if tried else tuple(_by_upn(self._accounts[id_]) for id_ in ids),
            )


def _by_upn(account: Account) -> NearAccount:
    return NearAccount(account.id, AccountProperty.UPN, account.values.get(AccountProperty.UPN, ""))
