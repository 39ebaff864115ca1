"""The triggers: each decodes what came, makes one call into sync_core, and lets the outcome settle the message."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import azure.functions as func

from sync_core import telemetry
from sync_core.errors import SyncError, Transient
from sync_core.events import CLASS_CHANGES, SYNC_REQUESTS, decode_change, decode_request
from sync_core.ports import MessageFault
from sync_core.wiring import App, LazyApp

app = func.FunctionApp()
_lazy_app = LazyApp(os.environ)


@app.timer_trigger(arg_name="timer", schedule="%SYNC_SCHEDULE%", use_monitor=True)
async def nightly_sync(timer: func.TimerRequest) -> None:
    sync = await _lazy_app.get()
    await sync.start_night()


@app.service_bus_queue_trigger(
    arg_name="message", queue_name=SYNC_REQUESTS, connection="ServiceBusConnection", is_sessions_enabled=True
)
async def plan_sync(message: func.ServiceBusMessage) -> None:
    async with _taken(SYNC_REQUESTS, message) as sync:
        await sync.handle_request(decode_request(message.get_body()))


@app.service_bus_queue_trigger(
    arg_name="message", queue_name=CLASS_CHANGES, connection="ServiceBusConnection", is_sessions_enabled=True
)
async def apply_change(message: func.ServiceBusMessage) -> None:
    async with _taken(CLASS_CHANGES, message) as sync:
        await sync.handle_change(decode_change(message.get_body()))


@app.route(route="health", trigger_arg_name="request", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(request: func.HttpRequest) -> func.HttpResponse:
    try:
        sync = await _lazy_app.get()
        await sync.state.school("health")
    except SyncError as error:
        return _json(503, {"status": "unhealthy", "what": error.what, "remedy": error.remedy})
    return _json(200, {"status": "healthy"})


@asynccontextmanager
async def _taken(queue: str, message: func.ServiceBusMessage) -> AsyncIterator[App]:
    """The app to handle a message with; a failure is recorded before it abandons the message.

    A message that fails for the last time is dead-lettered by the queue, which does not know why: the record does.
    """
    sync = await _lazy_app.get()
    try:
        yield sync
    except Exception as failure:
        error = failure if isinstance(failure, SyncError) else _unexpected(failure)
        fault = MessageFault(
            queue,
            message.message_id,
            message.session_id or "",
            message.delivery_count or 1,
            error.what,
            error.remedy,
            sync.clock.now(),
        )
        telemetry.message_failed(fault, error)
        await sync.state.write_message_fault(fault)
        raise error from failure


def _unexpected(failure: Exception) -> SyncError:
    # The text of a stranger's exception may hold a name or an address; its type does not.
    return Transient(
        f"unexpected {type(failure).__name__}", "it is delivered again; if it comes back, report the stack trace"
    )


def _json(status: int, body: dict[str, str]) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype="application/json")
