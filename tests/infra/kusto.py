"""The queries as Kusto parses them: the faults that Azure would report, and the columns of the result."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.node_packages import PACKAGES, node
from tests.infra.bicep import ROOT

QUERIES = {file.stem: file.read_text(encoding="utf-8") for file in sorted((ROOT / "infra" / "queries").glob("*.kql"))}

_SHARED = {
    "TimeGenerated": "datetime",
    "OperationId": "string",
    "ParentId": "string",
    "OperationName": "string",
    "Properties": "dynamic",
}
_TIMED = {"Name": "string", "Id": "string", "ResultCode": "string", "Success": "bool", "DurationMs": "real"}
TABLES = {
    "AppEvents": _SHARED | {"Name": "string"},
    "AppRequests": _SHARED | _TIMED,
    "AppDependencies": _SHARED | _TIMED | {"DependencyType": "string", "Target": "string", "Data": "string"},
}
"""The columns of the workspace's tables that telemetry fills ("Azure Monitor Logs reference")."""


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A parsed query: its result `columns` with their Kusto types. Azure rejects a query with `faults`."""

    faults: list[str]
    columns: dict[str, str]


def read_queries(queries: Mapping[str, str]) -> dict[str, ParsedQuery]:
    schemas = {
        table: "(" + ", ".join(f"{name}: {kind}" for name, kind in columns.items()) + ")"
        for table, columns in TABLES.items()
    }
    result = subprocess.run(
        [str(node()), str(Path(__file__).with_name("kusto.js")), str(PACKAGES)],
        input=json.dumps({"tables": schemas, "queries": dict(queries)}),
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: ParsedQuery(**fields) for name, fields in json.loads(result.stdout).items()}
