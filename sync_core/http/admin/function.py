"""From an HTTP trigger into the admin API and back. The first call builds the API, which most workers never need."""

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
            # FastAPI costs a third of a second of cold start, which a queue-triggered worker need not pay.
            from sync_core.http.admin.app import build_api

            self._middleware = func.AsgiMiddleware(build_api(app))  # type: ignore[no-untyped-call]
        answer: func.HttpResponse = await self._middleware.handle_async(request, context)
        return answer
