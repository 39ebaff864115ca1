"""What the form for the choices of a class shows and takes: what the class follows, and its extra owners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sync_core.admin.classes.choices import ChosenClass, ExtraOwner, WantedChoice, WantedOwner
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes.choices import Follow
from sync_core.domain.ids import AccountId
from sync_core.http.console.forms import FieldFault, read_form

FOLLOW: Mapping[Follow, tuple[str, str]] = {
    Follow.MIS: ("The MIS", "People come and go as the MIS says."),
    Follow.PINNED: ("Nothing: it stays as it is", "It is pinned until an admin releases it. Extra owners still count."),
    Follow.ENDED: ("Nothing: it has ended", "It stays as it is, whatever the MIS has, and no group continues it."),
    Follow.TWO_YEARS: (
        "The MIS, for two years",
        "It may go on with its group into the next academic year, once. An admin confirms that in Approvals.",
    ),
}
"""What a class can follow, each with a name and what it means."""
UNKNOWN_PERSON = FieldFault("person", "should be a user name of the tenant, such as teacher@school.org")
NO_REASON = FieldFault("reason", "say why, without anybody's name")
LABELS = {"follow": "What the class follows", "person": "Person", "until": "Last day", "reason": "Reason"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRow:
    """An extra owner in words. `number` is their place in the form, None for one by an owner rule."""

    account: AccountId
    given_by: AccountId
    until: str
    reason: str
    rule: str
    number: int | None


def owner_rows(chosen: ChosenClass) -> tuple[OwnerRow, ...]:
    own = [owner for owner in chosen.owners if not owner.rule]
    rows = [_row(owner, number) for number, owner in enumerate(own)]
    return (*rows, *(_row(owner, None) for owner in chosen.owners if owner.rule))


def wanted_choice(
    sent: Mapping[str, str], chosen: ChosenClass, accounts: Iterable[Account]
) -> WantedChoice | tuple[FieldFault, ...]:
    """The choice that a form asks for, given the one before, or the faults of its fields.

    An extra owner whose box `remove-…` is ticked is left out. A person is added by user principal name or Entra id.
    """
    if sent.get("follow", "") not in set(Follow):
        return (FieldFault("follow", "choose one"),)
    kept = [
        WantedOwner(account=owner.account, until=owner.until, reason=owner.reason)
        for owner in chosen.owners
        if not owner.rule and f"remove-{owner.account}" not in sent
    ]
    if not any(sent.get(name, "").strip() for name in ("person", "until", "reason")):
        return WantedChoice(follow=Follow(sent["follow"]), owners=tuple(kept))
    found = account_called(sent.get("person", ""), accounts)
    if found is None:
        return (UNKNOWN_PERSON,)
    added = read_form(WantedOwner, {**sent, "account": found})
    if not isinstance(added, WantedOwner):
        return added
    if not added.reason.strip():
        return (NO_REASON,)
    others = [owner for owner in kept if owner.account != added.account]
    return WantedChoice(follow=Follow(sent["follow"]), owners=(*others, added))


def account_called(typed: str, accounts: Iterable[Account]) -> AccountId | None:
    """The account with this user principal name or Entra id, however it is written."""
    wanted = typed.strip().casefold()
    named = (each.id for each in accounts if wanted in (each.id, each.values.get(AccountProperty.UPN, "")))
    return next(named, None) if wanted else None


def grant_until(until: date | None, *, over: bool) -> str:
    """How long somebody is an extra owner, in words."""
    if until is None:
        return "without an end"
    return f"{'over since' if over else 'until'} {until:%d/%m/%Y}"


def _row(owner: ExtraOwner, number: int | None) -> OwnerRow:
    return OwnerRow(
        account=owner.account,
        given_by=owner.given_by,
        until=grant_until(owner.until, over=owner.over),
        reason=owner.reason,
        rule=owner.rule,
        number=number,
    )
