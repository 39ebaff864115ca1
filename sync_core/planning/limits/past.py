"""The history of a school that the limits of a plan take into account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sync_core.domain.runs import Cause, Hold, HoldStatus
from sync_core.planning.limits.holds import Decisions, decisions_on
from sync_core.planning.matching.guard import NO_RATES, MatchRates

_SHARED_FOR = timedelta(hours=1)
"""As long as a night is by default: its schools then share one reading of a server."""


@dataclass(frozen=True, slots=True)
class Past:
    """The history that the limits take into account.

    `removed` counts the memberships that plans of the last seven days removed without an approval. `groups` counts the
    groups of the last run (None before the first). `holds` are the existing holds. `decided` are the decisions, by the
    digest of a held class, that this plan carries out. `rates` are the match rates that were accepted last. `night` is
    the time of the last nightly plan of these days, and `last_run` that of the last run of any kind. `left_out` counts
    the rows of feeds that runs of these days left out.
    """

    removed: int
    groups: int | None
    holds: tuple[Hold, ...]
    decided: Mapping[str, HoldStatus] = field(default_factory=dict)
    rates: MatchRates = NO_RATES
    night: datetime | None = None
    last_run: datetime | None = None
    left_out: int = 0

    @property
    def decisions(self) -> Decisions:
        """The decisions on held classes; newer ones count."""
        return decisions_on(self.holds, self.decided)

    def shared_since(self, cause: Cause, now: datetime) -> datetime | None:
        """Since when a reading that schools share may have begun; None if the MIS is read now.

        A webhook event, an admin and a preview want the MIS as it is now. A night accepts the reading of an earlier
        school, unless this school had a run since: that run may have read something newer, which the night must not
        take back.
        """
        if cause is not Cause.NIGHTLY:
            return None
        earliest = now - _SHARED_FOR
        return max(earliest, self.last_run) if self.last_run else earliest
