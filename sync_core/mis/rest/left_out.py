"""Records of a vendor's server that are left out, because they cannot be understood: few are noted, many reject."""

from __future__ import annotations

from collections import Counter, defaultdict

from sync_core.mis.files.strict_csv import Row, rejection

_MOST = 20
_SHARE = 0.02
_SHOWN = 3


class LeftOut:
    """Collects the records left out of each list, by its name, and the number of all its records."""

    def __init__(self) -> None:
        self._read: Counter[str] = Counter()
        self._shown: dict[str, list[str]] = defaultdict(list)

    def count(self, name: str, records: int = 1) -> None:
        self._read[name] += records

    def add(self, name: str, row: Row, column: str, reason: str) -> None:
        """`reason` holds ids only."""
        self._shown[name].append(f'{row.location}, column "{column}": {reason}')

    def raise_if_many(self) -> None:
        """Raises SnapshotRejected if all of several records are left out, or more than _MOST and _SHARE of a list."""
        for name, rows in self._shown.items():
            total = self._read[name]
            if len(rows) == total > 1 or (len(rows) > _MOST and len(rows) > _SHARE * total):
                raise rejection(
                    f"{len(rows)} of {total} {name} cannot be understood: {'; '.join(rows[:_SHOWN])}",
                    "correct the records in the MIS, or have the vendor give the token the scopes for all of them",
                )

    def notes(self) -> tuple[str, ...]:
        """A sentence on each list that has records left out, with the first of them."""
        return tuple(
            f"left out {len(rows)} of {self._read[name]} {name}: {'; '.join(rows[:_SHOWN])} — correct this in the MIS"
            for name, rows in self._shown.items()
        )
