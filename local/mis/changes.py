"""When each record of a vendor's server changed, found by comparing the records with those of the last comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Record = dict[str, Any]

_SPACING = timedelta(hours=7)
"""The time between the changes of two records that were there from the start."""


@dataclass(slots=True)
class Changes:
    """The changes of one server. `now` is its clock; `hard` makes it forget deleted records, as some vendors do."""

    now: Callable[[], datetime]
    hard: bool = False
    _known: dict[str, dict[str, tuple[Record, datetime, bool]]] = field(default_factory=dict)

    def note(self, collection: str, records: Iterable[Record], id_: str) -> None:
        """Compare with `records`, which are all of the collection now; `id_` names the field of their id."""
        moment, first = self.now(), collection not in self._known
        known = self._known.setdefault(collection, {})
        current = {record[id_]: record for record in records}
        for number, (key, record) in enumerate(current.items()):
            if key not in known or known[key][0] != record or known[key][2]:
                known[key] = (record, moment - _SPACING * (number + 1) if first else moment, False)
        for key in known.keys() - current.keys():
            if self.hard:
                del known[key]
            elif not known[key][2]:
                known[key] = (known[key][0], moment, True)

    def of(self, collection: str, deleted: bool) -> list[tuple[Record, datetime]]:
        """The deleted records, or else the current ones, each with the time of its last change."""
        known = self._known.get(collection, {})
        return [(record, moment) for record, moment, gone in known.values() if gone is deleted]
