"""A school's MIS, wherever its settings say that it is: the only place that chooses how one is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync_core.clock import Clock
from sync_core.config import UNRESOLVED
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedContainer, FeedFolder, OneRosterApi, WondeApi
from sync_core.mis.academic_years import Calendar, calendar_of
from sync_core.mis.budget import LONGEST_READING
from sync_core.mis.drop.reader import FileDropReader
from sync_core.mis.port import MisSource
from sync_core.mis.rejection import rejection, shielded
from sync_core.mis.rest.cache import SchoolCache
from sync_core.mis.rest.client import in_time
from sync_core.mis.rest.oneroster import reach_oneroster, read_oneroster_api
from sync_core.mis.rest.shared_lists import SharedLists
from sync_core.mis.rest.wonde import reach_wonde, read_wonde
from sync_core.mis.roster import no_school


class MisSources:
    """Implements the ports MisSource, DatedMis and SourceCheck.

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
