"""The simulated tenant as a process: prints its port as one line of JSON when ready, and stops on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from aiohttp import web

from local.tenant.certificate import tls_context
from local.tenant.control import Control
from local.tenant.entra import Entra
from local.tenant.names import TENANT_ID
from local.tenant.options import add_options, options_of


async def _serve(options: argparse.Namespace) -> None:
    entra = Entra(options.tenant_id, options.state, options_of(options))
    app = web.Application(client_max_size=8 * 1024 * 1024)
    entra.add_to(app)
    Control(entra).add_to(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port).start()
    if options.certificate:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls_context(options.certificate)).start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    ports = [address[1] for address in runner.addresses]
    sys.stdout.write(json.dumps(dict(zip(("port", "tls_port"), ports, strict=False))) + "\n")
    sys.stdout.flush()
    await stopped.wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.tenant", description=__doc__)
    parser.add_argument("--port", type=int, default=8443, help="HTTP port on 127.0.0.1; 0 picks a free one")
    parser.add_argument(
        "--state", type=Path, help="the file that stores the tenant; without it the tenant is in memory only"
    )
    parser.add_argument("--certificate", type=Path, help="also serve over TLS, and write the certificate to this file")
    parser.add_argument("--tenant-id", default=TENANT_ID)
    add_options(parser)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        sys.exit(f"the simulated tenant does not start: {error}")


if __name__ == "__main__":
    main()
