"""The app of this process, made when there is first something to do: indexing functions needs none of its clients."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sync_core.app import App


class LazyApp:
    """Clients want a running loop, and a start that failed is tried again."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = asyncio.Lock()
        self._app: App | None = None

    async def get(self) -> App:
        """Raises UnknownSetting, Transient."""
        async with self._lock:
            if self._app is None:
                # Half a second of imports: a host that scales out indexes the functions before it has work for them.
                from sync_core.config import parse_settings
                from sync_core.wiring import build

                self._app = await build(parse_settings(self._environment))
            return self._app
