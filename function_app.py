"""The triggers: each decodes its message or request, makes one call into sync_core, and returns what that answers.

A handler that returns completes its message; one that raises abandons it.
"""

import os

import azure.functions as func

from sync_core.clock import SystemClock
from sync_core.http.asgi import AsgiFunction, admin_api, console
from sync_core.http.edge import check_upload, respond, serve
from sync_core.http.health import report_health
from sync_core.messaging.messages import (
    CLASS_CHANGES,
    SYNC_REQUESTS,
    URGENT_CHANGES,
    Priority,
    decode_change,
    decode_request,
)
from sync_core.wiring import ProcessApp

app = func.FunctionApp()
_process = ProcessApp(os.environ, SystemClock())
_admin_api = AsgiFunction(admin_api)
_console = AsgiFunction(console)


@app.timer_trigger(arg_name="timer", schedule="%SYNC_SCHEDULE%", use_monitor=True)
async def nightly_sync(timer: func.TimerRequest) -> None:
    async with _process.running("nightly_sync") as sync:
        await sync.start_night()


@app.timer_trigger(arg_name="timer", schedule="%FILE_DROP_SCHEDULE%")
async def check_file_drops(timer: func.TimerRequest) -> None:
    async with _process.running("check_file_drops") as sync:
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
    async with _process.applying(CLASS_CHANGES, message) as handler:
        await handler.handle(decode_change(message.get_body()), Priority.BULK)


# Changes that an admin or a webhook waits for have their own queue and function: no backlog of a night is before them,
# and the function scales separately.
@app.service_bus_queue_trigger(
    arg_name="message", queue_name=URGENT_CHANGES, connection="ServiceBusConnection", is_sessions_enabled=True
)
async def apply_urgent_change(message: func.ServiceBusMessage) -> None:
    async with _process.applying(URGENT_CHANGES, message) as handler:
        await handler.handle(decode_change(message.get_body()), Priority.URGENT)


@app.route(route="api/health", trigger_arg_name="request", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(request: func.HttpRequest) -> func.HttpResponse:
    return await respond(_process, "health", request, lambda: report_health(_process))


# The route prefix is empty in host.json, because a route below it may not begin with "admin" (azure-functions-host
# issue 1781). App Service authentication signs callers in, not a function key.
@app.route(
    route="api/admin/{*rest}",
    trigger_arg_name="request",
    methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
async def manage(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await serve(_process, "manage", request, lambda sync: _admin_api.answer(sync, request, context))


# The pages of the console, where an empty route prefix allows no route that takes every path. The empty route would get
# the name of its function; an optional part without characters has only the root (Azure-Functions issue 2473).
async def _show(function: str, request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await serve(_process, function, request, lambda sync: _console.answer(sync, request, context))


@app.route(
    route="{root:maxlength(0)?}",
    trigger_arg_name="request",
    methods=["GET", "POST"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
async def console_root(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await _show("console_root", request, context)


@app.route(
    route="schools/{*rest}", trigger_arg_name="request", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS
)
async def console_schools(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await _show("console_schools", request, context)


@app.route(
    route="connect/{*rest}", trigger_arg_name="request", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS
)
async def console_connect(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await _show("console_connect", request, context)


# The pages that take a file.
async def _take(function: str, request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await serve(_process, function, request, lambda sync: _console.answer(sync, request, context), check_upload)


@app.route(route="connect/zip", trigger_arg_name="request", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def console_upload(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await _take("console_upload", request, context)


@app.route(
    route="schools/{school}/rehearsal/zip",
    trigger_arg_name="request",
    methods=["POST"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
async def console_rehearsal(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await _take("console_rehearsal", request, context)


@app.route(
    route="health/{*rest}", trigger_arg_name="request", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS
)
async def console_health(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await _show("console_health", request, context)


@app.route(route="assets/{*rest}", trigger_arg_name="request", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def console_assets(request: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await _show("console_assets", request, context)


# Each webhook is signed with a secret of its school.
@app.route(
    route="api/mis/{school}/changes", trigger_arg_name="request", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
)
async def mis_changes(request: func.HttpRequest) -> func.HttpResponse:
    from sync_core.http.webhooks.function import receive_changes

    return await serve(_process, "mis_changes", request, lambda sync: receive_changes(sync, request))


# Wonde signs nothing: the function key, which is part of the address that Wonde is given, identifies it.
@app.route(
    route="api/mis/wonde/access", trigger_arg_name="request", methods=["POST"], auth_level=func.AuthLevel.FUNCTION
)
async def wonde_access(request: func.HttpRequest) -> func.HttpResponse:
    from sync_core.http.webhooks.function import receive_wonde_event

    return await serve(_process, "wonde_access", request, lambda sync: receive_wonde_event(sync, request))
