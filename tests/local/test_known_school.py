"""A school as values tells of the past what the tables would."""

from __future__ import annotations

from datetime import timedelta

from local.known_school import KnownSchool
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from tests.builders import NOON, SCHOOL, settings


async def test_runs_since_a_moment_are_those_from_then_on() -> None:
    """A preview counts what a school lost within seven days, and not what it lost before."""
    early, late = (
        RunRecord(
            school=SCHOOL.id,
            id=name,
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
