"""The model of a nation's night: nothing gets lost, no quota is passed, and what does not fit is said not to fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.books import (
    APP_WRITES,
    BUCKET,
    BUS_BASE,
    BUS_BURST,
    BUS_CREDITS,
    INSTANCES,
    PARTITION_ENTITIES,
    PLANS_AT_ONCE,
    RENEWAL_CREDITS,
    SOURCE_REQUESTS,
    TABLE_CALLS,
    TABLE_ENTITIES,
    TENANT_WRITES,
    Check,
    Limit,
    Load,
    Measure,
    Usage,
    bill,
    limits_table,
    peak,
    remedies,
)
from bench.national import (
    FIRST,
    GRAPH_SHARE,
    ORDINARY,
    SECONDARY,
    TENANTS,
    WINDOW,
    Night,
    School,
    first_night,
    make_nation,
    month,
    run,
    section,
    simulate,
)
from bench.unit_costs import UnitCosts, Work
from sync_core.messaging.service_bus import MESSAGES_AT_ONCE

PLAUSIBLE = UnitCosts(
    refresh=Work(requests=2, units=2, messages=1, calls=6, entities=5, seconds=0.25),
    plan=Work(messages=1, calls=15, entities=15, seconds=0.05),
    class_row=Work(entities=1, seconds=0.0005),
    account_row=Work(calls=0.001, entities=1, seconds=0.00005),
    changed=Work(requests=4, units=5, writes=2, messages=1, calls=2.1, entities=4, seconds=0.45),
    created=Work(requests=5, units=5, writes=5, messages=3, calls=7, entities=11, seconds=0.6),
)
AT_ONCE = timedelta(0)


@pytest.fixture(scope="module")
def nation() -> tuple[School, ...]:
    return make_nation()


@pytest.fixture(scope="module")
def spread(nation: tuple[School, ...]) -> Load:
    return simulate(nation, PLAUSIBLE, ORDINARY)


@pytest.fixture(scope="module")
def at_once(nation: tuple[School, ...]) -> Load:
    return simulate(nation, PLAUSIBLE, ORDINARY, AT_ONCE)


@pytest.fixture(scope="module")
def vendor() -> tuple[School, ...]:
    return make_nation(2_000, 333)


@pytest.fixture(scope="module")
def region() -> tuple[School, ...]:
    return make_nation(3_600, 600)


@pytest.fixture(scope="module")
def first(region: tuple[School, ...]) -> Load:
    return simulate(region, PLAUSIBLE, FIRST)


# --- the nation


@pytest.mark.parametrize(("schools", "tenants"), [(24_000, 4_000), (2_000, 333), (50, 10), (50, 1)])
def test_a_nation_has_exactly_so_many_schools_and_tenants(schools: int, tenants: int) -> None:
    sizes = Counter(school.tenant for school in make_nation(schools, tenants))
    assert (sizes.total(), len(sizes)) == (schools, tenants)
    assert max(sizes.values()) <= 100


def test_a_nation_is_mixed_as_it_is_and_the_same_every_time(nation: tuple[School, ...]) -> None:
    assert nation == make_nation()
    assert nation != make_nation(seed=1)
    sizes = Counter(school.tenant for school in nation)
    assert sum(size == 1 for size in sizes.values()) == 1_900
    assert sum(size > 25 for size in sizes.values()) == 150
    assert sum(school.pupils > 660 for school in nation) < 3_450 < sum(school.pupils > 300 for school in nation)
    assert 0.69 < sum(school.source == "Wonde" for school in nation) / len(nation) < 0.71


def test_schools_that_so_many_tenants_cannot_have_are_refused() -> None:
    with pytest.raises(ValueError, match="10 schools are not 20 tenants'"):
        make_nation(10, 20)


def test_an_api_is_asked_by_pages_and_files_are_not() -> None:
    assert SECONDARY.mis_requests == 3 + 6 + 2
    assert replace(SECONDARY, source="files").mis_requests == 0


# --- an ordinary night


def test_spread_over_an_hour_an_ordinary_night_fits(spread: Load) -> None:
    assert [check for check in spread.checks() if not check.fits] == []
    assert timedelta(minutes=59) < spread.done < timedelta(minutes=62)


def test_the_schools_of_a_tenant_follow_each_other_and_find_its_accounts_held(
    nation: tuple[School, ...], spread: Load, vendor: tuple[School, ...]
) -> None:
    assert TENANTS <= spread.readings < len(nation) / 2
    assert simulate(vendor, PLAUSIBLE, ORDINARY).readings == 333
    assert simulate(make_nation(50, 1), PLAUSIBLE, ORDINARY).readings == 1


def test_at_one_stroke_it_does_not_fit(at_once: Load) -> None:
    refused = {check.limit for check in at_once.checks() if not check.fits}
    shared = {APP_WRITES, BUS_CREDITS, TABLE_CALLS, PARTITION_ENTITIES, INSTANCES}
    assert refused == shared | {TABLE_ENTITIES}


def test_spreading_lowers_each_peak_and_those_on_what_all_share_by_far(spread: Load, at_once: Load) -> None:
    before, after = ({check.limit: check.peak for check in load.checks()} for load in (at_once, spread))
    assert before[BUS_BURST] == after[BUS_BURST]
    assert all(after[limit] < before[limit] for limit in before if limit != BUS_BURST)
    assert all(after[limit] < before[limit] / 20 for limit in (BUS_CREDITS, INSTANCES, TABLE_CALLS, SOURCE_REQUESTS))


def test_one_call_sends_no_more_at_once_than_the_app_does_and_goes_on_after_a_second(
    vendor: tuple[School, ...],
) -> None:
    assert simulate(vendor, PLAUSIBLE, ORDINARY).burst == 333
    load, seconds = Load(), 2 * BUCKET
    load.send(seconds * MESSAGES_AT_ONCE + 1, 3.0)
    assert load.burst == MESSAGES_AT_ONCE
    assert dict(load.series[Measure.SENT]) == {
        0: 7 * MESSAGES_AT_ONCE,
        1: 10 * MESSAGES_AT_ONCE,
        2: 3 * MESSAGES_AT_ONCE + 1,
    }


@pytest.mark.parametrize(("processes", "readings"), [(1, 1), (2, 2 * (1 - 0.5**5)), (4, 4 * (1 - 0.75**5))])
def test_each_process_reads_the_accounts_of_a_tenant_once_while_it_holds_them(processes: int, readings: float) -> None:
    """Of five schools that come to any of the processes."""
    tenants = 400
    schools = [School(f"T{tenant}", 10, 1) for tenant in range(tenants) for _ in range(5)]
    seconds = 0.999 * processes * PLANS_AT_ONCE * WINDOW.total_seconds() / len(schools)
    busy = replace(PLAUSIBLE, plan=Work(messages=1, seconds=seconds), class_row=Work())
    assert simulate(schools, busy, Night()).readings == pytest.approx(tenants * readings, rel=0.05)


# --- nothing gets lost


@pytest.mark.parametrize("night", [ORDINARY, FIRST, Night(), Night(changed=0.3, created=0.2)])
@pytest.mark.parametrize("window", [AT_ONCE, timedelta(minutes=60), timedelta(hours=9)])
def test_all_work_is_done_whenever_it_is_done(night: Night, window: timedelta) -> None:
    schools = [School(f"T{tenant}", 300, 10 + 3 * tenant) for tenant in range(50) for _ in range(6)]
    load = simulate(schools, PLAUSIBLE, night, window)
    classes = sum(school.classes for school in schools)
    expected = (
        PLAUSIBLE.refresh * 50
        + PLAUSIBLE.plan * 300
        + PLAUSIBLE.class_row * (2 * classes)
        + PLAUSIBLE.account_row * (load.readings * 6 * schools[0].accounts)
        + PLAUSIBLE.changed * (night.changed * classes)
        + PLAUSIBLE.created * (night.created * classes)
    )
    assert 50 <= load.readings <= 300
    assert load.total(Measure.REQUESTS) == pytest.approx(expected.requests)
    assert load.total(Measure.UNITS) == pytest.approx(expected.units)
    assert load.total(Measure.REQUESTED) == pytest.approx(expected.writes)
    assert load.total(Measure.WRITES) == pytest.approx(expected.writes)
    assert load.total(Measure.SENT) == pytest.approx(expected.messages)
    assert load.total(Measure.RECEIVED) == pytest.approx(expected.messages)
    assert load.total(Measure.CALLS) == pytest.approx(expected.calls)
    assert load.total(Measure.ENTITIES) == pytest.approx(expected.entities)
    assert sum(sum(series.values()) for series in load.sources.values()) == sum(s.mis_requests for s in schools)


def test_nothing_is_written_before_it_is_asked_for(first: Load) -> None:
    asked = written = 0.0
    for bucket in range(first.done // timedelta(seconds=BUCKET)):
        asked += first.series[Measure.REQUESTED].get(bucket, 0.0)
        written += first.series[Measure.WRITES].get(bucket, 0.0)
        assert written <= asked + 1e-3


# --- the first night of the year


def test_what_is_over_graphs_limits_waits_and_the_limits_are_never_passed(first: Load) -> None:
    refused = {check.limit for check in first.checks() if not check.fits}
    assert {APP_WRITES, TENANT_WRITES} <= refused
    app, tenant = GRAPH_SHARE * APP_WRITES.amount, GRAPH_SHARE * TENANT_WRITES.amount
    assert 0.99 * app < peak(first.series[Measure.WRITES], APP_WRITES.seconds) <= app + 1e-3
    assert 0.99 * tenant < first.tenant_peak(Measure.WRITES, TENANT_WRITES.seconds) <= tenant + 1e-3


def test_one_tenant_alone_goes_on_at_its_own_pace() -> None:
    schools = [replace(SECONDARY, classes=600)] * 10
    load = simulate(schools, PLAUSIBLE, FIRST, AT_ONCE)
    windows = 600 * 10 * PLAUSIBLE.created.writes / (GRAPH_SHARE * TENANT_WRITES.amount)
    assert windows - 1 < load.done / timedelta(seconds=TENANT_WRITES.seconds) < windows + 1


def test_who_waits_keeps_instances_up_to_the_maximum_and_that_is_billed() -> None:
    schools = [replace(SECONDARY, classes=600)] * 40
    load = simulate(schools, PLAUSIBLE, FIRST, AT_ONCE)
    assert peak(load.instances(waiting=True)) >= INSTANCES.amount
    assert load.gb_seconds > 2 * BUCKET * 2 * sum(load.instances().values())


def test_a_window_is_found_in_which_a_first_night_fits(region: tuple[School, ...], first: Load) -> None:
    window, load = first_night(region, PLAUSIBLE)
    checks = {check.limit: check.fits for check in load.checks()}
    assert timedelta(hours=1) < window < timedelta(hours=24)
    assert checks[APP_WRITES] and checks[BUS_CREDITS]
    assert load.total(Measure.WRITES) == pytest.approx(first.total(Measure.WRITES))


# --- counting


def test_a_plan_reads_no_faster_than_a_partition_gives_and_renews_its_lock() -> None:
    load = simulate([replace(SECONDARY, pupils=100_000, classes=0)], PLAUSIBLE, Night(), timedelta(hours=1))
    reading = timedelta(seconds=130_000 / PARTITION_ENTITIES.amount)
    assert reading < load.done < reading + timedelta(seconds=2 * BUCKET)
    assert load.tenant_peak(Measure.ENTITIES) == pytest.approx(PARTITION_ENTITIES.amount * BUCKET, rel=1e-3)
    assert load.total(Measure.RENEWALS) == 2
    assert sum(load.credits.values()) == pytest.approx(2 * 2 + 2 * RENEWAL_CREDITS)


@given(st.dictionaries(st.integers(0, 40), st.integers(0, 100).map(float)), st.integers(1, 8))
def test_a_peak_is_the_most_in_any_window(series: dict[int, float], buckets: int) -> None:
    windows = [sum(series.get(at + place, 0.0) for place in range(buckets)) for at in range(-8, 41)]
    assert peak(series, buckets * BUCKET) == max(windows)


def test_a_limit_that_is_passed_is_said_to_be() -> None:
    limit = Limit("Doors", 10, 1)
    assert [Check(limit, most).fits for most in (9.9, 10, 10.1)] == [True, True, False]
    assert [str(Check(limit, most)) for most in (10, 11)] == ["10", "**11: no**"]
    assert Check(SOURCE_REQUESTS, 1e9).fits
    assert [str(limit), str(TENANT_WRITES), str(INSTANCES)] == ["10 / s", "3,000 / 150 s", "100"]
    assert str(SOURCE_REQUESTS) == "none published"


def test_nights_stand_side_by_side(first: Load) -> None:
    head, _, *rows = limits_table({"one": Load(), "two": first}).splitlines()
    assert head == "| at its peak | limit | one | two |"
    row = next(row for row in rows if APP_WRITES.name in row)
    assert row.startswith(f"| {APP_WRITES.name} | 70,000 / 300 s | 0 | **") and row.endswith(": no** |")


def test_each_limit_that_is_passed_is_named_with_what_helps(first: Load) -> None:
    told = remedies({"one": Load(), "two": first, "three": first})
    passed = [check.limit for check in first.checks() if not check.fits]
    assert told == " ".join(f"*{limit.name}* (two; three) — {limit.remedy}." for limit in passed)
    assert all(check.limit.remedy for check in first.checks() if check.limit != SOURCE_REQUESTS)
    assert remedies({"one": Load()}) == "nothing."


# --- money


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(), BUS_BASE),
        (Usage(bus_operations=13e6, gb_seconds=100_000, executions=250_000, log_gb=5), BUS_BASE),
        (Usage(bus_operations=14e6), BUS_BASE + 0.80),
        (Usage(bus_operations=102e6), BUS_BASE + 87 * 0.80 + 2 * 0.50),
        (Usage(bus_operations=2_501e6), BUS_BASE + 87 * 0.80 + 2_400 * 0.50 + 0.20),
        (Usage(gb_seconds=1_100_000), BUS_BASE + 26),
        (Usage(executions=1_250_000), BUS_BASE + 0.40),
        (Usage(table_calls=10_000_000, table_gb=100), BUS_BASE + 0.36 + 4.50),
        (Usage(log_gb=6), BUS_BASE + 2.76),
    ],
)
def test_what_a_month_costs(usage: Usage, dollars: float) -> None:
    assert bill(usage).total == pytest.approx(dollars)


def test_a_month_is_thirty_nights_and_the_twelfth_part_of_the_first_of_the_year() -> None:
    ordinary, first = (simulate([SECONDARY], PLAUSIBLE, night) for night in (ORDINARY, FIRST))
    usage = month([SECONDARY], ordinary, first)
    messages = 30 * (2 + 22.7) + (2 + 3 * 227) / 12
    assert usage.bus_operations == pytest.approx(3 * messages)
    assert usage.executions == pytest.approx(messages + 30)
    assert usage.gb_seconds == pytest.approx(30 * ordinary.gb_seconds + first.gb_seconds / 12)
    assert bill(usage).total == pytest.approx(BUS_BASE, abs=0.01)


def test_the_section_says_what_fits_what_does_not_and_what_it_costs() -> None:
    told = section(run(PLAUSIBLE, make_nation(300, 50)))
    assert "300 schools in 50 tenants" in told
    assert "| changed | 4 | 5 | 2 | 1 | 2.1 | 4 | 0.45 |" in told
    assert "| a month | the nation | one secondary | trust of 50 | vendor |" in told
    assert "| schools, tenants | 300, 50 | 1, 1 | 50, 1 | 2,000, 333 |" in told
    assert ": no** |" in told
    assert f"*{TENANT_WRITES.name}* (first of the year, 60 min; first of the year, 1 h) — " in told
