"""What the checks of the app's health find in the runs of schools."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sync_core.admin.health import findings
from sync_core.domain.ids import AccountId, RunId, SchoolId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from tests.admin.health_scene import AT_NIGHT, planned
from tests.builders import NOON, SCHOOL, settings


def test_a_night_goes_on_for_its_window_and_two_hours_more() -> None:
    began, window = NOON - timedelta(hours=3), timedelta(hours=1)
    runs = {SchoolId("S1"): (planned("S1", began),), SchoolId("S2"): ()}
    going_on = findings.last_night(runs, NOON, window)
    assert (going_on.remedy, going_on.detail.endswith("schools done: 1 of 2, and it goes on")) == ("", True)
    assert findings.last_night(runs, NOON + timedelta(seconds=1), window).remedy


def test_a_school_that_was_synced_since_the_night_counts_as_done() -> None:
    since = planned("S2", NOON, cause=Cause.ADMIN, id=RunId("admin"))
    runs = {SchoolId("S1"): (planned("S1", AT_NIGHT),), SchoolId("S2"): (since,)}
    assert "schools done: 2 of 2" in findings.last_night(runs, NOON, timedelta(0)).detail


RUNS = st.builds(
    planned,
    st.just("S1"),
    st.datetimes(NOON.replace(tzinfo=None) - timedelta(days=7), NOON.replace(tzinfo=None)).map(
        lambda moment: moment.replace(tzinfo=NOON.tzinfo)
    ),
    cause=st.sampled_from(Cause),
    outcome=st.sampled_from(RunOutcome),
    whole=st.booleans(),
    action=st.sampled_from(["", "delete class"]),
    requested_by=st.just(AccountId("")),
    notes=st.lists(st.sampled_from(["what", "remedy"]), max_size=3).map(tuple),
)


@given(runs=st.lists(RUNS, max_size=6).map(lambda runs: sorted(runs, key=lambda run: run.at)))
def test_a_school_is_well_only_after_a_plan_of_all_its_classes_within_26_hours(runs: list[RunRecord]) -> None:
    found = findings.last_sync(settings(), runs, NOON)
    if not found.remedy:
        syncs = [run for run in runs if run.whole and run.outcome is not RunOutcome.REQUESTED]
        assert syncs[-1].outcome is RunOutcome.PLANNED
        assert NOON - syncs[-1].at <= timedelta(hours=26)
    assert found.detail
    assert findings.last_night({SCHOOL.id: runs}, NOON, timedelta(hours=1)).detail


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    source = (Path(__file__).parents[2] / project["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")
    version = re.search(project["tool"]["hatch"]["version"]["pattern"], source)
    assert version
    assert findings.version().detail.startswith(f"MIS Class Sync {version['version']} on Python 3.")
