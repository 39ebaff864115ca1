"""The Config.json of Microsoft's Service Bus emulator, so that one file serves either: queues and their properties."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ConfigError(Exception):
    """A Config.json that cannot be followed, with the place in it."""


@dataclass(frozen=True, slots=True)
class QueueProperties:
    """A queue as configured; times are in seconds."""

    name: str
    lock_duration: float = 60.0
    max_delivery_count: int = 10
    time_to_live: float | None = None
    dead_letter_expired: bool = False
    duplicate_window: float | None = None
    requires_session: bool = False


_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_KNOWN = {
    "LockDuration",
    "MaxDeliveryCount",
    "DefaultMessageTimeToLive",
    "DeadLetteringOnMessageExpiration",
    "RequiresDuplicateDetection",
    "DuplicateDetectionHistoryTimeWindow",
    "RequiresSession",
    "ForwardTo",
    "ForwardDeadLetteredMessagesTo",
}


def read_config(path: Path) -> list[QueueProperties]:
    """The queues of the file's one namespace. Raises ConfigError."""
    try:
        config = json.loads(_COMMENT.sub(lambda match: match[1] or "", path.read_text(encoding="utf-8")))
        namespaces = config["UserConfig"]["Namespaces"]
        queues = namespaces[0].get("Queues", [])
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path.name} is no emulator configuration ({error!r})") from None
    if len(namespaces) != 1:
        raise ConfigError(f"{path.name}: the emulator has one namespace, not {len(namespaces)}")
    return [_queue(queue["Name"], queue.get("Properties", {})) for queue in queues]


def _queue(name: str, properties: Mapping[str, Any]) -> QueueProperties:
    unknown = sorted(properties.keys() - _KNOWN)
    if unknown:
        raise ConfigError(f"queue {name}: unknown property {unknown[0]}; known are {', '.join(sorted(_KNOWN))}")
    for forward in ("ForwardTo", "ForwardDeadLetteredMessagesTo"):
        if properties.get(forward):
            raise ConfigError(f"queue {name}: {forward} is not supported here; leave it empty")
    lock = _seconds(name, "LockDuration", properties.get("LockDuration", "PT1M"))
    if not 0 < lock <= 300:
        raise ConfigError(f"queue {name}: LockDuration is more than nothing and at most five minutes")
    ttl = properties.get("DefaultMessageTimeToLive")
    window = properties.get("DuplicateDetectionHistoryTimeWindow", "PT10M")
    return QueueProperties(
        name=name,
        lock_duration=lock,
        max_delivery_count=int(properties.get("MaxDeliveryCount", 10)),
        time_to_live=_seconds(name, "DefaultMessageTimeToLive", ttl) if ttl else None,
        dead_letter_expired=bool(properties.get("DeadLetteringOnMessageExpiration", False)),
        duplicate_window=(
            _seconds(name, "DuplicateDetectionHistoryTimeWindow", window)
            if properties.get("RequiresDuplicateDetection")
            else None
        ),
        requires_session=bool(properties.get("RequiresSession", False)),
    )


def _seconds(queue: str, name: str, text: str) -> float:
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        raise ConfigError(f"queue {queue}: {name} {text!r} is no ISO 8601 duration such as PT1M")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
