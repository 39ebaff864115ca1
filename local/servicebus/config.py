"""The Config.json of Microsoft's Service Bus emulator, so that one file works with both: queues and properties."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal

_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


class ConfigError(Exception):
    """A Config.json that is not valid; the message names the places in it."""


class QueueProperties(BaseModel):
    """A queue as configured; the defaults are those of the emulator. Forwarding is not supported here."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_pascal, populate_by_name=True)

    lock_duration: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(minutes=5))] = timedelta(minutes=1)
    max_delivery_count: Annotated[int, Field(ge=1)] = 10
    default_message_time_to_live: timedelta | None = None
    dead_lettering_on_message_expiration: bool = False
    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: timedelta = timedelta(minutes=10)
    requires_session: bool = False
    forward_to: Literal[""] = ""
    forward_dead_lettered_messages_to: Literal[""] = ""


class _Queue(BaseModel):
    Name: str
    Properties: QueueProperties = QueueProperties()


class _Namespace(BaseModel):
    Queues: list[_Queue] = []


class _UserConfig(BaseModel):
    Namespaces: Annotated[list[_Namespace], Field(min_length=1, max_length=1)]


class _Config(BaseModel):
    UserConfig: _UserConfig


def read_config(path: Path) -> dict[str, QueueProperties]:
    """The queues of the file's one namespace by name. Raises ConfigError."""
    try:
        raw = json.loads(_COMMENT.sub(lambda match: match[1] or "", path.read_text(encoding="utf-8")))
        config = _Config.model_validate(raw)
    except (OSError, ValidationError, ValueError) as error:
        raise ConfigError(f"{path.name} is no emulator configuration: {error}") from None
    return {queue.Name: queue.Properties for queue in config.UserConfig.Namespaces[0].Queues}
