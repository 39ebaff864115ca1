"""Processes of the local world, forked from one that has imported their modules, because imports take most of a start.

Each is a process like any other, with its own memory, sockets and signals. But it ends without running the exit
handlers of the interpreter, with which telemetry sends what is still buffered.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection, Pipe
from multiprocessing.context import ForkContext, ForkServerContext
from pathlib import Path
from typing import Any

from local.processes import READY_WITHIN, StartFailed, die_with_parent

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "_strptime",
        "anyio._backends._asyncio",
        "azure.core.rest._aiohttp",
        "azure.identity.aio",
        "azure.identity.aio._credentials.app_service",
        "azure.storage.blob.aio",
        "cli.__main__",
        "cryptography.hazmat.backends.openssl.backend",
        "email.generator",
        "encodings.utf_16_le",
        "encodings.utf_8_sig",
        "httpcore",
        "local.__main__",
        "local.commands",
        "local.host.__main__",
        "local.servicebus.__main__",
        "local.tenant.__main__",
        "msgraph",
        "rich._emoji_codes",
        "rich.markdown",
        "sync_core.app",
        "sync_core.applying.handler",
        "sync_core.graph.connections",
        "sync_core.graph.teams.class_teams",
        "sync_core.http.admin.app",
        "sync_core.http.asgi",
        "sync_core.http.console.app",
        "sync_core.http.edge",
        "sync_core.http.health",
        "sync_core.http.webhooks.function",
        "sync_core.messaging.dead_letters",
        "sync_core.messaging.service_bus",
        "sync_core.mis.files.uploads",
        "sync_core.mis.sources",
        "sync_core.state.store",
        "sync_core.sync.read_ahead",
        "sync_core.wiring",
        "tests.forked_once",
        "typer._adapters",
        "typer._click.decorators",
        "typer.rich_utils",
    ]
)
_STOP_WITHIN = 15.0


def start_fork_server() -> None:
    """Start the process that has imported the modules, which this process and its forks use from now on."""
    forkserver.ensure_running()


def use_fork_server_of_parent() -> None:
    """In a fork of the process that started it. Else multiprocessing looks for it among the children of this one."""
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]


class Forked:
    """Implements Process. Its stdout is a pipe to us."""

    def __init__(
        self,
        module: str,
        options: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        *,
        context: ForkServerContext | ForkContext = _CONTEXT,
        arguments: Sequence[object] = (),
    ) -> None:
        """`arguments` are those of the module's `main`."""
        self._log = log
        self._module = module
        self._output, output = Pipe(duplex=False)
        whole = {**os.environ, **environment}
        given = (module, tuple(options), log, whole, output, tuple(arguments))
        self._process = context.Process(target=_run, args=given)
        self._process.start()
        output.close()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def ready_line(self) -> dict[str, Any]:
        if self._output.poll(READY_WITHIN):
            with os.fdopen(os.dup(self._output.fileno()), encoding="utf-8") as lines:
                if line := lines.readline():
                    ready: dict[str, Any] = json.loads(line)
                    return ready
        self.kill()
        ended = f"ended with {self._process.exitcode} before it was ready"
        raise StartFailed(f"{self._module} {ended}; its log is {self._log}")

    def finish(self) -> tuple[int, str]:
        """Wait for its end. Returns its exit status and what it printed."""
        with os.fdopen(os.dup(self._output.fileno()), encoding="utf-8") as lines:
            printed = lines.read()
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode, printed

    def alive(self) -> bool:
        return self._process.is_alive()

    def stop(self) -> None:
        self._process.terminate()
        self._process.join(_STOP_WITHIN)
        self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._output.close()


def fork_self(module: str, options: Sequence[str], log: Path, environment: Mapping[str, str]) -> Forked:
    """Implements Spawn for a process that is forked itself and has no threads: the new one is forked from it."""
    return Forked(module, options, log, environment, context=multiprocessing.get_context("fork"))


def _heed_signals() -> None:
    """As a new interpreter at a terminal: without the handlers of the process that it is forked from.

    Under nohup, and in the background of a shell, the tests ignore some signals, and a child would too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


def _run(
    module: str,
    options: tuple[str, ...],
    log: Path,
    environment: Mapping[str, str],
    output: Connection,
    arguments: tuple[object, ...],
) -> None:
    """What `python -m module` does in a process of its own."""
    os.setsid()
    _heed_signals()  # before those that were held back are let through
    die_with_parent(os.getppid())
    with log.open("ab") as errors:
        os.dup2(errors.fileno(), sys.stderr.fileno())
    os.dup2(output.fileno(), sys.stdout.fileno())
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *options]
    if certificate := environment.get("SSL_CERT_FILE"):
        # aiohttp decides whom to trust when it is imported, which was before this setting.
        connector: Any = importlib.import_module("aiohttp.connector")
        connector._SSL_CONTEXT_VERIFIED.load_verify_locations(certificate)
    sys.exit(importlib.import_module(f"{module}.__main__").main(*arguments))
