"""The triggers: each decodes what came, makes one call into sync_core, and lets the outcome settle the message."""

import json
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import azure.functions as func

from sync_core.clock import SystemClock
from sync_core.errors import SyncError
from sync_core.http.admin.function import AdminApi
from sync_core.messaging.messages import (
    CLASS_CHANGES,
    SYNC_REQUESTS,
    URGENT_CHANGES,
    Priority,
    decode_change,
    decode_request,
)
from sync_core.wiring import ProcessApp

if TYPE_CHECKING:
    from sync_core.app import App

app = func.FunctionApp()
_process = ProcessApp(os.environ, SystemClock())
_admin_api = AdminApi()


@app.timer_trigger(arg_name="timer", schedule="%SYNC_SCHEDULE%", use_monitor=True)
async def nightly_sync(timer: func.TimerRequest) -> None:
    sync = await _process.get()
    await sync.start_night()


@app.timer_trigger(arg_name="timer", schedule="%FILE_DROP_SCHEDULE%")
async def check_file_drops(timer: func.TimerRequest) -> None:
    sync = await _process.get()
    await sync.check_file_drops()


@app.service_bus_queue_trigger(
    arg_name="message", queue_name=SYNC_REQUESTS, connection="ServiceBusConnection", is_sessions_enabled=True
)
async def plan_sync(message: func.ServiceBusMessage) -> None:
    async with _process.handling(SYNC_REQUESTS, message) as sync:
        await sync.handle_request(decode_request(message.get_body()))


@app.service_bus_queue_trigger(
    arg_name="message", queue_name=CLASS_CHANGES, connection="ServiceBusConnection", is_sessions_enabled=True
)
async def apply_change(message: func.ServiceBusMessage) -> None:
    async with _process.handling(CLASS_CHANGES, message) as sync:
        await sync.handle_change(decode_change(message.get_body()), Priority.BULK)


# A queue and a function of their own for changes that somebody waits for: the backlog of a night is not before them,
# and the function scales by itself.
@app.service_bus_queue_trigger(
    arg_name="message", queue_name=URGENT_CHANGES, connection="ServiceBusConnection", is_sessions_enabled=True
)
async def apply_urgent_change(message: func.ServiceBusMessage) -> None:
    async with _process.handling(URGENT_CHANGES, message) as sync:
        await sync.handle_change(decode_change(message.get_body()), Priority.URGENT)


@app.route(route="api/health", trigger_arg_name="request", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(request: func.HttpRequest) -> func.HttpResponse:
    try:
        sync = await _process.get()
        await sync.services.schools.school("health")
    except SyncError as error:
        return _problem(error, status="unhealthy")
    return func.HttpResponse(json.dumps({"status": "healthy"}), mimetype="application/json")


# The route prefix is empty in host.json, because a route below it may not begin with "admin" (azure-functions-host
# issue 1781). Callers are signed in by App Service authentication, not by a function key.
@app.route(route="api/admin/{*rest}", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def manage(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    try:
        sync = await _process.get()
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
        sync = await _process.get()
    except SyncError as error:
        return _problem(error)
    return await take(sync, request)


def _problem(error: SyncError, **more: str) -> func.HttpResponse:
    body = json.dumps({**more, "what": error.message, "remedy": error.remedy})
    return func.HttpResponse(body, status_code=503, mimetype="application/json")
