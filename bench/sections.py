"""The sections of the results in order: each benchmark is a module with `run()` and `section(result)`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial


def _measured(module: str) -> str:
    """Imports the benchmark only in the process that runs it."""
    benchmark = importlib.import_module(f"bench.{module}")
    return str(benchmark.section(benchmark.run()))


SECTIONS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("First night", partial(_measured, "first_night")),
    ("Quiet night", partial(_measured, "quiet_night")),
    ("Write limit", partial(_measured, "write_limit")),
    ("A first night at the limit", partial(_measured, "night_at_limit")),
    ("Webhook events", partial(_measured, "webhook_latency")),
    ("Replication lag", partial(_measured, "replication_lag")),
    ("Cold start", partial(_measured, "cold_start")),
    ("Planning", partial(_measured, "planning")),
    ("A webhook of one group", partial(_measured, "group_event")),
    ("A trust in one set", partial(_measured, "trust")),
    ("A school year", partial(_measured, "school_year")),
    ("Pages of the console", partial(_measured, "console_pages")),
    ("A nation in one night", partial(_measured, "cost_model")),
)
