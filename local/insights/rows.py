"""The exporter's telemetry as rows of the tables that queries read ("Azure Monitor Logs reference")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DURATION = re.compile(r"(?:(\d+)\.)?(\d\d):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a workspace table."""

    table: str
    columns: Mapping[str, Any]


def row_of(envelope: Mapping[str, Any]) -> Row | None:
    """The row of an envelope; None if it is not an event, request, dependency, trace or exception."""
    tags, kind, data = envelope.get("tags", {}), envelope["data"]["baseType"], envelope["data"]["baseData"]
    shared = {
        "TimeGenerated": envelope["time"],
        "OperationId": tags.get("ai.operation.id", ""),
        "ParentId": tags.get("ai.operation.parentId", ""),
        "OperationName": tags.get("ai.operation.name", ""),
        "Properties": data.get("properties") or {},
    }
    match kind:
        case "EventData":
            return Row("AppEvents", shared | {"Name": data["name"]})
        case "RequestData":
            return Row("AppRequests", shared | _timed(data) | {"ResultCode": data["responseCode"]})
        case "RemoteDependencyData":
            more = {"DependencyType": data.get("type"), "Target": data.get("target"), "Data": data.get("data")}
            return Row("AppDependencies", shared | _timed(data) | more | {"ResultCode": data["resultCode"]})
        case "MessageData":
            return Row("AppTraces", shared | {"Message": data["message"]})
        case "ExceptionData":
            return Row("AppExceptions", shared | {"Details": data["exceptions"]})
    return None


def _timed(data: Mapping[str, Any]) -> dict[str, Any]:
    match = _DURATION.fullmatch(data["duration"])
    assert match
    days, hours, minutes, seconds = match.groups()
    milliseconds = 1000 * (float(seconds) + 60 * (int(minutes) + 60 * (int(hours) + 24 * int(days or 0))))
    return {"Name": data["name"], "Id": data["id"], "Success": data["success"], "DurationMs": milliseconds}
