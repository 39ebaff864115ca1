"""Gates between the host and its servers: real sockets that pass each request on or inject a fault."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_HOP_BY_HOP_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `path` includes its query. `number` counts from 1 since the rule was set."""

    number: int
    server: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def shape(self) -> str:
        """The kind of request: server, method and path, without ids, keys and query."""
        plain = re.sub(r"\(.*?\)", "()", _ID.sub("{id}", self.path.partition("?")[0]))
        return f"{self.server} {self.method} {plain}"

    @property
    def identity(self) -> tuple[str, str, bytes]:
        """Equal for a retry of this request. The boundary of a transaction, new each time, is left out."""
        return self.method, self.path, _ID.sub("", self.body.decode("latin-1")).encode()


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a request. `before` and `after` run before and after the server's work.

    `reaches_server` is whether the server receives the request. `status` replaces the server's response: 0 resets the
    connection, None passes the response on. A fault with an empty `kind` is not counted.
    """

    kind: str
    reaches_server: bool = True
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None

    def for_server(self, server: str) -> Fault:
        """The same fault, counted for `server`."""
        return replace(self, kind=f"{server}: {self.kind}")


Rule = Callable[[Call], Fault | None]


def no_rule(_: Call) -> None:
    return None


class Gates:
    """All gates of a world, on a thread of their own. `fault_counts` counts the injected faults by kind."""

    def __init__(self) -> None:
        self.fault_counts: Counter[str] = Counter()
        self.calls: list[Call] = []
        self._rule: Rule = no_rule
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._session: ClientSession | None = None
        self._runners: list[web.ServerRunner] = []
        self._bus: list[asyncio.StreamWriter] = []
        self._bus_open = True

    def __enter__(self) -> Self:
        self._thread.start()
        self._await(self._open_session())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._await(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def set_rule(self, rule: Rule) -> None:
        """Apply `rule` from now on, and number the calls from 1 again."""
        with self._lock:
            self._rule = rule
            self.calls = []

    def open_http(self, server: str, upstream: str) -> str:
        """Open a gate to `upstream` (scheme, host and port). Returns its address."""
        port: int = self._await(self._serve_http(server, upstream))
        return f"http://127.0.0.1:{port}"

    def open_bus(self, upstream_port: int) -> int:
        """Open a gate to the queues. Returns its port."""
        port: int = self._await(self._serve_bus(upstream_port))
        return port

    def cut_bus(self) -> None:
        """Reset every connection, and refuse new ones until `restore_bus`."""
        self._await(self._cut_bus())

    def restore_bus(self) -> None:
        self._bus_open = True

    # --- internals

    def _await(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _open_session(self) -> None:
        self._session = ClientSession(auto_decompress=False, timeout=ClientTimeout(total=None))

    async def _close(self) -> None:
        await self._cut_bus()
        for runner in self._runners:
            await runner.cleanup()
        assert self._session
        await self._session.close()

    async def _serve_http(self, server: str, upstream: str) -> int:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handle(server, upstream, request)

        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])

    async def _handle(self, server: str, upstream: str, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        with self._lock:
            number = len(self.calls) + 1
            call = Call(number, server, request.method, request.raw_path, dict(request.headers), body)
            self.calls.append(call)
            fault = self._rule(call)
            if fault:
                self.fault_counts[fault.kind] += bool(fault.kind)
        fault = fault or Fault("")
        if fault.before:
            await asyncio.to_thread(fault.before)
        response = await self._forward(upstream, call) if fault.reaches_server else web.Response()
        if fault.after:
            await asyncio.to_thread(fault.after)
        if fault.status is None and response is not None:
            return response
        if not fault.status:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        error = {"error": {"code": "InjectedFault", "message": "An injected fault."}}
        return web.json_response(error, status=fault.status, headers=dict(fault.headers))

    async def _forward(self, upstream: str, call: Call) -> web.Response | None:
        """The server's response, or None if the server cannot be reached."""
        assert self._session
        url = URL(f"{upstream}{call.path}", encoded=True)
        headers = {name: value for name, value in call.headers.items() if name.lower() not in _HOP_BY_HOP_HEADERS}
        try:
            async with self._session.request(
                call.method, url, data=call.body or None, headers=headers, allow_redirects=False
            ) as response:
                kept = {
                    name: value for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP_HEADERS
                }
                return web.Response(status=response.status, headers=kept, body=await response.read())
        except ClientError:
            return None

    async def _serve_bus(self, upstream_port: int) -> int:
        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not self._bus_open:
                writer.transport.abort()
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", upstream_port)
            self._bus += [writer, up_writer]
            await asyncio.gather(_pipe(reader, up_writer), _pipe(up_reader, writer))

        server = await asyncio.start_server(connect, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def _cut_bus(self) -> None:
        self._bus_open = False
        for writer in self._bus:
            writer.transport.abort()
        self._bus.clear()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()
