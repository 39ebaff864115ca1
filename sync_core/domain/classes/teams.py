"""The team of a class in Microsoft Teams: what is wanted, and what is known of it.

The group stays the truth. Teams copies its people to the team within a day or more, so the app tells Teams as well.
A team has the id of its class.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sync_core.domain.classes.row_error import RowError
from sync_core.domain.ids import AccountId


class DesiredTeam(StrEnum):
    """What a class wants of its team. NONE: nothing, and a team that exists is left alone.

    LOCKED: a team in which the owners are alone until one of them activates it in Teams. OPEN: one that is activated.
    ARCHIVED: an admin archived it.
    """

    NONE = "none"
    LOCKED = "locked"
    OPEN = "open"
    ARCHIVED = "archived"


class TeamState(StrEnum):
    """The state of a team, as far as known.

    MISSING: it could not be made yet, and `error` says why. ASKED: Teams accepted to make it, and does not show it yet.
    LOCKED: pupils wait until it is activated. ARCHIVED: as an admin of the school requested here; ARCHIVED_BY_HAND:
    somebody did it in Microsoft 365, and it stays so. GONE: the team was deleted by hand, and the class was not; no
    other team is made for it.
    """

    MISSING = "missing"
    ASKED = "asked"
    LOCKED = "locked"
    OPEN = "open"
    ARCHIVED = "archived"
    ARCHIVED_BY_HAND = "archived_by_hand"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActualTeam:
    """A team as far as known. Only apply writes it; None stands for a team that nobody asked for yet.

    `members` (without owners) and `owners` are those wanted people whom the app added to the team, or saw in it.
    `refused` are those whom Teams refuses, as for a missing licence. `asked_at` is when it was asked to make the team,
    and `seen_at` when the team was last compared with what is wanted. `error` is why the last work on it was not done.
    """

    state: TeamState
    members: frozenset[AccountId] = frozenset()
    owners: frozenset[AccountId] = frozenset()
    refused: frozenset[AccountId] = frozenset()
    asked_at: datetime | None = None
    seen_at: datetime | None = None
    error: RowError | None = None
