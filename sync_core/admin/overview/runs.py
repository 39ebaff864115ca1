"""The runs of a school, page by page, and one run: how far it is, and what it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sync_core.admin.overview.pages import ListPage, page_of
from sync_core.admin.undo import AppliedChange, changes_in, existing_run
from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.planning.diff import make_plan
from sync_core.services import Services


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list: those of a cause, those with an outcome, or all."""

    cause: Cause | None = None
    outcome: RunOutcome | None = None

    def of(self, runs: Iterable[RunRecord]) -> tuple[RunRecord, ...]:
        return tuple(run for run in runs if self.cause in (None, run.cause) and self.outcome in (None, run.outcome))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How far the changes of a run are, as the rows of its classes stand now.

    `classes` counts those that the run planned to create or to change, and `done` those that are as they are wanted
    since. The others are class keys: Microsoft 365 `refused` a change, or the class is `open`, because its change is on
    the queue or somebody changed the class later.
    """

    outcome: RunOutcome
    classes: int
    done: int
    refused: tuple[ClassKey, ...]
    open: tuple[ClassKey, ...]

    @property
    def ended(self) -> bool:
        """Nothing of the run is on a queue, as far as the rows tell."""
        return self.outcome is not RunOutcome.REQUESTED and not self.open


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """One run. `keys` are a page of the classes that it changed, and `changes` what it changed in those."""

    run: RunRecord
    progress: RunProgress
    keys: ListPage[ClassKey]
    changes: Sequence[AppliedChange]
    records: Records


def newest_runs(runs: Sequence[RunRecord], wanted: RunFilter, page: int) -> ListPage[RunRecord]:
    """A page of the runs that are wanted, the newest first. `runs` are in order of time."""
    return page_of(tuple(reversed(wanted.of(runs))), page)


async def read_progress(run: RunRecord, services: Services) -> RunProgress:
    return progress_of(run, await services.classes.class_records(run.school))


def progress_of(run: RunRecord, records: Iterable[ClassRecord]) -> RunProgress:
    known = {record.key: record for record in records}
    planned = {*run.created, *run.changed}
    left = make_plan((known[key].desired for key in sorted(planned & known.keys())), (), known)
    refused = tuple(diff.key for diff in left.diffs if known[diff.key].error)
    return RunProgress(
        outcome=run.outcome,
        classes=len(planned),
        done=len(planned) - len(left.diffs),
        refused=refused,
        open=tuple(diff.key for diff in left.diffs if diff.key not in refused),
    )


async def read_run(school: SchoolId, run: RunId, page: int, only: ClassKey | None, services: Services) -> RunDetails:
    """One run with a page of the classes that it changed, or with `only` one of these. Raises NotFound."""
    record, changed, records = await asyncio.gather(
        existing_run(school, run, services),
        services.classes.classes_of_run(school, run),
        services.classes.class_records(school),
    )
    keys = page_of([key for key in changed if only in (None, key)], page)
    shown = {key: changed[key] for key in keys.items}
    return RunDetails(
        run=record,
        progress=progress_of(record, records),
        keys=keys,
        changes=await changes_in(school, run, shown, services),
        records={each.key: each for each in records},
    )
