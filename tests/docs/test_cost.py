"""The arithmetic of docs/cost.md: counts are the benchmark's, prices and sums those of bench/books.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import books
from bench.books import Usage, bill

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")


def _row(page: str, name: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip().strip("*") for cell in line.strip("|").split("|")][1:]


def _figures(page: str, name: str) -> list[float]:
    """Of the three customers, who stand last in every table; millions written out."""
    return [
        float(cell.removesuffix(" M").lstrip("$").replace(",", "")) * (1e6 if cell.endswith(" M") else 1)
        for cell in _row(page, name)[-3:]
    ]


def _usages() -> list[Usage]:
    """What the page counts, as the benchmark's books take it."""
    night, timer = _figures(PAGE, "GB-seconds of the night"), _figures(PAGE, "GB-seconds of the drop's timer")
    runs, ticks = _figures(PAGE, "executions of the night"), _figures(PAGE, "executions of the drop's timer")
    return [
        Usage(
            bus_operations=_figures(PAGE, "operations of Service Bus")[at],
            gb_seconds=night[at] + timer[at],
            executions=runs[at] + ticks[at],
            table_calls=_figures(PAGE, "table transactions")[at],
            table_gb=_figures(PAGE, "GB in tables")[at],
            log_gb=_figures(PAGE, "GB of logs")[at],
        )
        for at in range(3)
    ]


@pytest.mark.parametrize(
    ("ours", "measured"),
    [
        ("operations of Service Bus", "operations of Service Bus"),
        ("GB-seconds of the night", "GB-seconds of Functions"),
    ],
)
def test_the_counts_are_those_of_the_benchmark(ours: str, measured: str) -> None:
    assert _figures(PAGE, ours) == pytest.approx(_figures(RESULTS, measured), rel=0.01)


def test_messages_operations_executions_and_logs_follow_from_the_nights() -> None:
    ordinary = _figures(PAGE, "messages of an ordinary night")
    first = _figures(PAGE, "messages of the first night of the year")
    messages = [books.NIGHTS * night + begins / 12 for night, begins in zip(ordinary, first, strict=True)]
    executions = [usage.executions for usage in _usages()]
    assert _figures(PAGE, "messages") == pytest.approx(messages, abs=1)
    assert _figures(PAGE, "operations of Service Bus") == pytest.approx([3 * many for many in messages], abs=3)
    assert _figures(PAGE, "executions of the night") == pytest.approx([many + books.NIGHTS for many in messages], abs=1)
    assert _figures(PAGE, "GB of logs") == pytest.approx([books.LOG_KB * many / 1e6 for many in executions], abs=0.01)


def test_the_bill_is_what_the_counts_cost_at_the_benchmarks_prices() -> None:
    bills = [bill(usage) for usage in _usages()]
    rows = {
        "service_bus": ["Service Bus Standard, 13 M operations included"],
        "functions": ["GB-seconds beyond 100,000", "executions beyond 250,000"],
        "tables": ["transactions of Tables", "what stands in Tables, a GB"],
        "logs": ["GB of logs beyond 5"],
        "total": ["in all"],
    }
    for part, names in rows.items():
        told = [sum(amounts) for amounts in zip(*(_figures(PAGE, name) for name in names), strict=True)]
        assert told == pytest.approx([getattr(one, part) for one in bills], abs=0.011), part


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("GB-seconds beyond 100,000", f"${books.GB_SECOND:.6f}"),
        ("executions beyond 250,000", f"${books.EXECUTION * 1e6:.2f} a million"),
        ("transactions of Tables", f"${books.TABLE_CALL * 10_000:.5f} for 10,000"),
        ("what stands in Tables, a GB", f"${books.TABLE_GB}"),
        ("GB of logs beyond 5", f"${books.LOG_GB}"),
    ],
)
def test_the_prices_are_those_of_the_benchmark(name: str, price: str) -> None:
    assert _row(PAGE, name)[0] == price
    assert books.PRICES_OF in PAGE
