"""Export sets that an admin uploads as one zip file: read in memory, and kept nowhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sync_core.clock import Clock
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.mis.academic_years import calendar_of
from sync_core.mis.budget import Deadline
from sync_core.mis.files.archive import open_zip_in_memory
from sync_core.mis.files.formats import read_sets
from sync_core.mis.port import MisSource
from sync_core.mis.rejection import shielded
from sync_core.mis.roster import Snapshots, no_school

_NAME = "the uploaded file"
"""The name that a person gave it may be anything, and is in no message."""


@dataclass(frozen=True, slots=True)
class UploadedExports:
    """Implements the port Uploads."""

    clock: Clock

    def of(self, content: bytes, moment: datetime | None = None) -> MisSource:
        return _Uploaded(content, self.clock, moment)


@dataclass(frozen=True, slots=True)
class _Uploaded:
    """Implements the port MisSource: whatever source the settings name, the school is read from this file."""

    content: bytes
    clock: Clock
    moment: datetime | None

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        with shielded():
            snapshots = await asyncio.to_thread(self._read, settings)
            if settings.school not in snapshots:
                raise no_school(settings.school, snapshots)
            return snapshots[settings.school]

    def _read(self, settings: SchoolSettings) -> Snapshots:
        now = self.clock.now()
        files = open_zip_in_memory(self.content, _NAME, now).within(Deadline.from_now(self.clock))
        return read_sets([files], calendar_of(settings, self.moment or now))
