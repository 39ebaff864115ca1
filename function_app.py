"""The triggers: each decodes what came, makes one call into sync_core, and lets the outcome settle the message."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import azure.functions as func

from sync_core import telemetry, tracing
from sync_core.backoff import seconds_before_redelivery
from sync_core.errors import Malformed, SyncError, Transient
from sync_core.http.admin.function import AdminApi
from sync_core.messaging.messages import (
    CLASS_CHANGES,
    SYNC_REQUESTS,
    URGENT_CHANGES,
    Priority,
    decode_change,
    decode_request,
)
from sync_core.messaging.port import MessageFault
from sync_core.process import LazyApp

if TYPE_CHECKING:
    from sync_core.app import App

app = func.FunctionApp()
_lazy_app = LazyApp(os.environ)
_admin_api = AdminApi()


@app.timer_trigger(arg_name="timer", schedule="%SYNC_SCHEDULE%", use_monitor=True)
async def nightly_sync(timer: func.TimerRequest) -> None:
    sync = await _lazy_app.get()
    await sync.start_night()


@app.timer_trigger(arg_name="timer", schedule="%FILE_DROP_SCHEDULE%")
async def check_file_drops(timer: func.TimerRequest) -> None:
    sync = await _lazy_app.get()
    await sync.check_file_drops()


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
        await sync.handle_change(decode_change(message.get_body()), Priority.BULK)


# A queue and a function of their own for changes that somebody waits for: the backlog of a night is not before them,
# and the function scales by itself.
@app.service_bus_queue_trigger(
    arg_name="message", queue_name=URGENT_CHANGES, connection="ServiceBusConnection", is_sessions_enabled=True
)
async def apply_urgent_change(message: func.ServiceBusMessage) -> None:
    async with _taken(URGENT_CHANGES, message) as sync:
        await sync.handle_change(decode_change(message.get_body()), Priority.URGENT)


@app.route(route="api/health", trigger_arg_name="request", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(request: func.HttpRequest) -> func.HttpResponse:
    try:
        sync = await _lazy_app.get()
        await sync.state.school("health")
    except SyncError as error:
        return _problem(error, status="unhealthy")
    return func.HttpResponse(json.dumps({"status": "healthy"}), mimetype="application/json")


# The route prefix is empty in host.json, because a route below it may not begin with "admin" (azure-functions-host
# issue 1781). Callers are signed in by App Service authentication, not by a function key.
@app.route(route="api/admin/{*rest}", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def manage(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    try:
        sync = await _lazy_app.get()
    except SyncError as error:
        return _problem(error)
    return await _admin_api.answer(sync, request, context)


# Whoever announces signs what he says, with a secret of his school's own.
@app.route(
    route="api/mis/{school}/changes", trigger_arg_name="request", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
)
async def mis_changes(request: func.HttpRequest) -> func.HttpResponse:
    from sync_core.http.webhooks.function import receive_changes

    return await _answered(receive_changes, request)


# Wonde signs nothing: the function's key, in the address that Wonde is given, is what tells it from anybody.
@app.route(
    route="api/mis/wonde/access", trigger_arg_name="request", methods=["POST"], auth_level=func.AuthLevel.FUNCTION
)
async def wonde_access(request: func.HttpRequest) -> func.HttpResponse:
    from sync_core.http.webhooks.function import receive_wonde_event

    return await _answered(receive_wonde_event, request)


async def _answered(
    take: Callable[["App", func.HttpRequest], Awaitable[func.HttpResponse]], request: func.HttpRequest
) -> func.HttpResponse:
    try:
        sync = await _lazy_app.get()
    except SyncError as error:
        return _problem(error)
    return await take(sync, request)


@asynccontextmanager
async def _taken(queue: str, message: func.ServiceBusMessage) -> AsyncIterator["App"]:
    """The app to handle a message with; a failure is recorded before it abandons the message.

    A message that fails for the last time is dead-lettered by the queue, which does not know why: the record does.
    """
    with tracing.message_handled(queue, message.application_properties or {}):
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
                error.message,
                error.remedy,
                sync.clock.now(),
            )
            telemetry.message_failed(fault, error)
            await sync.state.write_message_fault(fault)
            if not isinstance(error, Malformed):
                await sync.clock.sleep(seconds_before_redelivery(fault.deliveries))
            raise error from None


def _unexpected(failure: Exception) -> SyncError:
    """A stranger's exception in our words: its text may hold a name or an address, its type and place do not."""
    place = tracing.place_of(failure)
    return Transient(f"unexpected {type(failure).__name__} at {place}", "it is delivered again; if it stays, report it")


def _problem(error: SyncError, **more: str) -> func.HttpResponse:
    body = json.dumps({**more, "what": error.message, "remedy": error.remedy})
    return func.HttpResponse(body, status_code=503, mimetype="application/json")
