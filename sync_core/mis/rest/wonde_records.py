"""Wonde's JSON: the fields that the app reads. Wonde returns more, even names, and cannot be asked for less."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from sync_core.domain.school.sources import WondeEmail
from sync_core.mis.records import Part, Schema, Unexpected, if_text, text

EMAIL, MAIN = "contact_details", "meta"
"""The fields that become the chosen address of a person, and whether a teacher is the main one (`true`)."""


def _within(value: object, *path: str) -> object:
    """The value at a path of fields. None if one is missing, null, or the empty list that PHP makes of nothing."""
    for name in path:
        if value is None or value == []:
            return None
        if not isinstance(value, dict):
            raise Unexpected(f"is not an object with the field {name}")
        value = value.get(name)
    return value


def _email(wanted: Iterable[WondeEmail], details: object) -> str:
    """The first of the wanted addresses; empty if there is none."""
    return next(filter(None, (text(_within(details, "data", "emails", name)) for name in wanted)), "")


def _main(meta: object) -> str:
    main = _within(meta, "is_main_teacher")
    if main is None or isinstance(main, bool):
        return text(main)
    raise Unexpected("has an is_main_teacher that is neither true nor false")


def _people(value: object) -> Sequence[object]:
    listed = value.get("data") if isinstance(value, dict) else None
    if not isinstance(listed, list) or not all(isinstance(person, dict) for person in listed):
        raise Unexpected("is not a list")
    return listed


def person_of(emails: Iterable[WondeEmail]) -> Schema:
    """The schema of people whose address is the first of `emails` that they have."""
    return Schema({"id": text, "mis_id": text, EMAIL: partial(_email, tuple(emails))})


ID = Schema({"id": text})
PERSON = person_of(())
SCHOOL = Schema({"id": text, "name": text, "la_code": text, "establishment_number": text})
GROUP = Schema(
    {"id": text, "type": text, "name": text, "code": text, "description": text, "subject": if_text(text)},
    {
        "students": Part(Schema({"id": text, "mis_id": text}), _people),
        "employees": Part(Schema({"id": text, "mis_id": text, MAIN: _main}), _people),
    },
)
