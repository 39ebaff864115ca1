"""A school that is kept in memory returns its past runs as the tables would."""

from __future__ import annotations

from datetime import timedelta

from local.known_school import KnownSchool
from sync_core.domain.ids import RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from tests.builders import NOON, SCHOOL, settings


async def test_runs_can_be_listed_since_a_time() -> None:
    """A preview counts the removals of the last seven days only."""
    early, late = (
        RunRecord(
            school=SCHOOL.id,
            id=RunId(name),
            cause=Cause.NIGHTLY,
            at=NOON + timedelta(days=days),
            outcome=RunOutcome.PLANNED,
            removals=9,
        )
        for name, days in (("early", -8), ("late", 0))
    )
    school = KnownSchool(settings(), (), past=(early, late))
    assert await school.runs(SCHOOL.id) == (early, late)
    assert await school.runs(SCHOOL.id, NOON) == (late,)
