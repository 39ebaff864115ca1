"""What one of each costs is counted exactly: requests of Graph, messages, and what the tables are asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.unit_costs import LATENCY, UnitCosts, Work, measure_unit_costs

_TOUCHED, _ACCOUNTS = 2, 1_000


@pytest.fixture(scope="module")
def costs() -> UnitCosts:
    return measure_unit_costs(classes=(4, 8), touched=_TOUCHED, accounts=_ACCOUNTS)


def counts(work: Work) -> Work:
    return replace(work, seconds=0.0)


def test_a_refresh_asks_graph_for_two_deltas(costs: UnitCosts) -> None:
    """Tables: the tenant's schools, both tokens read and written, and the last full resync; the schools count
    towards their plans."""
    assert counts(costs.refresh) == Work(requests=2, units=2, messages=1, calls=6, entities=5)
    assert costs.refresh.seconds > 2 * LATENCY * 0.5


def test_a_quiet_plan_asks_graph_for_nothing(costs: UnitCosts) -> None:
    """Of a week of runs each is a row; of the calls three are the refresh's."""
    assert counts(costs.plan) == Work(messages=1, calls=16, entities=15)


def test_rows_are_read_a_thousand_a_call(costs: UnitCosts) -> None:
    assert counts(costs.class_row) == pytest.approx(Work(entities=1))
    assert counts(costs.account_row) == Work(calls=1 / _ACCOUNTS, entities=1)


def test_a_class_that_changes_is_read_once_and_written_twice(costs: UnitCosts) -> None:
    """Members, owners; who comes, who goes. Tables: read and written by the one message; the rest is the plan's, which
    writes the rows in one transaction, and its run once more than a quiet one."""
    shared = 2 / _TOUCHED
    assert counts(costs.changed) == Work(4, 5, 2, 1, calls=2 + shared, entities=3 + 1 + 1 / _TOUCHED)
    assert costs.changed.seconds > 4 * LATENCY * 0.5


def test_a_new_class_takes_five_requests_all_of_them_writes(costs: UnitCosts) -> None:
    """Tables: each of three messages reads the row and writes it with what was done, the first also its intent."""
    assert counts(costs.created) == Work(5, 5, 5, 3, calls=7 + 1 / _TOUCHED, entities=10 + 1)
    assert costs.created.seconds > 5 * LATENCY * 0.5
