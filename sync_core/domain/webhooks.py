"""Webhook events from the MIS side, and when a plan follows them: at once for the first, later and later in a storm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

GATHER_FOR = timedelta(seconds=1)
"""What is announced within it goes into one plan: an MIS tells of one edit in several webhooks."""


_MINUTE = timedelta(minutes=1)


_LONGEST_PAUSE = 16.0
"""Seconds between two plans of one school in a storm that does not end: four a minute."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One webhook: `id` is its sender's, the same at each try. `groups` and `people` are MIS ids.

    Where it names neither, the whole school may have changed. `sent` says that the message for its plan is on its way.
    """

    id: str
    at: datetime
    groups: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    sent: bool = False

    @property
    def whole(self) -> bool:
        return not self.groups and not self.people


def next_plan(now: datetime, planned: Sequence[datetime]) -> datetime:
    """When what is announced `now` is planned, a whole second, given when plans of webhook events began, oldest first.

    The more of them there were within a minute, the longer the pause after the last: 2, 4, 8 and then 16 seconds. So a
    lone change is planned after a second or two, and a storm makes six plans in its first minute, and then four.
    """
    recent = [moment for moment in planned if now - moment < _MINUTE]
    due = now + GATHER_FOR
    if recent:
        due = max(due, recent[-1] + timedelta(seconds=min(2.0 ** len(recent), _LONGEST_PAUSE)))
    return due if due.microsecond == 0 else due.replace(microsecond=0) + timedelta(seconds=1)


def too_early(now: datetime, planned: Sequence[datetime]) -> bool:
    """Whether a plan that is due would come before its pause is over; what a clock tells early is let pass."""
    return next_plan(now - GATHER_FOR, planned) > now + GATHER_FOR


def recent_plans(now: datetime, planned: Sequence[datetime]) -> tuple[datetime, ...]:
    """The moments that the next plan's time depends on, with `now` as one of them."""
    return (*(moment for moment in planned if now - moment < _MINUTE), now)
