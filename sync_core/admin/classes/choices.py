"""What an admin chooses for single classes, and the owner rules of a school.

A choice for a class takes effect with a sync of that class, which is requested with it; an owner rule with the next
sync of the school.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from annotated_types import MaxLen, MinLen

from sync_core.admin.requests import Accepted, Requester, existing_class, require_enabled, submit
from sync_core.domain.classes.choices import Choices, ClassChoice, Follow, Grant, OwnerRule
from sync_core.domain.classes.desired import Pin
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.constraints import FORM, PRINTABLE, Checked, Meaning, UkDate
from sync_core.domain.ids import AccountId, ClassKey, RunId
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import EntraId, PauseReason, SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import SyncSchool, scope_of
from sync_core.planning.extra_owners import kept_without_grants
from sync_core.services import Services

_MOST = 50
"""Extra owners of one class: Microsoft 365 allows 100 owners of a group."""
_MOST_RULES = 100

Until = Annotated[
    date | None,
    UkDate(),
    Meaning("The last day of the ownership, as 18/12/2026 or 2026-12-18; without a day it has no end"),
]
Reason = Annotated[PauseReason, MinLen(1), Meaning("Why, without anybody's name")]


def _each_account_once(owners: tuple[WantedOwner, ...]) -> tuple[WantedOwner, ...]:
    if len({owner.account for owner in owners}) < len(owners):
        raise ValueError("has an account twice")
    return owners


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedOwner:
    """An extra owner as an admin sends one."""

    __pydantic_config__ = FORM
    account: Annotated[EntraId, Meaning("The Entra id of the person")]
    until: Until = None
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedChoice:
    """What a class follows, and its extra owners: all of them, in place of those before."""

    __pydantic_config__ = FORM
    follow: Annotated[
        Follow,
        Meaning(
            "mis; pinned: the class stays as it is now; ended: it stays as it is, whatever the MIS has; two_years: it "
            "may go on with its group into the following academic year, once, when an admin confirms that"
        ),
    ] = Follow.MIS
    owners: Annotated[tuple[WantedOwner, ...], MaxLen(_MOST), Checked(_each_account_once)] = ()


RULE_NAME = r"[a-z0-9-]{1,40}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRule:
    """An extra owner of the classes of all teaching groups whose names begin with `prefix`."""

    __pydantic_config__ = FORM
    prefix: Annotated[str, PRINTABLE, MinLen(1), MaxLen(60), Meaning("As 10A/Ma, in upper or lower case")]
    account: Annotated[EntraId, Meaning("The Entra id of the person")]
    until: Until = None
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraOwner:
    """An extra owner with who gave it (Entra id), and when. `rule` is the owner rule, empty for a grant of the class.

    `over`: the last day has passed.
    """

    account: AccountId
    until: date | None
    reason: str
    given_by: AccountId
    given_at: datetime
    rule: str
    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenClass:
    """What a class follows. `goes_into` is the academic year into which it may go on, 0 if it may not."""

    key: ClassKey
    follow: Follow
    goes_into: int
    owners: tuple[ExtraOwner, ...]


def chosen_class(
    record: ClassRecord, choices: Choices, pin: Pin | None, settings: SchoolSettings, now: datetime
) -> ChosenClass:
    """The choices for a class as they count now. Its own extra owners come before those by rules."""
    choice, wanted = choices.classes.get(record.key) or ClassChoice(key=record.key), record.desired
    used = choice.follow is Follow.TWO_YEARS and choice.goes_into <= wanted.academic_year
    follow = Follow.PINNED if pin else Follow.MIS if used else choice.follow
    day = settings.date_at(now)
    grants = [(account, grant, "") for account, grant in sorted(choice.owners.items())]
    grants += [(rule.account, rule.grant, rule.id) for rule in choices.rules if rule.covers_class(wanted)]
    return ChosenClass(
        key=record.key,
        follow=follow,
        goes_into=choice.goes_into if follow is Follow.TWO_YEARS else 0,
        owners=tuple(
            ExtraOwner(
                account=account,
                until=grant.until,
                reason=grant.reason,
                given_by=grant.given_by,
                given_at=grant.given_at,
                rule=rule,
                over=not grant.counts_on(day),
            )
            for account, grant, rule in grants
        ),
    )


async def read_choice(settings: SchoolSettings, key: ClassKey, services: Services) -> ChosenClass:
    """Raises NotFound."""
    record = await existing_class(settings.school, key, services)
    classes = services.classes
    pin = (await classes.pins(settings.school)).get(key)
    choices = await classes.choices(settings.school)
    return chosen_class(record, choices, pin, settings, services.clock.now())


async def request_choice(
    settings: SchoolSettings, key: ClassKey, wanted: WantedChoice, requester: Requester, services: Services
) -> Accepted:
    """Save the choices for a class, and sync it. Raises NotFound, Conflict; then nothing is saved."""
    school, classes = settings.school, services.classes
    record = await _changeable(settings, key, wanted, services)
    before = (await classes.choices(school)).classes.get(key) or ClassChoice(key=key)
    goes_on = wanted.follow is Follow.TWO_YEARS
    choice = ClassChoice(
        key=key,
        follow=Follow.MIS if wanted.follow is Follow.PINNED else wanted.follow,
        goes_into=record.desired.academic_year + 1 if goes_on else 0,
        owners={
            AccountId(owner.account): _grant(owner, before.owners.get(AccountId(owner.account)), requester.id, services)
            for owner in wanted.owners
        },
    )
    if choice == ClassChoice(key=key):
        await classes.forget_choice(school, key)
    else:
        await classes.write_choice(school, choice)
    pinned = key in await classes.pinned(school)
    if wanted.follow is Follow.PINNED and not pinned:
        await classes.write_pins(school, [_pin(record, requester.run)])
    elif wanted.follow is not Follow.PINNED and pinned:
        await classes.forget_pin(school, key)
    scope = scope_of([record.desired.group_id])
    return await submit(SyncSchool(school, requester.run, Cause.ADMIN, scope), "", requester, services)


async def list_owner_rules(settings: SchoolSettings, services: Services) -> tuple[OwnerRule, ...]:
    return (await services.classes.choices(settings.school)).rules


async def save_owner_rule(
    settings: SchoolSettings, id_: str, wanted: WantedRule, by: AccountId, services: Services
) -> OwnerRule:
    """Add or replace an owner rule. Raises Conflict."""
    rules = {rule.id: rule for rule in await list_owner_rules(settings, services)}
    before = rules.get(id_)
    if before is None and len(rules) >= _MOST_RULES:
        raise Conflict(f"the school has {_MOST_RULES} owner rules, and cannot have more", "delete one first")
    _require_days([wanted.until], settings, services)
    same_person = before is not None and (before.account, before.prefix) == (wanted.account, wanted.prefix)
    grant = _grant(wanted, before.grant if before and same_person else None, by, services)
    rule = OwnerRule(id=id_, prefix=wanted.prefix, account=AccountId(wanted.account), grant=grant)
    await services.classes.write_owner_rule(settings.school, rule)
    return rule


async def forget_owner_rule(settings: SchoolSettings, id_: str, services: Services) -> None:
    """Raises NotFound."""
    if id_ not in {rule.id for rule in await list_owner_rules(settings, services)}:
        raise NotFound(f"school {settings.school} has no owner rule {id_}", "list the owner rules to see their ids")
    await services.classes.forget_owner_rule(settings.school, id_)


async def _changeable(settings: SchoolSettings, key: ClassKey, wanted: WantedChoice, services: Services) -> ClassRecord:
    """The row of a class for which that may be chosen. Raises NotFound, Conflict."""
    require_enabled(settings)
    record = await existing_class(settings.school, key, services)
    if wanted.follow is Follow.PINNED and (record.actual is None or record.gone):
        raise Conflict(f"class {key} is not in Microsoft 365, so it cannot stay as it is there", "create it first")
    before = (await services.classes.choices(settings.school)).classes.get(key)
    known = {(account, grant.until) for account, grant in before.owners.items()} if before else set()
    _require_days(
        (owner.until for owner in wanted.owners if (owner.account, owner.until) not in known), settings, services
    )
    return record


def _require_days(days: Iterable[date | None], settings: SchoolSettings, services: Services) -> None:
    """Raises Conflict if one of these days has passed."""
    today = settings.date_at(services.clock.now())
    if any(day and day < today for day in days):
        raise Conflict("the last day of an extra owner has passed already", "choose today or a later day, or no day")


def _grant(wanted: WantedOwner | WantedRule, before: Grant | None, by: AccountId, services: Services) -> Grant:
    """The same grant as before if nothing of it changes: it stays with who gave it."""
    if before and (before.until, before.reason) == (wanted.until, wanted.reason):
        return before
    return Grant(until=wanted.until, reason=wanted.reason, given_by=by, given_at=services.clock.now())


def _pin(record: ClassRecord, run: RunId) -> Pin:
    """The class as it is recorded. Its extra owners are not pinned: they come and go with their grants."""
    kept = kept_without_grants(record.desired)
    granted = record.actual.granted if record.actual else frozenset[AccountId]()
    owners = kept.owners | (granted - record.desired.owners - record.desired.expired_owners)
    return Pin(key=record.key, members=kept.members, owners=owners, undone=RunId(""), run=run)
