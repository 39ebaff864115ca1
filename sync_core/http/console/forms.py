"""Forms that people fill in: read into what a use case takes, or the faults of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData

from sync_core.errors import faults_of

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True)
class FieldFault:
    """A fault of one field, by its name."""

    field: str
    text: str


def texts_of(form: FormData) -> dict[str, str]:
    """The texts that were sent, to fill the form in as it was; files are left out."""
    return {name: value for name, value in form.items() if isinstance(value, str)}


def read_form(kind: type[_Kind], sent: Mapping[str, str]) -> _Kind | tuple[FieldFault, ...]:
    """`kind` is a dataclass whose constraints hold. A field that is left empty has its default."""
    assert is_dataclass(kind)
    filled = {each.name: sent[each.name] for each in fields(kind) if sent.get(each.name, "").strip()}
    try:
        return TypeAdapter(kind).validate_python(filled)
    except ValidationError as error:
        return tuple(_fault(faults_of([each])) for each in error.errors())


def _fault(text: str) -> FieldFault:
    field, _, what = text.partition(": ")
    return FieldFault(field, what)
