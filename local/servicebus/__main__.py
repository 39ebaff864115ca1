"""The stand-in as a process: prints its ports as one line of JSON when it is ready, and stops on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from local.servicebus.config import ConfigError, read_config
from local.servicebus.server import Clock, Server


async def _serve(config: Path, port: int, status_port: int) -> None:
    server = Server(read_config(config), Clock())
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[tuple[int, int]] = loop.create_future()
    running = loop.create_task(server.run(port, status_port, ready))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    waiting: list[asyncio.Future[Any]] = [running, ready]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if ready.done():
        sys.stdout.write(json.dumps(dict(zip(("port", "status_port"), ready.result(), strict=True))) + "\n")
        sys.stdout.flush()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.servicebus", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="Config.json of Microsoft's emulator")
    parser.add_argument("--port", type=int, default=5672, help="AMQP port; 0 picks a free one")
    parser.add_argument(
        "--status-port", type=int, default=5300, help="port of GET /status and POST /clock; 0 picks a free one"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    try:
        asyncio.run(_serve(options.config, options.port, options.status_port))
    except (ConfigError, OSError) as error:
        sys.exit(f"the Service Bus stand-in does not start: {error}")


if __name__ == "__main__":
    main()
