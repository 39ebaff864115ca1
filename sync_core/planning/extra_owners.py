"""The extra owners of classes: grants of single classes and owner rules, each until its date.

A grant is applied after everything else, so that nothing that holds a class keeps an access that is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sync_core.domain.classes.choices import NO_CHOICES, Choices, Grant
from sync_core.domain.classes.desired import DesiredClass, GrantRecord, Reason, Rule
from sync_core.domain.classes.record import NOT_IN_MICROSOFT_365, ClassRecord, Records
from sync_core.domain.ids import AccountId, ClassKey, GrantText
from sync_core.domain.school.settings import SchoolSettings
from sync_core.planning.run_notes import name_some


@dataclass(frozen=True, slots=True)
class ExtraOwners:
    """The grants of a school on one day. `known` are the accounts of its tenant, without which nobody is granted.

    `earlier` are those who were extra owners in another tenant: where the school goes back to it, their grant is over.
    """

    choices: Choices
    today: date
    known: Set[AccountId] = frozenset()
    earlier: Mapping[ClassKey, frozenset[AccountId]] = field(default_factory=dict)

    def of(self, desired: DesiredClass) -> dict[AccountId, Reason]:
        """The extra owners of a class today. A grant of the class comes before an owner rule."""
        return {
            account: Reason(Rule.EXTRA_OWNER, _record(grant, rule))
            for account, grant, rule in reversed(self._grants(desired))
            if grant.counts_on(self.today) and account in self.known
        }

    def applied(self, desired: DesiredClass, before: DesiredClass | None) -> DesiredClass:
        """The class with its extra owners of today, and without those whose grant is over.

        `before` is the class on its row. A person whom another rule makes an owner stays one.
        """
        extra = desired.extra_owners
        granted = {account: why for account, why in self.of(desired).items() if account not in desired.owners - extra}
        if not (extra or granted):
            expired = self._expired(desired, before, desired.owners)
            return desired if expired == desired.expired_owners else replace(desired, expired_owners=expired)
        without = _without(desired, extra - granted.keys())
        owners = without.owners | granted.keys()
        pupils = {account for account in granted if _is_pupil(without, account)}
        return replace(
            without,
            owners=owners,
            members=without.members | granted.keys(),
            reasons={**without.reasons, **{account: granted[account] for account in granted.keys() - pupils}},
            expired_owners=self._expired(desired, before, owners),
        )

    def ended(self, record: ClassRecord) -> DesiredClass:
        """The class as ended, without the owners whose grant is over. It gets no others."""
        return self._without_over(replace(record.desired, ended=True, pinned=False))

    def losing(self, records: Records, besides: Set[ClassKey]) -> tuple[DesiredClass, ...]:
        """The classes, except those in `besides`, with an owner whose grant is over: as on their rows, without them."""
        standing = [
            record
            for key, record in sorted(records.items())
            if key not in besides and record.state not in NOT_IN_MICROSOFT_365
        ]
        found = [(record, self._without_over(record.desired)) for record in standing]
        return tuple(
            desired
            for record, desired in found
            if desired != record.desired or (record.actual and record.actual.granted & desired.expired_owners)
        )

    def _without_over(self, desired: DesiredClass) -> DesiredClass:
        without = _without(desired, desired.extra_owners - self.of(desired).keys())
        return replace(without, expired_owners=self._expired(desired, None, without.owners))

    def _expired(
        self, desired: DesiredClass, before: DesiredClass | None, owners: Set[AccountId]
    ) -> frozenset[AccountId]:
        """Those who were owners by a grant, on the row or in an earlier plan, and are no owners now."""
        earlier = self.earlier.get(desired.key, frozenset())
        before_now = _by_grants(before) if before else frozenset()
        return (_by_grants(desired) | before_now | earlier) - owners

    def trusting(self, records: Records) -> ExtraOwners:
        """The same for a list of accounts that cannot be trusted: who is an extra owner on a row has an account."""
        now = (record.desired.extra_owners for record in records.values())
        return replace(self, known=self.known | frozenset[AccountId]().union(*now))

    def without_account(self) -> frozenset[AccountId]:
        """The accounts of grants of today that the tenant does not have."""
        of_classes = (each for choice in self.choices.classes.values() for each in choice.owners.items())
        grants = (*of_classes, *((rule.account, rule.grant) for rule in self.choices.rules))
        return frozenset(account for account, grant in grants if grant.counts_on(self.today)) - self.known

    def _grants(self, desired: DesiredClass) -> Sequence[tuple[AccountId, Grant, str]]:
        choice = self.choices.classes.get(desired.key)
        of_class = [(account, grant, "") for account, grant in sorted(choice.owners.items())] if choice else []
        rules = [rule for rule in self.choices.rules if rule.covers_class(desired)]
        return [*of_class, *((rule.account, rule.grant, rule.id) for rule in rules)]


NO_EXTRA_OWNERS = ExtraOwners(NO_CHOICES, date.min)


def extra_owners(
    choices: Choices, settings: SchoolSettings, accounts: Set[AccountId], now: datetime, rows: Iterable[ClassRecord]
) -> ExtraOwners:
    """The grants of today, by the date of the school. `rows` are those of its classes, also in other tenants."""
    elsewhere = [row.desired for row in rows if row.desired.tenant != settings.tenant]
    earlier = {desired.key: people for desired in elsewhere if (people := _by_grants(desired))}
    return ExtraOwners(choices, settings.date_at(now), accounts, earlier)


def notes_on_extra_owners(
    owners: ExtraOwners, planned: Iterable[DesiredClass], before: Mapping[ClassKey, ClassRecord]
) -> tuple[str, ...]:
    """What the notes of a run say: whose grant ended with this plan, and who has no account."""
    over = {
        desired.key: desired.expired_owners
        - _expired_before(before.get(desired.key))
        - owners.earlier.get(desired.key, frozenset())
        for desired in planned
    }
    ended = [f"{key}/{account}" for key, accounts in sorted(over.items()) for account in sorted(accounts)]
    missing = sorted(owners.without_account())
    notes = []
    if ended:
        notes.append(
            f"extra owners whose time is over, by class and account: {len(ended)} ({name_some(ended)}) — they lose the "
            "ownership that the sync gave them, unless they are the last owner of a class; if they still need it, give "
            "it again on the page of the class"
        )
    if missing:
        notes.append(
            f"extra owners who have no account: {len(missing)} ({name_some(missing)}) — correct the choices of the "
            "class, or the owner rule of the school"
        )
    return tuple(notes)


def _record(grant: Grant, rule: str) -> GrantText:
    return GrantRecord(grant.given_by, grant.until.isoformat() if grant.until else "", rule).text


def kept_without_grants(desired: DesiredClass) -> DesiredClass:
    """The class without anybody whom only a grant makes an owner."""
    return _without(desired, desired.extra_owners)


def _is_pupil(desired: DesiredClass, account: AccountId) -> bool:
    reason = desired.reasons.get(account)
    return reason is not None and reason.rule is Rule.STUDENT


def _without(desired: DesiredClass, over: Set[AccountId]) -> DesiredClass:
    """The class without these extra owners, of whom pupils stay members."""
    if not over:
        return desired
    leaving = {account for account in over if desired.reasons[account].rule is Rule.EXTRA_OWNER}
    reasons = {account: reason for account, reason in desired.reasons.items() if account not in leaving}
    return replace(desired, owners=desired.owners - over, members=desired.members - leaving, reasons=reasons)


def _by_grants(desired: DesiredClass) -> frozenset[AccountId]:
    """Whom a grant makes an owner of the class, or made."""
    return desired.expired_owners | desired.extra_owners


def _expired_before(record: ClassRecord | None) -> frozenset[AccountId]:
    return record.desired.expired_owners if record else frozenset()
