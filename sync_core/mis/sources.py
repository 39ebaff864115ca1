"""A school's MIS, wherever its settings say that it is: the only place that chooses how one is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync_core.clock import Clock
from sync_core.config import UNRESOLVED
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedContainer, FeedFolder, OneRosterApi, WondeApi
from sync_core.errors import SnapshotRejected, Transient
from sync_core.mis.academic_years import Calendar, calendar_of
from sync_core.mis.budget import LONGEST_READING
from sync_core.mis.drop.reader import FileDropReader
from sync_core.mis.port import MisSource
from sync_core.mis.rejection import rejection, shielded
from sync_core.mis.rest.again.oneroster import read_oneroster_classes
from sync_core.mis.rest.again.wonde import read_wonde_groups
from sync_core.mis.rest.cache import FULL_EVERY, SchoolCache
from sync_core.mis.rest.client import in_time
from sync_core.mis.rest.oneroster import reach_oneroster, read_oneroster_api
from sync_core.mis.rest.shared_lists import SharedLists
from sync_core.mis.rest.wonde import reach_wonde, read_wonde
from sync_core.mis.roster import no_school

_LONGEST_AGAIN = timedelta(seconds=60)
"""The longest time to read some groups again. The whole school is read instead of waiting longer."""


class MisSources:
    """Implements the ports MisSource, DatedMis and SourceCheck, and ReadAgain with `again`.

    Each source names one of `secrets`, the application settings. A server has `longest` for one reading.
    """

    def __init__(
        self, drops: FileDropReader, secrets: Mapping[str, str], clock: Clock, longest: timedelta = LONGEST_READING
    ) -> None:
        self._drops = drops
        self._longest = longest
        self._cache = SchoolCache()
        self._lists = SharedLists(clock)
        self._secrets = secrets
        self._clock = clock

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return await self.snapshot_on(settings, since, self._clock.now())

    def on(self, moment: datetime) -> MisSource:
        return _Dated(self, moment)

    async def snapshot_on(self, settings: SchoolSettings, since: datetime | None, moment: datetime) -> Snapshot:
        """As `snapshot`, with what counts at that moment."""
        with shielded():
            return await self._read(settings, since, moment)

    async def again(
        self, settings: SchoolSettings, whole: Snapshot, groups: Sequence[MisGroup]
    ) -> tuple[MisGroup, ...] | None:
        """Requests are made only while the changes of the school could be read, and its people were read lately."""
        now, source = self._clock.now(), settings.source
        if not isinstance(source, OneRosterApi | WondeApi) or now - whole.taken_at >= FULL_EVERY:
            return None
        if self._cache.of(source, settings.school, now) is None or whole.school.id != settings.school:
            return None
        with suppress(SnapshotRejected, Transient), shielded():
            async with in_time(min(self._longest, _LONGEST_AGAIN)):
                read = await self._read_again(source, whole, groups, calendar_of(settings, now))
                return None if read is None else tuple(read)
        return None

    async def reach(self, settings: SchoolSettings) -> str:
        with shielded():
            match settings.source:
                case FeedFolder() | FeedContainer() as drop:
                    return await self._drops.summary(drop)
                case OneRosterApi() as api:
                    lists = self._lists.of(api, self._clock.now())
                    await reach_oneroster(api, self._secret(api), settings.school, self._cache, lists, self._clock)
                case WondeApi() as api:
                    await reach_wonde(api, self._secret(api), self._clock)
            return "the server signs the app in and has the school"

    async def _read(self, settings: SchoolSettings, since: datetime | None, moment: datetime) -> Snapshot:
        school, source = settings.school, settings.source
        calendar = calendar_of(settings, moment)
        snapshots: Mapping[SchoolId, Snapshot]
        match source:
            case FeedFolder() | FeedContainer():
                snapshots = await self._drops.snapshots(source, calendar)
            case OneRosterApi() | WondeApi():
                async with in_time(self._longest):
                    snapshots = await self._read_server(school, source, since or self._clock.now(), calendar)
        if school not in snapshots:
            raise no_school(school, snapshots)
        return snapshots[school]

    async def _read_server(
        self, school: SchoolId, source: OneRosterApi | WondeApi, since: datetime, calendar: Calendar
    ) -> Mapping[SchoolId, Snapshot]:
        secret = self._secret(source)
        match source:
            case OneRosterApi():
                lists = self._lists.of(source, since)
                return await read_oneroster_api(source, secret, school, self._cache, lists, self._clock, calendar)
            case WondeApi():
                return await read_wonde(source, secret, school, self._cache, self._clock, calendar)

    async def _read_again(
        self, source: OneRosterApi | WondeApi, whole: Snapshot, groups: Sequence[MisGroup], calendar: Calendar
    ) -> list[MisGroup] | None:
        secret, clock = self._secret(source), self._clock
        match source:
            case OneRosterApi():
                quirks, lists = self._cache.quirks(source), self._lists.of(source, clock.now())
                return await read_oneroster_classes(source, secret, whole, groups, quirks, lists, clock, calendar)
            case WondeApi():
                return await read_wonde_groups(source, secret, whole, groups, clock, calendar)

    def _secret(self, source: OneRosterApi | WondeApi) -> str:
        secret = self._secrets.get(source.secret, "").strip()
        if not secret:
            raise rejection(
                f"the application setting {source.secret}, which the school's source names, is not set",
                "add it with infra/scripts/add_secret.py",
            )
        if secret.startswith(UNRESOLVED):
            raise rejection(
                f"the platform could not resolve the Key Vault reference in the application setting {source.secret}",
                "see the state of the setting under Environment variables in the portal: either the vault has no such "
                "secret, or the app's identity lacks the role Key Vault Secrets User",
            )
        return secret


@dataclass(frozen=True, slots=True)
class _Dated:
    """Implements the port MisSource: these sources at that moment."""

    sources: MisSources
    moment: datetime

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return await self.sources.snapshot_on(settings, since, self.moment)
