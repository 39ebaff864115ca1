"""Webhook events from the MIS side, and the time of the plan that follows: at once for the first, later in a storm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync_core.domain.ids import MisId

GATHER_FOR = timedelta(seconds=1)
"""Events within this time share one plan: an MIS sends several webhooks for one edit."""
_MINUTE = timedelta(minutes=1)
_LONGEST_PAUSE = 12.0
"""Seconds between two plans of one school in a lasting storm: five a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """One webhook. The sender chooses `id` and repeats it at each retry. `groups` and `people` are MIS ids.

    Where it names neither, the whole school may have changed. `sent`: the message for its plan is on the queue.
    """

    id: str
    at: datetime
    groups: tuple[MisId, ...] = ()
    people: tuple[MisId, ...] = ()
    sent: bool = False

    @property
    def whole(self) -> bool:
        return not self.groups and not self.people


def pause_ends(now: datetime, planned: Sequence[datetime]) -> datetime:
    """The earliest time for the next plan. `planned` are earlier starts of plans, oldest first.

    The pause since the last plan grows with the plans of the last minute: 2, 4, 8 and then 12 seconds. So a storm
    causes seven plans in its first minute, then five a minute.
    """
    recent = [moment for moment in planned if now - moment < _MINUTE]
    return recent[-1] + timedelta(seconds=min(2.0 ** len(recent), _LONGEST_PAUSE)) if recent else now


def gathering_ends(now: datetime, planned: Sequence[datetime]) -> datetime:
    """The time, in whole seconds, of the plan that an event received `now` shares with others, after the pause."""
    due = max(now + GATHER_FOR, pause_ends(now, planned))
    return due if due.microsecond == 0 else due.replace(microsecond=0) + timedelta(seconds=1)


def too_early(now: datetime, planned: Sequence[datetime]) -> bool:
    """Whether a plan would start before its pause is over, with an allowance for clocks that differ."""
    return gathering_ends(now - GATHER_FOR, planned) > now + GATHER_FOR


def recent_plans(now: datetime, planned: Sequence[datetime]) -> tuple[datetime, ...]:
    """The starts of plans, `now` included, that the time of the next plan depends on."""
    return (*(moment for moment in planned if now - moment < _MINUTE), now)
