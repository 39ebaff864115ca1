"""The plan of a school: what a sync would do now. Nothing of it is written yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sync_core.domain.classes.desired import DesiredClass, Pin
from sync_core.domain.classes.record import Records
from sync_core.domain.classes.tenant_groups import TenantClass
from sync_core.domain.ids import ClassKey
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, HoldKind, LeftOutRows, RunOutcome, RunRecord
from sync_core.errors import Permanent, SyncError
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.diff import Plan
from sync_core.planning.membership import RuledSchool
from sync_core.planning.teams import TeamDiff, keys_of
from sync_core.planning.year.arrangement import NOTHING_WITHHELD, Arrangement


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolPlan:
    """The changes that a sync would make now, and the holds. Nothing is written yet. `teams` is the work on teams.

    `records` are the rows of the school. `wanted` are the classes by key before the calendar and the limits. `standing`
    are the holds that existed before the plan. `ruled` is the result of the rules, if the MIS was read. `pins` are the
    pins of classes. `year` is what the school's calendar allows of the classes. `known_at` is when the last night of
    the week looked at Microsoft 365. `statistics` describe the snapshot of a whole school. `matching_failed`: too many
    people found no account, so that nothing of the MIS is planned. `left_out` are the rows of the feed that were left
    out, None where the list of the school stays empty. `listed` are the classes of the tenant, or why they could not be
    listed; None if the plan did not need them.
    """

    run: RunRecord
    tenant: str = ""
    plan: Plan = field(default_factory=Plan)
    teams: tuple[TeamDiff, ...] = ()
    records: Records = field(default_factory=dict)
    wanted: Mapping[ClassKey, DesiredClass] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    standing: tuple[Hold, ...] = ()
    ruled: RuledSchool | None = None
    pins: Mapping[ClassKey, Pin] = field(default_factory=dict)
    year: Arrangement = NOTHING_WITHHELD
    known_at: datetime | None = None
    statistics: FeedStatistics | None = None
    matching_failed: bool = False
    left_out: LeftOutRows | None = None
    listed: tuple[TenantClass, ...] | SyncError | None = None

    @property
    def final(self) -> Mapping[ClassKey, DesiredClass]:
        """Every class as the plan leaves its row, within the limits."""
        kept = {key: record.desired for key, record in self.records.items()}
        return kept | {desired.key: desired for desired in self.plan.writes}

    @property
    def open_holds(self) -> list[Hold]:
        """The holds that no admin approved."""
        return [hold for hold in self.holds if not hold.approved]

    @property
    def holds_to_keep(self) -> list[Hold]:
        """The holds that no admin approved, and the approvals of proposals that wait for their day."""
        waiting = (HoldKind.CONTINUATION, HoldKind.ADOPTION)
        return [hold for hold in self.holds if not hold.approved or hold.kind in waiting]

    def without_teams(self, why: str) -> SchoolPlan:
        """The plan without any work on teams; `why` becomes a note."""
        return replace(self, teams=(), run=replace(self.run, **keys_of(()))).with_notes(why)

    def with_notes(self, *notes: str) -> SchoolPlan:
        return replace(self, run=replace(self.run, notes=(*self.run.notes, *notes)))


class PlanNotMade(Permanent):
    """No plan could be made: the school is paused, its tenant is blocked, or its feed or accounts cannot be trusted.

    `planned` is an empty plan, and its run says why.
    """

    def __init__(
        self,
        request: SyncSchool,
        at: datetime,
        outcome: RunOutcome,
        message: str,
        remedy: str,
        left_out: LeftOutRows | None = None,
    ) -> None:
        super().__init__(message, remedy)
        notes = (f"{message} — {remedy}",) if outcome is RunOutcome.PAUSED else (message, remedy)
        run = RunRecord(
            school=request.school,
            id=request.run,
            cause=request.cause,
            at=at,
            outcome=outcome,
            whole=request.scope is None,
            left_out=left_out.count if left_out else 0,
            notes=notes,
        )
        self.planned = SchoolPlan(run=run, left_out=left_out)
