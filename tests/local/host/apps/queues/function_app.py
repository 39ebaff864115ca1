"""Queue functions that append one line of JSON per event to the file that RECORD names."""

import asyncio
import json
import logging
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()
_log = logging.getLogger("queues")


def _record(event: str, message: func.ServiceBusMessage, **details: object) -> None:
    line = {"event": event, "session": message.session_id, "id": message.message_id, **details}
    with Path(os.environ["RECORD"]).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(line) + "\n")


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="%QUEUE%", connection="ServiceBusConnection", is_sessions_enabled=True
)
async def change(message: func.ServiceBusMessage) -> None:
    body = json.loads(message.get_body())
    _record(
        "began",
        message,
        delivery=message.delivery_count,
        correlation=message.correlation_id,
        properties=message.application_properties,
        user_properties=message.user_properties,
        enqueued=message.enqueued_time_utc.isoformat() if message.enqueued_time_utc else None,
    )
    await asyncio.sleep(body.get("seconds", 0))
    if body.get("poison"):
        raise ValueError("poison")
    _record("ended", message)
    _log.info("changed", extra={"microsoft.custom_event.name": "changed", "sync.id": message.message_id})


@app.service_bus_queue_trigger(arg_name="message", queue_name="plain", connection="ServiceBusConnection")
def plain(message: func.ServiceBusMessage) -> None:
    _record("ended", message, body=message.get_body().decode())
