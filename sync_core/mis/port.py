"""The ports through which the use cases read a school's MIS and its file drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FileDrop


class MisSource(Protocol):
    """Reads a school's groups and people from its MIS."""

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        """The complete school as it is now, or as it was at `since` or later. Raises SnapshotRejected, Transient."""


class ReadAgain(Protocol):
    """Reads some groups of a school again, without the rest of it."""

    async def __call__(
        self, settings: SchoolSettings, whole: Snapshot, groups: Sequence[MisGroup]
    ) -> tuple[MisGroup, ...] | None:
        """These groups of `whole`, in this order, as they are now; None unless that is beyond doubt.

        `whole` is a snapshot of the school that this source read. People are not read again: a changed user name or
        address, and a new person, are found when the whole school is read, which a webhook that names people causes,
        and each night. So nobody is in a group who was in none before. Raises nothing: where a request fails, the
        reading of the whole school tells why.
        """


class DatedMis(Protocol):
    """Reads a school as it counts at another time: with the sessions and enrolments that are in force then."""

    def on(self, moment: datetime) -> MisSource:
        """The MIS at that time, as far as it knows today."""


class SourceCheck(Protocol):
    """Whether a school's MIS can be read, found out without reading the school."""

    async def reach(self, settings: SchoolSettings) -> str:
        """Sign in, and read the least that there is. Nothing is retried.

        Returns what was found, as a part of a sentence. Raises SnapshotRejected, Transient.
        """


@dataclass(frozen=True, slots=True)
class NewestExportSet:
    """The newest complete set of a file drop. Its fingerprint stays the same when the set is archived.

    `missing` says why a newer set is incomplete. It is empty if there is no newer set.
    """

    fingerprint: str
    missing: str = ""


class Uploads(Protocol):
    """Export sets that an admin uploads: read in memory, and kept nowhere."""

    def of(self, content: bytes, moment: datetime | None = None) -> MisSource:
        """What the zip file with this content has, as it counts at `moment` or now. Reading raises SnapshotRejected."""


class FileDrops(Protocol):
    """File drops and their export sets. Raises SnapshotRejected if waiting cannot help, Transient otherwise."""

    async def newest(self, drop: FileDrop) -> NewestExportSet: ...

    async def archive(self, drop: FileDrop, upto: str) -> int:
        """Archive the set with the fingerprint `upto` and all complete sets before it. Returns the number archived.

        An archived set is still read, but no longer counts as new. A file that was overwritten meanwhile stays.
        """
