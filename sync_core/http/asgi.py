"""HTTP triggers that an ASGI app answers. The first request builds it, because most workers never need one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import azure.functions as func

if TYPE_CHECKING:
    from fastapi import FastAPI

    from sync_core.app import App


class AsgiFunction:
    """One ASGI app of this process. `load` imports what builds it."""

    def __init__(self, load: Callable[[], Callable[[App], FastAPI]]) -> None:
        self._load = load
        self._middleware: func.AsgiMiddleware | None = None

    async def answer(self, app: App, request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        if self._middleware is None:
            self._middleware = func.AsgiMiddleware(self._load()(app))  # type: ignore[no-untyped-call]
        answer: func.HttpResponse = await self._middleware.handle_async(request, context)
        return answer


def admin_api() -> Callable[[App], FastAPI]:
    # FastAPI adds a third of a second to a cold start, and workers that only handle messages do not need it.
    from sync_core.http.admin.app import build_api

    return build_api


def console() -> Callable[[App], FastAPI]:
    from sync_core.http.console.app import build_console

    return build_console
