"""A school's MIS, wherever its settings say that it is: the only place that chooses how one is read."""

from __future__ import annotations

from collections.abc import Mapping

from sync_core.clock import Clock
from sync_core.domain.roster import Snapshot
from sync_core.domain.school import FeedContainer, FeedFolder, OneRosterApi, SchoolSettings, WondeApi
from sync_core.errors import SnapshotRejected
from sync_core.mis.drop.reader import FileDropReader
from sync_core.mis.rest.cache import SchoolCache
from sync_core.mis.rest.oneroster import read_oneroster_api
from sync_core.mis.rest.wonde import read_wonde


class MisSources:
    """Implements the port MisSource. `secrets` are the application settings, of which a source names one."""

    def __init__(self, drops: FileDropReader, secrets: Mapping[str, str], clock: Clock) -> None:
        self._drops = drops
        self._cache = SchoolCache()
        self._secrets = secrets
        self._clock = clock

    async def snapshot(self, settings: SchoolSettings) -> Snapshot:
        found = await self._read(settings)
        if settings.school not in found:
            raise SnapshotRejected(
                f"the feed has no school {settings.school}, but {', '.join(sorted(found))}",
                "nothing was changed; correct the school's source, or have the MIS export this school",
            )
        return found[settings.school]

    async def _read(self, settings: SchoolSettings) -> Mapping[str, Snapshot]:
        """Snapshots by school id."""
        match settings.source:
            case FeedFolder() | FeedContainer() as drop:
                return await self._drops.snapshots(drop)
            case OneRosterApi() as api:
                return await read_oneroster_api(
                    api, self._secret(api.secret), settings.school, self._cache, self._clock
                )
            case WondeApi() as wonde:
                return await read_wonde(wonde, self._secret(wonde.secret), settings.school, self._cache, self._clock)

    def _secret(self, name: str) -> str:
        secret = self._secrets.get(name, "").strip()
        if not secret:
            raise SnapshotRejected(
                f"the application setting {name}, which the school's source names, is not set",
                "nothing was changed; add it to the app, as a Key Vault reference",
            )
        return secret
