"""An app with one function of each trigger; what it did is written to the file that RECORD names, a line each."""

import asyncio
import json
import logging
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()
_log = logging.getLogger("school")


def _record(**what: object) -> None:
    with Path(os.environ["RECORD"]).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(what) + "\n")


@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%", use_monitor=True)
async def nightly(timer: func.TimerRequest) -> None:
    _log.info("nightly", extra={"event": {"name": "nightly", "past_due": timer.past_due}})
    _record(function="nightly", past_due=timer.past_due)


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="%QUEUE%", connection="ServiceBusConnection", is_sessions_enabled=True
)
async def change(message: func.ServiceBusMessage) -> None:
    body = json.loads(message.get_body())
    _record(
        function="change",
        session=message.session_id,
        id=message.message_id,
        delivery=message.delivery_count,
        correlation=message.correlation_id,
        properties=message.application_properties,
        enqueued=str(message.enqueued_time_utc),
    )
    await asyncio.sleep(body.get("seconds", 0))
    if body.get("poison"):
        raise ValueError("poison")
    _record(function="changed", session=message.session_id, id=message.message_id)


@app.service_bus_queue_trigger(arg_name="message", queue_name="plain", connection="ServiceBusConnection")
def plain(message: func.ServiceBusMessage) -> None:
    _record(function="plain", id=message.message_id, body=message.get_body().decode())


@app.route(route="pupils/{id:int}", methods=["GET", "POST"], auth_level=func.AuthLevel.FUNCTION)
async def pupil(req: func.HttpRequest) -> func.HttpResponse:
    answer = {"id": req.route_params["id"], "query": dict(req.params), "body": req.get_body().decode()}
    response = func.HttpResponse(json.dumps(answer), status_code=201, mimetype="application/json")
    response.headers["x-from"] = req.headers.get("x-to", "")
    response.headers.add("Set-Cookie", "a=b; Path=/")
    return response


@app.route(route="pupils/everyone", auth_level=func.AuthLevel.ANONYMOUS)
def everyone(req: func.HttpRequest) -> str:
    return "everyone"


@app.route(route="files/{*rest}", auth_level=func.AuthLevel.ANONYMOUS)
def files(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.route_params.get("rest", ""))


@app.route(route="fails", auth_level=func.AuthLevel.ADMIN)
async def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("the reason")
