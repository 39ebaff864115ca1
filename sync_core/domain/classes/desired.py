"""What a class should be: its names, its people with the reasons, and the requests and pins that rule it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from sync_core.domain.classes.teams import DesiredTeam
from sync_core.domain.classes.year_end import YearEnd
from sync_core.domain.ids import AccountId, ClassId, ClassKey, GrantText, MisId, RunId
from sync_core.domain.roster import GroupType


@dataclass(frozen=True, slots=True)
class ClassName:
    """The display name and the mail nickname of a class."""

    display_name: str
    mail_nickname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRequest:
    """A request for one class. No plan removes its row. With an empty `display_name`, the naming rule applies.

    `generation` counts how often the class was requested again after it was gone.
    """

    key: ClassKey
    creator: AccountId
    requested_at: datetime
    display_name: str = ""
    description: str = ""
    required_until: date | None = None
    generation: int = 0


class Rule(StrEnum):
    """The rule that puts a person in a class."""

    STUDENT = "student"
    TEACHER = "teacher"
    ADMIN_OWNER = "admin_owner"
    CREATOR = "creator"
    EXTRA_OWNER = "extra_owner"
    IN_DOUBT = "in_doubt"
    UNDONE = "undone"
    PINNED = "pinned"


_RULES_OF_EXTRA_OWNERS = (Rule.EXTRA_OWNER, Rule.STUDENT)
_RULES_OF_THE_MIS = frozenset({Rule.STUDENT, Rule.TEACHER, Rule.IN_DOUBT})


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a person belongs in a class. `record` is their MIS person id where the reason comes from the MIS.

    IN_DOUBT: several accounts could be theirs, and they were in the class before. UNDONE: they were in it before a run
    that an admin undid, and `record` is that run. PINNED: they were in it when an admin pinned it in the run `record`.
    EXTRA_OWNER: an admin gave them the ownership, and `record` is the text of a GrantRecord.
    """

    rule: Rule
    record: MisId | RunId | GrantText = MisId("")

    @property
    def person(self) -> MisId:
        """The MIS person whom the reason names; empty if it names none."""
        return MisId(self.record) if self.rule in _RULES_OF_THE_MIS else MisId("")


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """Which grant made somebody an extra owner: the Entra id of the admin who gave it, its end, and its owner rule.

    `until` is a date as 2026-12-18, empty without an end. `rule` is empty for a grant of one class.
    """

    given_by: AccountId
    until: str = ""
    rule: str = ""

    @property
    def text(self) -> GrantText:
        return GrantText("|".join((self.given_by, self.until, self.rule)))

    @classmethod
    def of(cls, record: str) -> GrantRecord:
        given_by, until, rule = record.split("|", 2)
        return cls(AccountId(given_by), until, rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A class kept as it was before the run `undone` until an admin releases it; `run` is the run that undid it.

    Without `undone`, an admin pinned the class as it was at `run`.
    """

    key: ClassKey
    members: frozenset[AccountId]
    owners: frozenset[AccountId]
    undone: RunId
    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredClass:
    """A class as the rules want it. `members` and `owners` are Entra user ids; every owner is a member too.

    `group_name`, `group_subject` and `academic_year` come from the MIS; they identify a class to reuse in a new year.
    The subject is a digest, as in MisGroup. `earlier_group` is the MIS id of the group that it had in an earlier year,
    empty if it had none. `revoke`: owners whom the sync granted and who are no longer in `owners` lose the ownership.
    `expired_owners` lose it whatever `revoke` says: the grants that made them extra owners are over. `ended`: the group
    is no longer in the MIS, or an admin ended the class or its year, and the class stays as it is. `deleted`: an admin
    deleted it. `pinned`: an admin undid a run or pinned the class, which does not follow the MIS. `year_end` is what an
    admin decided at the end of its year. `generation` is that of its request. `tenant` is the Entra id of the school's
    tenant when the class was planned: the only one in which anything is done for the class. `group_teachers` are the
    MIS ids of the group's staff, also of those who own nothing, each as `plain_id`. `adopts` is the class in Microsoft
    365 that an admin approved to take for this one, until it is taken; empty if it is created.
    """

    tenant: str
    key: ClassKey
    group_id: MisId
    group_type: GroupType
    name: ClassName
    members: frozenset[AccountId]
    owners: frozenset[AccountId]
    group_name: str = ""
    group_subject: str = ""
    academic_year: int = 0
    earlier_group: MisId = MisId("")
    description: str = ""
    revoke: bool = False
    ended: bool = False
    deleted: bool = False
    pinned: bool = False
    generation: int = 0
    team: DesiredTeam = DesiredTeam.NONE
    expired_owners: frozenset[AccountId] = frozenset()
    group_teachers: frozenset[str] = frozenset()
    year_end: YearEnd | None = None
    adopts: ClassId = ClassId("")
    reasons: Mapping[AccountId, Reason] = field(default_factory=dict, repr=False)

    @property
    def retired(self) -> bool:
        """Whether an admin ended its year, and did not take that back: no plan changes the class."""
        return self.year_end is not None and not self.year_end.taken_back

    @property
    def extra_owners(self) -> frozenset[AccountId]:
        """Those whom nothing but a grant makes owners: no rule makes a pupil one, who keeps the reason of a pupil."""
        reasons = self.reasons
        return frozenset(
            [each for each in self.owners if each in reasons and reasons[each].rule in _RULES_OF_EXTRA_OWNERS]
        )

    def revoked_of(self, granted: frozenset[AccountId]) -> frozenset[AccountId]:
        """Of the owners whom the sync `granted`, those who are to lose the ownership."""
        return granted - self.owners if self.revoke and not self.ended else granted & self.expired_owners
