"""Lists as CSV files, for people with a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import Field, fields
from datetime import datetime
from typing import Annotated, Any, ClassVar, Protocol

from fastapi import Header
from fastapi.responses import Response

from sync_core.admin.overview.schools import Sign

AS_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
Accept = Annotated[str, Header(description="`text/csv` for a file that a spreadsheet opens")]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell of a formula begins with (OWASP "CSV Injection")."""


class Row(Protocol):
    """A dataclass whose fields are texts, numbers, times, truth values, or signs, or None."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def accepts_csv(accept: str) -> bool:
    return "text/csv" in accept.lower()


def csv_response(kind: type[Row], rows: Iterable[Row], file: str = "") -> Response:
    """A header with the names of the fields, and a line for each row; with `file`, the browser saves it by that name.

    A spreadsheet takes no cell for a formula.
    """
    names = [field.name for field in fields(kind)]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow(_cell(getattr(row, name)) for name in names)
    headers = {"Content-Disposition": f'attachment; filename="{file}"'} if file else None
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(timespec="seconds")
        case Sign():
            return _cell(value.text)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
