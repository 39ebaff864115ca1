"""The accounts of people in a class, each with the reason why it is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sync_core.domain.classes.desired import Reason, Rule
from sync_core.domain.ids import AccountId, MisId
from sync_core.planning.matching.accounts import Matched

Certain = Mapping[MisId, tuple[AccountId, Reason]]
"""The account of each matched person, with the reason that they have in all their classes."""


def certain_of(matched: Matched, rule: Rule) -> Certain:
    """One reason for each person, and not for each membership: a large school has a million memberships."""
    return {person: (account, Reason(rule, person)) for person, account in matched.ids.items()}


def accounts_of(
    people: Collection[MisId],
    certain: Certain,
    candidates: Mapping[MisId, frozenset[AccountId]],
    before: frozenset[AccountId],
) -> dict[AccountId, Reason]:
    """The accounts of matched people, and the candidates of ambiguous people that were desired before."""
    if not candidates or candidates.keys().isdisjoint(people):
        return dict(filter(None, map(certain.get, people)))
    found: dict[AccountId, Reason] = {}
    for person in people:
        if person in certain:
            account, reason = certain[person]
            found[account] = reason
        else:
            in_doubt = candidates.get(person, frozenset()) & before
            found |= {account: Reason(Rule.IN_DOUBT, person) for account in in_doubt}
    return found
