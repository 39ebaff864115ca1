"""What the use cases need of a school's MIS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sync_core.domain.roster import Snapshot
from sync_core.domain.school import FileDrop, SchoolSettings


class MisSource(Protocol):
    """Where a school's groups and people come from."""

    async def snapshot(self, settings: SchoolSettings) -> Snapshot:
        """The school as it is now, whole. Raises SnapshotRejected."""


@dataclass(frozen=True, slots=True)
class NewestExportSet:
    """The newest whole set of a drop: its fingerprint, the same wherever it was put since.

    `missing` is why a newer one is not whole, and empty where there is none.
    """

    fingerprint: str
    missing: str = ""


class FileDrops(Protocol):
    """Where sets of files are dropped. Raises SnapshotRejected for what no waiting mends, else Transient."""

    async def newest(self, drop: FileDrop) -> NewestExportSet: ...

    async def archive(self, drop: FileDrop, upto: str) -> int:
        """Move that set, and those before it that are whole, to where they are still read but not taken for new.

        What was overwritten meanwhile stays. Returns how many were moved.
        """
