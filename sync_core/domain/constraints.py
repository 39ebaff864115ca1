"""Markers that `annotated_types` does not have. pydantic finds their hooks by name: the domain does not import it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

FORM = {"extra": "forbid"}
"""The `__pydantic_config__` of a dataclass that people send: an unknown key is a fault."""
WHOLE_FORM = {**FORM, "validate_default": True}
"""The same of a dataclass whose fields are checked with each other: what is left out is checked, too."""

_Handler = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Text:
    """A text of this pattern, once it is stripped and lowered. `form` says in words what it should be."""

    pattern: str
    form: str
    strip: bool = True
    lower: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: _Handler) -> dict[str, Any]:
        text = handler(source) | {"strip_whitespace": self.strip, "to_lower": self.lower}
        return {"type": "function-after", "function": {"type": "no-info", "function": self._check()}, "schema": text}

    def __get_pydantic_json_schema__(self, schema: Any, handler: _Handler) -> dict[str, Any]:
        return handler(schema) | {"pattern": self.pattern}

    def _check(self) -> Callable[[str], str]:
        matches = re.compile(self.pattern.removesuffix("$") + r"\Z").match

        def checked(text: str) -> str:
            if not matches(text):
                raise ValueError(f"should be {self.form}")
            return text

        return checked


CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""For a class of characters in a pattern: what ends a line, is not shown, or turns the direction of a text."""
PRINTABLE = Text(rf"^[^{CONTROLS}]*$", "text on one line, without control characters")
CLASS_NAME = Text(rf"^[^{CONTROLS}&*?|{{}}+]*$", "text on one line, without any of & * ? | { } +")
"""The display name of a class: with an & in it, Microsoft 365 was reported to make no mailbox (domain/nicknames)."""


@dataclass(frozen=True, slots=True)
class Exact:
    """A number or a truth value as JSON has it, and not a text, or another type, that could be read as one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: _Handler) -> dict[str, Any]:
        return handler(source) | {"strict": True}


def _each_once(values: Any) -> Any:
    texts = [value for value in values if isinstance(value, str)] if isinstance(values, list | tuple) else []
    if len(set(texts)) < len(texts):
        raise ValueError("has a value twice")
    return values


@dataclass(frozen=True, slots=True)
class EachOnce:
    """A list of texts, none of which is there twice."""

    def __get_pydantic_core_schema__(self, source: Any, handler: _Handler) -> dict[str, Any]:
        function = {"type": "no-info", "function": _each_once}
        return {"type": "function-before", "function": function, "schema": handler(source)}

    def __get_pydantic_json_schema__(self, schema: Any, handler: _Handler) -> dict[str, Any]:
        return handler(schema) | {"uniqueItems": True}


@dataclass(frozen=True, slots=True)
class Checked:
    """A value as `check` returns it. `check` raises ValueError with a message that does not quote the value."""

    check: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: _Handler) -> dict[str, Any]:
        function = {"type": "no-info", "function": self.check}
        return {"type": "function-after", "function": function, "schema": handler(source)}


@dataclass(frozen=True, slots=True)
class CheckedWith:
    """A value that `check` compares with that of the field `other`, which the form has before it.

    `check` raises ValueError with a message that quotes no value. While `other` has a fault of its own, this one is not
    known to have any.
    """

    other: str
    check: Callable[[Any, Any], None]

    def __get_pydantic_core_schema__(self, source: Any, handler: _Handler) -> dict[str, Any]:
        function = {"type": "with-info", "function": self._checked}
        return {"type": "function-after", "function": function, "schema": handler(source)}

    def _checked(self, value: Any, info: Any) -> Any:
        if self.other in info.data:
            self.check(value, info.data[self.other])
        return value


_UK_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


def _day(value: Any) -> Any:
    """A date for text like 31/07/2027 (day, month, year, as in the UK). Everything else is left to the next check."""
    if not isinstance(value, str) or not (written := _UK_DATE.fullmatch(value.strip())):
        return value
    day, month, year = map(int, written.groups())
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError("there is no such day; write the day, the month and the year, such as 31/07/2027") from None


@dataclass(frozen=True, slots=True)
class UkDate:
    """A date in the form 31/07/2027 as well as 2027-07-31."""

    def __get_pydantic_core_schema__(self, source: Any, handler: _Handler) -> dict[str, Any]:
        function = {"type": "no-info", "function": _day}
        return {"type": "function-before", "function": function, "schema": handler(source)}


@dataclass(frozen=True, slots=True)
class InOrder:
    """A set that JSON lists in the order of its values: the same set is always the same text."""

    def __get_pydantic_core_schema__(self, source: Any, handler: _Handler) -> dict[str, Any]:
        schema = handler(source)
        listed = {"type": "list", "items_schema": schema["items_schema"]}
        ordered = {"type": "function-plain", "function": sorted, "return_schema": listed, "when_used": "json"}
        return schema | {"serialization": ordered}


@dataclass(frozen=True, slots=True)
class Meaning:
    """A field's description in the API's OpenAPI document."""

    text: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: _Handler) -> dict[str, Any]:
        return handler(schema) | {"description": self.text}
