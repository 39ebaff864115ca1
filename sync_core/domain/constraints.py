"""Markers that `annotated_types` does not have. pydantic finds their hooks by name: the domain does not import it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FORM = {"extra": "forbid"}
"""The `__pydantic_config__` of a dataclass that people send: an unknown key is a fault."""

_Handler = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Text:
    """A text of this pattern, once it is stripped and lowered."""

    pattern: str
    strip: bool = True
    lower: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: _Handler) -> dict[str, Any]:
        return handler(source) | {"pattern": self.pattern, "strip_whitespace": self.strip, "to_lower": self.lower}


PRINTABLE = Text(r"^[^\x00-\x1f\x7f]*$")
CLASS_NAME = Text(r"^[^\x00-\x1f\x7f&*?|{}+]*$")
"""The display name of a class: with an & in it, Microsoft 365 was reported to make no mailbox (domain/nicknames)."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A value as `check` returns it. `check` raises ValueError with a message that does not quote the value."""

    check: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: _Handler) -> dict[str, Any]:
        function = {"type": "no-info", "function": self.check}
        return {"type": "function-after", "function": function, "schema": handler(source)}


@dataclass(frozen=True, slots=True)
class Meaning:
    """A field's description in the API's OpenAPI document."""

    text: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: _Handler) -> dict[str, Any]:
        return handler(schema) | {"description": self.text}
