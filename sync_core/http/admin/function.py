"""The HTTP trigger of the admin API. The first call builds the API, because most workers never need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure.functions as func

if TYPE_CHECKING:
    from sync_core.app import App


class AdminApi:
    """The admin API of this process."""

    def __init__(self) -> None:
        self._middleware: func.AsgiMiddleware | None = None

    async def answer(self, app: App, request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        if self._middleware is None:
            # FastAPI adds a third of a second to a cold start, and workers that only handle messages do not need it.
            from sync_core.http.admin.app import build_api

            self._middleware = func.AsgiMiddleware(build_api(app))  # type: ignore[no-untyped-call]
        answer: func.HttpResponse = await self._middleware.handle_async(request, context)
        return answer
