"""Gates on the wires of the local world: real sockets, through which every request passes, or meets a fault."""

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
_OF_ONE_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way. `path` is with its query; `number` counts from 1 since the gate's rule was set."""

    number: int
    server: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def shape(self) -> str:
        """What kind of request it is: ids, keys and queries are left out."""
        plain = re.sub(r"\(.*?\)", "()", _ID.sub("{id}", self.path.partition("?")[0]))
        return f"{self.server} {self.method} {plain}"

    @property
    def same(self) -> tuple[str, str, bytes]:
        """What a repetition of this request has too; the boundary of a transaction is new each time."""
        return self.method, self.path, _ID.sub("", self.body.decode("latin-1")).encode()


@dataclass(frozen=True, slots=True)
class Deed:
    """What befalls a request. `first` and `then` are done before and after the server's work.

    `work` says whether the server gets to see it; `status` is answered in place of what the server said, and 0 cuts
    the connection. None lets the server's answer through. Nothing that has no `kind` is counted.
    """

    kind: str
    work: bool = True
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    first: Callable[[], None] | None = None
    then: Callable[[], None] | None = None

    def of(self, server: str) -> Deed:
        """The same, counted as that server's."""
        return replace(self, kind=f"{server}: {self.kind}")


Rule = Callable[[Call], Deed | None]


def no_rule(_: Call) -> None:
    return None


class Gates:
    """All gates of a world, on a thread of their own; `done` counts the deeds by kind."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
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
        self._await(self._begin())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def set(self, rule: Rule) -> None:
        """From now on; calls are numbered anew."""
        with self._lock:
            self._rule = rule
            self.calls = []

    def http(self, server: str, upstream: str) -> str:
        """The address of a gate to `upstream` (scheme, host and port)."""
        port: int = self._await(self._serve_http(server, upstream))
        return f"http://127.0.0.1:{port}"

    def bus(self, upstream_port: int) -> int:
        """The port of a gate to the queues."""
        port: int = self._await(self._serve_bus(upstream_port))
        return port

    def cut_bus(self) -> None:
        """Every connection is cut, and none is taken until `mend_bus`."""
        self._await(self._cut_bus())

    def mend_bus(self) -> None:
        self._bus_open = True

    # --- within

    def _await(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _begin(self) -> None:
        self._session = ClientSession(auto_decompress=False, timeout=ClientTimeout(total=None))

    async def _end(self) -> None:
        await self._cut_bus()
        for runner in self._runners:
            await runner.cleanup()
        assert self._session
        await self._session.close()

    async def _serve_http(self, server: str, upstream: str) -> int:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self._pass(server, upstream, request)

        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])

    async def _pass(self, server: str, upstream: str, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        with self._lock:
            number = len(self.calls) + 1
            call = Call(number, server, request.method, request.raw_path, dict(request.headers), body)
            self.calls.append(call)
            deed = self._rule(call)
            if deed:
                self.done[deed.kind] += bool(deed.kind)
        deed = deed or Deed("")
        if deed.first:
            await asyncio.to_thread(deed.first)
        answer = await self._forward(upstream, call) if deed.work else web.Response()
        if deed.then:
            await asyncio.to_thread(deed.then)
        if deed.status is None and answer is not None:
            return answer
        if not deed.status:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        error = {"error": {"code": "InjectedFault", "message": "A fault on demand."}}
        return web.json_response(error, status=deed.status, headers=dict(deed.headers))

    async def _forward(self, upstream: str, call: Call) -> web.Response | None:
        """None where the server is away."""
        assert self._session
        url = URL(f"{upstream}{call.path}", encoded=True)
        headers = {name: value for name, value in call.headers.items() if name.lower() not in _OF_ONE_HOP}
        try:
            async with self._session.request(
                call.method, url, data=call.body or None, headers=headers, allow_redirects=False
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_ONE_HOP}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
        except ClientError:
            return None

    async def _serve_bus(self, upstream_port: int) -> int:
        async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not self._bus_open:
                writer.transport.abort()
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", upstream_port)
            self._bus += [writer, up_writer]
            await asyncio.gather(_pipe(reader, up_writer), _pipe(up_reader, writer))

        listening = await asyncio.start_server(joined, "127.0.0.1", 0)
        return int(listening.sockets[0].getsockname()[1])

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
