"""host.json, parsed once. An unknown key is refused by name, because Azure would silently ignore a typo."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.host.refusal import StartRefused

_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):([0-5]?\d):([0-5]?\d)(\.\d{1,7})?")

# https://learn.microsoft.com/azure/azure-functions/functions-host-json
_TOP = {
    "$schema", "version", "aggregator", "applicationInsights", "concurrency", "customHandler", "extensionBundle",
    "extensions", "functions", "functionTimeout", "healthMonitor", "logging", "managedDependency", "retry",
    "singleton", "telemetryMode", "watchDirectories", "watchFiles",
}  # fmt: skip
_HTTP = {"customHeaders", "dynamicThrottlesEnabled", "hsts", "maxConcurrentRequests", "maxOutstandingRequests",
         "routePrefix"}  # fmt: skip
# https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings, extension 5.x
_SERVICE_BUS = {
    "autoCompleteMessages", "clientRetryOptions", "enableCrossEntityTransactions", "maxAutoLockRenewalDuration",
    "maxBatchWaitTime", "maxConcurrentCalls", "maxConcurrentCallsPerSession", "maxConcurrentSessions",
    "maxMessageBatchSize", "minMessageBatchSize", "prefetchCount", "sessionIdleTimeout", "transportType", "webProxy",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServiceBusOptions:
    """How messages are pumped. Times are in seconds."""

    max_auto_lock_renewal: float = 300.0
    max_concurrent_calls: int = 16
    max_concurrent_sessions: int = 8
    # Without a setting, Azure keeps an idle session for the client's try time-out.
    session_idle_timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class HostOptions:
    """The settings of host.json that the host uses. `function_timeout` is in seconds, None for no limit."""

    route_prefix: str = "api"
    function_timeout: float | None = 1800.0
    service_bus: ServiceBusOptions = ServiceBusOptions()


def load_host_json(path: Path) -> HostOptions:
    """The options of the host.json at `path`. Raises StartRefused for a missing file, an unknown key or a bad value."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartRefused(f"cannot be read: {error}", str(path), 'Write at least {"version": "2.0"}.') from error
    root = _Section(content, str(path))
    root.only(_TOP)
    if root.values.get("version") != "2.0":
        raise StartRefused("version must be 2.0", str(path), 'Write "version": "2.0".')
    extensions = root.section("extensions")
    extensions.only({"http", "serviceBus"})
    http = extensions.section("http")
    http.only(_HTTP)
    bus = extensions.section("serviceBus")
    bus.only(_SERVICE_BUS)
    _refuse_unsupported(bus)
    default = ServiceBusOptions()
    return HostOptions(
        route_prefix=http.text("routePrefix", "api").strip("/"),
        function_timeout=root.limit("functionTimeout", HostOptions().function_timeout),
        service_bus=ServiceBusOptions(
            max_auto_lock_renewal=bus.seconds("maxAutoLockRenewalDuration", default.max_auto_lock_renewal),
            max_concurrent_calls=bus.count("maxConcurrentCalls", default.max_concurrent_calls),
            max_concurrent_sessions=bus.count("maxConcurrentSessions", default.max_concurrent_sessions),
            session_idle_timeout=bus.seconds("sessionIdleTimeout", default.session_idle_timeout),
        ),
    )


def _refuse_unsupported(bus: "_Section") -> None:
    for key, supported in (("autoCompleteMessages", True), ("maxConcurrentCallsPerSession", 1), ("prefetchCount", 0)):
        if bus.values.get(key, supported) != supported:
            raise StartRefused(
                f"{key} is {json.dumps(bus.values[key])}; the local host supports only {json.dumps(supported)}",
                bus.where,
                f"Leave {key} out.",
            )


@dataclass(frozen=True, slots=True)
class _Section:
    values: Mapping[str, Any]
    where: str

    def __post_init__(self) -> None:
        if not isinstance(self.values, dict):
            raise StartRefused("is not a JSON object", self.where, "Write {…} there.")

    def only(self, known: set[str]) -> None:
        unknown = sorted(self.values.keys() - known)
        if unknown:
            raise StartRefused(
                f"unknown {'key' if len(unknown) == 1 else 'keys'} {', '.join(unknown)}",
                self.where,
                f"Known are: {', '.join(sorted(known))}.",
            )

    def section(self, key: str) -> "_Section":
        return _Section(self.values.get(key, {}), f"{self.where} {key}")

    def text(self, key: str, default: str) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise StartRefused(f"{key} is not a string", self.where, f"Write {key} in quotes.")
        return value

    def count(self, key: str, default: int) -> int:
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise StartRefused(f"{key} is not a whole number from 1", self.where, f"Write {key} as 1 or more.")
        return value

    def seconds(self, key: str, default: float) -> float:
        if key not in self.values:
            return default
        match = _TIME_SPAN.fullmatch(self.text(key, ""))
        if match is None or int(match.group(2)) > 23:
            raise StartRefused(
                f"{key} is not a time span", self.where, f'Write {key} as "hh:mm:ss", or "hh:mm:ss.fff".'
            )
        days, hours, minutes, seconds, fraction = match.groups()
        return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(fraction or 0)

    def limit(self, key: str, default: float | None) -> float | None:
        return None if self.values.get(key) == "-1" else self.seconds(key, default or 0.0)
