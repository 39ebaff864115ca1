"""What the page of owner rules shows and takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sync_core.admin.classes.choices import RULE_NAME, WantedRule
from sync_core.domain.accounts import Account
from sync_core.domain.classes.choices import OwnerRule
from sync_core.domain.classes.record import ClassOutline
from sync_core.domain.ids import AccountId
from sync_core.http.console.forms import FieldFault, read_form
from sync_core.http.console.views.classes.choices import LABELS as LABELS_OF_CHOICE
from sync_core.http.console.views.classes.choices import NO_REASON, UNKNOWN_PERSON, account_called, grant_until

LABELS = {**LABELS_OF_CHOICE, "name": "Name of the rule", "prefix": "Groups whose names begin with"}


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A rule to save, under the name that the admin gives it."""

    name: str
    rule: WantedRule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """An owner rule in words. `classes` counts those of the school that it covers and that have not ended."""

    name: str
    prefix: str
    account: AccountId
    given_by: AccountId
    until: str
    reason: str
    classes: int


def rule_rows(rules: Iterable[OwnerRule], outlines: Iterable[ClassOutline], today: date) -> tuple[RuleRow, ...]:
    current = [each for each in outlines if not each.ended]
    return tuple(
        RuleRow(
            name=rule.id,
            prefix=rule.prefix,
            account=rule.account,
            given_by=rule.grant.given_by,
            until=grant_until(rule.grant.until, over=not rule.grant.counts_on(today)),
            reason=rule.grant.reason,
            classes=sum(rule.covers(each.group_type, each.group_name) for each in current),
        )
        for rule in rules
    )


def read_rule(sent: Mapping[str, str], accounts: Iterable[Account]) -> NamedRule | tuple[FieldFault, ...]:
    """The rule that a form asks for, or the faults of its fields."""
    name = sent.get("name", "").strip().lower()
    faults: list[FieldFault] = []
    if not re.fullmatch(RULE_NAME, name):
        faults.append(FieldFault("name", "should be a short name of letters, digits and hyphens, such as maths-head"))
    account = account_called(sent.get("person", ""), accounts)
    if account is None:
        faults.append(UNKNOWN_PERSON)
    filled = {
        "prefix": sent.get("prefix", "").strip(),
        "until": sent.get("until", ""),
        "reason": sent.get("reason", ""),
    }
    if not filled["prefix"]:
        faults.append(FieldFault("prefix", "is empty"))
    if not filled["reason"].strip():
        faults.append(NO_REASON)
    if account is None or faults:
        return tuple(faults)
    wanted = read_form(WantedRule, {**filled, "account": account})
    return NamedRule(name, wanted) if isinstance(wanted, WantedRule) else wanted
