"""Why the rules no longer want somebody in a class: the cause by which a loss is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from functools import cached_property

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.ids import AccountId, MisId
from sync_core.domain.runs import HoldKind
from sync_core.planning.membership import RuledSchool

LOSS_KINDS = (
    HoldKind.GROUP_EMPTIED,
    HoldKind.LEFT_GROUP,
    HoldKind.LEFT_MIS,
    HoldKind.ACCOUNT_DELETED,
    HoldKind.UNCLAIMED_ACCOUNT,
    HoldKind.PINNED,
)


class LossCauses:
    """The causes of losses in one plan. `ruled` is None for a plan that does not follow the MIS."""

    def __init__(self, ruled: RuledSchool | None) -> None:
        self._ruled = ruled

    def by_cause(
        self, desired: DesiredClass, before: DesiredClass, accounts: Iterable[AccountId]
    ) -> Iterator[tuple[HoldKind, frozenset[AccountId]]]:
        """The accounts by cause, in the order of LOSS_KINDS. `before` is the class with them, `desired` without."""
        found: dict[HoldKind, set[AccountId]] = {}
        for account in accounts:
            found.setdefault(self._cause(desired, before, account), set()).add(account)
        return ((kind, frozenset(found[kind])) for kind in LOSS_KINDS if kind in found)

    def _cause(self, desired: DesiredClass, before: DesiredClass, account: AccountId) -> HoldKind:
        """What the MIS says comes first: a person who left would not be in the class with an account either."""
        if desired.pinned:
            return HoldKind.PINNED
        if self._ruled is None:
            return HoldKind.UNCLAIMED_ACCOUNT
        group = self._ruled.groups.get(desired.key)
        if group and not group.students:
            return HoldKind.GROUP_EMPTIED
        reason = before.reasons.get(account)
        person = self._matched.get(account) or (reason.person if reason else MisId(""))
        if person and person not in self._grouped:
            return HoldKind.LEFT_MIS
        if person and group and person not in group.students:
            return HoldKind.LEFT_GROUP
        return HoldKind.UNCLAIMED_ACCOUNT if account in self._accounts else HoldKind.ACCOUNT_DELETED

    @cached_property
    def _matched(self) -> dict[AccountId, MisId]:
        roles = (self._ruled.staff, self._ruled.students) if self._ruled else ()
        return {account: person for role in roles for person, account in role.ids.items()}

    @cached_property
    def _grouped(self) -> Set[MisId]:
        """Everybody who is in a group. A part is only planned of a school whose people are all in one."""
        if self._ruled and self._ruled.part:
            return self._ruled.people.keys()
        groups = self._ruled.groups.values() if self._ruled else ()
        return frozenset(person for group in groups for person in (*group.students, *group.teachers))

    @cached_property
    def _accounts(self) -> frozenset[AccountId]:
        return frozenset(account.id for account in self._ruled.matching.accounts) if self._ruled else frozenset()
