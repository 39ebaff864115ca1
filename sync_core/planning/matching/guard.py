"""The matching guard: a rule for finding accounts that fails for many people changes nothing until it is corrected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import AccountId, ClassKey, MisId
from sync_core.domain.roster import MatchRate
from sync_core.domain.school.limits import Limits
from sync_core.domain.school.matching import MisProperty
from sync_core.planning.matching.accounts import Try

_SHOWN_DOMAINS = 3
_FEW = 5
"""A domain of fewer values may belong to one family, and is not named."""


@dataclass(frozen=True, slots=True)
class MatchRates:
    """The match rates of one plan; None before the first plan that was not held because of them."""

    students: MatchRate | None = None
    staff: MatchRate | None = None


@dataclass(frozen=True, slots=True)
class RoleMatching:
    """How many people of one role are in groups that have or get a class, and who of them has no account of their own.

    In the plan of a part of a school there are at least so many people, and at most these without an account.
    """

    people: int = 0
    unmatched: frozenset[MisId] = frozenset()

    @property
    def rate(self) -> MatchRate:
        return MatchRate(self.people, len(self.unmatched))


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolMatching:
    """How the people of a whole school found their accounts, even if only some of its classes are planned.

    `classes` are all classes that the rules want, each with its people who find no account of their own. `tried` has
    the tries of everybody who found no account. `lost` are the accounts that are in a class because of a person who is
    still in its group and finds no account now. `accounts` are those of the tenant.
    """

    students: RoleMatching = RoleMatching()
    staff: RoleMatching = RoleMatching()
    classes: Mapping[ClassKey, frozenset[MisId]] = field(default_factory=dict)
    tried: Mapping[MisId, tuple[Try, ...]] = field(default_factory=dict, repr=False)
    lost: Mapping[ClassKey, Mapping[AccountId, MisId]] = field(default_factory=dict)
    accounts: tuple[Account, ...] = field(default=(), repr=False)

    @property
    def rates(self) -> MatchRates:
        return MatchRates(self.students.rate, self.staff.rate)


NOT_MATCHED = SchoolMatching()
"""The matching of a plan that does not follow the MIS."""
NO_RATES = MatchRates()


def matching_failure(matching: SchoolMatching, before: MatchRates, limits: Limits) -> str:
    """What an admin reads if too many students, or staff, find no account; empty if not. It has counts and domains."""
    failures = [
        _failure_text(role, now.rate, earlier)
        for role, now, earlier in (
            ("students", matching.students, before.students),
            ("staff", matching.staff, before.staff),
        )
        if _fails(now.rate, earlier, limits)
    ]
    if not failures:
        return ""
    unmatched = sorted(matching.students.unmatched | matching.staff.unmatched)
    tries = [each for person in unmatched for each in matching.tried.get(person, ())]
    in_doubt = sum(person not in matching.tried for person in unmatched)
    tried = [*_patterns(tries), *([f"several people or accounts for one value ({in_doubt})"] if in_doubt else [])]
    upns = (account.values.get(AccountProperty.UPN, "") for account in matching.accounts)
    domains = ", ".join(f"{domain} ({count})" for domain, count in common_domains(upns)) or "no domain in common"
    return (
        f"{' and '.join(failures)}: no class is made and nobody leaves; tried: {'; '.join(tried)}; "
        f"the tenant's accounts are in {domains}"
    )


def _fails(now: MatchRate, before: MatchRate | None, limits: Limits) -> bool:
    """Beyond what an admin approved before, only as many more people as the limit needs count as a failure."""

    def over(rate: MatchRate) -> bool:
        return rate.unmatched >= limits.unmatched_people and rate.unmatched > limits.unmatched * rate.people

    if before is None or not over(before):
        return over(now)
    expected = before.unmatched / before.people * now.people
    return over(now) and now.unmatched - expected >= limits.unmatched_people


def _failure_text(role: str, now: MatchRate, before: MatchRate | None) -> str:
    earlier = f", and {before.matched:.0%} found one before" if before else ""
    return f"{now.unmatched} of {now.people} {role} find no account ({now.matched:.0%} find one{earlier})"


_NAMES = {MisProperty.USERNAME: "user name", MisProperty.EMAIL: "e-mail address", MisProperty.ID: "MIS id"}


def _patterns(tries: Iterable[Try]) -> list[str]:
    """The kinds of value that were tried, the commonest first, with their counts."""
    tries = list(tries)
    named = {domain for domain, _ in common_domains(each.value for each in tries)}
    counts: Counter[str] = Counter()
    for each in tries:
        _, at, domain = each.value.partition("@")
        ending = f"at {domain if domain in named else 'another domain'}" if at else "without a domain"
        kind = f"{ending} in {' and '.join(each.accounts)}" if each.value else "missing in the MIS"
        counts[f"{_NAMES[each.mis]} {kind}"] += 1
    return [f"{kind} ({count})" for kind, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def common_domains(values: Iterable[str]) -> list[tuple[str, int]]:
    """The commonest domains of addresses with their counts, without those of fewer than _FEW."""
    counts = Counter(domain for value in values if (domain := value.partition("@")[2]))
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(domain, count) for domain, count in common if count >= _FEW][:_SHOWN_DOMAINS]
