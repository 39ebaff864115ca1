"""What a class should be: its names, its people with the reasons, and the requests and pins that rule it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from sync_core.domain.classes.teams import DesiredTeam
from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId
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
    IN_DOUBT = "in_doubt"
    UNDONE = "undone"


_RULES_OF_THE_MIS = frozenset({Rule.STUDENT, Rule.TEACHER, Rule.IN_DOUBT})


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a person belongs in a class. `record` is their MIS person id where the reason comes from the MIS.

    IN_DOUBT: several accounts could be theirs, and they were in the class before. UNDONE: they were in it before a run
    that an admin undid, and `record` is that run.
    """

    rule: Rule
    record: MisId | RunId = MisId("")

    @property
    def person(self) -> MisId:
        """The MIS person whom the reason names; empty if it names none."""
        return MisId(self.record) if self.rule in _RULES_OF_THE_MIS else MisId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A class kept as it was before the run `undone` until an admin releases it; `run` is the run that undid it."""

    key: ClassKey
    members: frozenset[AccountId]
    owners: frozenset[AccountId]
    undone: RunId
    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredClass:
    """A class as the rules want it. `members` and `owners` are Entra user ids; every owner is a member too.

    `group_name` and `academic_year` come from the MIS; they identify a class to reuse in a new year. `revoke`: owners
    whom the sync granted and who are no longer in `owners` lose the ownership. `ended`: the group is no longer in the
    MIS, and the class stays as it is. `deleted`: an admin deleted it. `pinned`: an admin undid a run, and the class
    does not follow the MIS. `generation` is that of its request. `tenant` is the Entra id of the school's tenant when
    the class was planned: the only one in which anything is done for the class.
    """

    tenant: str
    key: ClassKey
    group_id: MisId
    group_type: GroupType
    name: ClassName
    members: frozenset[AccountId]
    owners: frozenset[AccountId]
    group_name: str = ""
    academic_year: int = 0
    description: str = ""
    revoke: bool = False
    ended: bool = False
    deleted: bool = False
    pinned: bool = False
    generation: int = 0
    team: DesiredTeam = DesiredTeam.NONE
    reasons: Mapping[AccountId, Reason] = field(default_factory=dict, repr=False)
