"""`python -m local.host --app DIR`: one app in one process, as a Functions host would run it."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

from azure_functions_runtime.otel import initialize_azure_monitor
from azure_functions_runtime.utils.app_setting_manager import is_envvar_true

from local.host import log
from local.host.app_host import AppHost, plan_host
from local.host.functions_index import index_app
from local.host.host_json import load_host_json
from local.host.refusal import StartRefused
from local.host.settings import load_settings
from local.host.timers import SystemClock, TimerMonitor
from local.processes import collect_garbage_seldom

_log = logging.getLogger("host")


async def _serve(options: argparse.Namespace) -> None:
    app = options.app.resolve()
    settings = load_settings(os.environ, options.settings)
    host_options = load_host_json(app / "host.json")
    if is_envvar_true("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"):
        # As the worker does before it indexes an app.
        initialize_azure_monitor()
    plan = plan_host(index_app(app), settings, host_options)
    collect_garbage_seldom()
    monitor = TimerMonitor(options.state / "timers.json") if options.state else None
    host = AppHost(plan, SystemClock(), monitor, options.port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await host.start()
    ready = {"port": host.port, "functions": [function.name for function in plan.functions]}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    await stop.wait()
    _log.info("draining: running functions have %g s to end", options.grace)
    if not await host.stop(options.grace):
        _log.warning("stopped with functions still running; their messages will be redelivered")
        logging.shutdown()
        # A sync function's thread cannot be stopped, and Python would wait for it forever.
        os._exit(1)
    _log.info("stopped")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="the folder with function_app.py and host.json")
    parser.add_argument(
        "--port",
        type=int,
        nargs="+",
        default=[7071],
        help="HTTP port on 127.0.0.1; of several, the first that is free; 0 picks a free one",
    )
    parser.add_argument("--settings", type=Path, help='a local.settings.json: {"Values": {…}}; the environment wins')
    parser.add_argument("--log", type=Path, help="also write log records to this file, as JSON lines")
    parser.add_argument("--state", type=Path, help="a folder that stores when timers are due, for use_monitor")
    parser.add_argument(
        "--grace", type=float, default=30.0, help="seconds that running functions have to end after SIGTERM"
    )
    options = parser.parse_args()
    log.configure(options.log)
    try:
        asyncio.run(_serve(options))
    except StartRefused as refusal:
        sys.stderr.write(f"the host does not start: {refusal}\n")
        sys.exit(1)
    except OSError as error:
        ports = " and ".join(map(str, options.port))
        sys.stderr.write(f"the host does not start: port {ports}: {error}. Name a free one with --port.\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
