"""`python -m local.insights --rows FILE`: receives telemetry over HTTP and writes each row as a line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from local.insights.rows import row_of

_KEY = "00000000-0000-4000-8000-000000000000"


def settings_for(address: str) -> dict[str, str]:
    """The settings with which an app exports to `address`, and to no other address."""
    return {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": (
            f"InstrumentationKey={_KEY};IngestionEndpoint={address};LiveEndpoint={address}"
        ),
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    }


class Ingestion:
    """Receives telemetry and appends it to the file `rows`."""

    def __init__(self, rows: Path) -> None:
        self._rows = rows

    async def track(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        envelopes: list[Mapping[str, Any]] = json.loads(body)
        with self._rows.open("a", encoding="utf-8") as file:
            for row in filter(None, map(row_of, envelopes)):
                file.write(json.dumps(asdict(row)) + "\n")
        count = len(envelopes)
        return web.json_response({"itemsReceived": count, "itemsAccepted": count, "errors": []})


async def _serve(port: int, rows: Path) -> None:
    app = web.Application(client_max_size=100 * 1024 * 1024)
    app.router.add_post("/{version}/track", Ingestion(rows).track)
    app.router.add_post("/QuickPulseService.svc/{call}", _live_metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def _live_metrics(request: web.Request) -> web.Response:
    """Answers that no page shows live metrics, so the app sends none."""
    return web.Response(headers={"x-ms-qps-subscribed": "false"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.insights", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="HTTP port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--rows", type=Path, required=True, help="the file for the rows, as JSON lines")
    options = parser.parse_args()
    asyncio.run(_serve(options.port, options.rows))


if __name__ == "__main__":
    main()
