"""Every number of docs/cost.md and of the cost section of bench/RESULTS.md comes from the cost model."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bench import cost_model as model
from bench.cost_model import CHANGED, CREATED, PLAN, REFRESH, SECONDARY, TICKS, Usage, bill, usage
from tests.infra.bicep import ROOT, text

PAGE = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
ONE = usage(SECONDARY)
NIGHT, FIRST = SECONDARY.ordinary, SECONDARY.first
CHANGES = model.CHANGED_SHARE * SECONDARY.classes
TICK_GB_SECONDS = model.INSTANCE_GB * model.TICK_SECONDS * TICKS
STATEMENTS = (
    f"For a school, and for a small trust, it is about ${model.total(SECONDARY):.0f} a month",
    model.counts_table(),
    model.bills_table(),
    model.extras_table(),
    f"list prices of {model.PRICES_OF}",
    f"has {SECONDARY.pupils:,} pupils",
    f"of {model.PUPILS} pupils and {model.CLASSES} classes",
    f"{model.CHANGED_SHARE:.0%} of the classes",
    f"1 + 1 + {model.CHANGED_SHARE} × {SECONDARY.classes} = {NIGHT.messages:.1f}",
    f"with {CREATED.messages} messages each (measured): 1 + 1 + 3 × {SECONDARY.classes} = {FIRST.messages}",
    f"{model.NIGHTS} ordinary nights and a twelfth",
    f"{model.NIGHTS} × {NIGHT.messages:.1f} + {FIRST.messages} ÷ 12 = {ONE.messages:.0f}",
    f"{model.OPERATIONS} × {ONE.messages:.0f} = {ONE.operations:,.0f}",
    f"{ONE.messages:.0f} + {model.NIGHTS} = {ONE.night_executions:.0f}",
    f"60 × 24 × {model.NIGHTS} = {TICKS:,}",
    f"has {model.INSTANCE_GB} GB",
    f"take {model.PLAN_SECONDS} s each",
    f"a change takes {model.CHANGE_SECONDS} s;",
    f"2 × {model.PLAN_SECONDS} + {CHANGED.seconds * CHANGES:.1f} = {NIGHT.seconds:.1f} s",
    f"2 × {model.PLAN_SECONDS} + {CREATED.seconds * SECONDARY.classes} = {FIRST.seconds} s",
    f"{model.INSTANCE_GB} × ({model.NIGHTS} × {NIGHT.seconds:.1f} + {FIRST.seconds} ÷ 12) =",
    f"{ONE.night_gb_seconds:,.0f} GB-seconds",
    f"less than {model.MEASURED_SECONDS} s (measured)",
    f"takes {model.TICK_SECONDS} s, the least",
    f"{model.INSTANCE_GB} × {TICKS:,} = {TICK_GB_SECONDS:,}",
    f"{REFRESH.table_calls} for each tenant, {PLAN.table_calls} for each school, {CHANGED.table_calls} for a changed "
    f"class and {CREATED.table_calls} for a new one (measured)",
    f"{model.ACCOUNTS.table_calls} a night for the accounts of each tenant (measured in a tenant with more than "
    f"{model.LARGE_TENANT:,}; assumed for all)",
    f"a tenant has {model.ACCOUNTS_A_PUPIL} accounts for each pupil",
    f"{model.CLASS_KB} KB for each class, {model.ACCOUNT_KB} KB for each account, {model.CHANGE_KB} KB for each change",
    f"in {model.CHANGE_DAYS} days, {model.RUN_KB} KB for each school's run in {model.RUN_DAYS} days",
    f"leases of {model.LEASES[0]} s and {model.LEASES[1]} s",
    f"60 ÷ {model.LEASES[0] / 2} + 60 ÷ {model.LEASES[1] // 2} = {model.RENEWALS:.0f} renewals a minute",
    f"{TICKS:,} × ({model.RENEWALS:.0f} + 1) = {model.HOST_READS:,.0f} reads and renewals, and {model.HOST_WRITES:,}",
    f"{model.LOG_KB} KB for each execution, of which {model.OUR_LOG_KB} KB were measured",
    f"{model.BLOB_LOG_KB} KB for each read of a blob",
    f"${model.GB_SECOND * ONE.gb_seconds:.2f} for GB-seconds, ${model.RUN_MILLION * ONE.executions / 1e6:.2f} for "
    f"executions and ${model.LOG_GB * ONE.log_gb:.2f} for logs",
    "`0 */15 * * * *`",
    f"{TICKS // 15:,} executions and {TICK_GB_SECONDS // 15:,} GB-seconds",
)


def test_every_number_of_the_page_comes_from_the_cost_model() -> None:
    rest = PAGE
    for part in STATEMENTS:
        match = re.search(r"\s+".join(map(re.escape, part.split())), rest)
        assert match, f"the page does not say: {part}"
        rest = rest[: match.start()] + rest[match.end() :]
    assert re.findall(r".*\d.*", rest) == []


def test_the_arithmetic_of_the_page_is_correct() -> None:
    sums = re.findall(r"([(\d][\d.,()+×÷ \n]+) = ([\d.,]*\d)", PAGE)
    assert len(sums) == 12
    for parts, result in sums:
        python = parts.replace("×", "*").replace("÷", "/").replace(",", "").replace("\n", " ")
        assert eval(python) == pytest.approx(float(result.replace(",", "")), rel=0.001), parts


def test_the_results_contain_the_section_of_the_cost_model() -> None:
    assert model.section(model.run()) in (ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")


def test_the_cost_model_counts_what_the_templates_deploy() -> None:
    every = re.findall(r"^    every: '(\w+)'", text("modules/portal.bicep"), re.MULTILINE)
    assert (len(every) - every.count("PT5M"), every.count("PT5M")) == (model.SLOW_ALERTS, model.FAST_ALERTS)
    assert f"param instanceMemoryMB int = {model.INSTANCE_GB * 1024}" in text("main.bicep")
    assert "param fileDropSchedule string = '0 * * * * *'" in text("main.bicep")
    assert f"param maximumInstanceCount int = {model.INSTANCES}\n" in text("main.bicep")
    (queues,) = re.findall(r"^var queueNames = \[\n(.*?)\]", text("modules/bus.bicep"), re.MULTILINE | re.DOTALL)
    assert len(queues.split()) == model.QUEUES
    assert text("modules/portal.bicep").count("Microsoft.Insights/metricAlerts") == 1
    assert len(re.findall(r"^    zone: '", text("modules/network.bicep"), re.MULTILINE)) == model.ENDPOINTS


@pytest.mark.parametrize(
    ("used", "dollars"),
    [
        (Usage(0, 0, 0, 0), 0),
        (Usage(5e6, 0, 0, 0), (15 - 13) * 0.80 + (5.04323 - 0.25) * 0.40 + (25.30255 - 5) * 2.76),
        (Usage(0, 1e6 + 13_600, 0, 0), 26),
        (Usage(0, 0, 10e6, 100), 0.36 + 4.50),
    ],
)
def test_usage_above_the_free_amounts_is_billed(used: Usage, dollars: float) -> None:
    always = 0.0135 * 730 + 10 * 0.50 + 1.50 + 3 * 0.10 + 4.32 * 0.05 + 47.52 * 0.004
    assert sum(line[2] for line in bill(used)) == pytest.approx(always + dollars, abs=0.02)


def test_a_peak_is_a_share_of_the_window_and_never_more_than_the_night() -> None:
    limit = model.Limit("writes", 10, 300, lambda night: night.writes)
    assert limit.peak(lambda one: one.first, 1) == pytest.approx(24_000 * 54 * 5 / 12 * model.PEAK)
    assert limit.peak(lambda one: one.first, 0.01) == 24_000 * 54 * 5
    in_a_tenant = replace(limit, customer=model.LARGEST)  # 100 of 24,000 schools have 6 minutes of 24 hours.
    assert in_a_tenant.peak(lambda one: one.first, 48) == pytest.approx(100 * 54 * 5 * 5 / 12 * model.PEAK)


def test_the_window_of_a_first_night_is_the_shortest_within_the_shared_limits() -> None:
    shared = [limit for limit in model.LIMITS if limit.customer is model.NATION]
    short, fitting = (max(one.peak(lambda c: c.first, model.run() - n) / one.amount for one in shared) for n in (1, 0))
    assert fitting <= 1 < short
