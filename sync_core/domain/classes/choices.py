"""What an admin chose for single classes: what a class follows, and who owns it in addition, until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.ids import AccountId, ClassKey
from sync_core.domain.roster import GroupType


class Follow(StrEnum):
    """What a class follows.

    PINNED: it stays as it is, which its pin says. ENDED: it stays as it is, whatever the MIS has, as a class does whose
    group left the MIS. TWO_YEARS: it may go on with its group into the following academic year, once.
    """

    MIS = "mis"
    PINNED = "pinned"
    ENDED = "ended"
    TWO_YEARS = "two_years"


@dataclass(frozen=True, slots=True)
class Grant:
    """An ownership in addition to those of the MIS.

    `until` is the last day on which it counts, by the school's date; None if it has no end. `given_by` is the Entra id
    of the admin who gave it.
    """

    until: date | None
    reason: str
    given_by: AccountId
    given_at: datetime

    def counts_on(self, day: date) -> bool:
        return self.until is None or day <= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassChoice:
    """What an admin chose for one class. `owners` are its extra owners by Entra id.

    `follow` is never PINNED: the pin of the class says that. `goes_into` is the academic year into which a class goes
    on that follows for TWO_YEARS, 0 for others.
    """

    key: ClassKey
    follow: Follow = Follow.MIS
    goes_into: int = 0
    owners: Mapping[AccountId, Grant] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRule:
    """An extra owner of every class of a teaching group whose name in the MIS begins with `prefix`.

    Upper and lower case do not matter. `id` is what the admin calls the rule.
    """

    id: str
    prefix: str
    account: AccountId
    grant: Grant

    def covers(self, type_: GroupType, group_name: str) -> bool:
        return type_ is GroupType.TEACHING and group_name.strip().casefold().startswith(self.prefix.casefold())

    def covers_class(self, desired: DesiredClass) -> bool:
        return self.covers(desired.group_type, desired.group_name)


@dataclass(frozen=True, slots=True)
class Choices:
    """All choices for the classes of one school: those of single classes by key, and the owner rules in order of id."""

    classes: Mapping[ClassKey, ClassChoice] = field(default_factory=dict)
    rules: tuple[OwnerRule, ...] = ()

    def following(self, follow: Follow) -> frozenset[ClassKey]:
        """The keys of the classes with this choice."""
        return frozenset(key for key, choice in self.classes.items() if choice.follow is follow)


NO_CHOICES = Choices()
