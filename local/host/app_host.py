"""The running host: connects the indexed functions to timers, HTTP and pumps, and stops them again."""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import asdict, dataclass, field

from aiohttp import web
from azure.servicebus.aio import ServiceBusClient
from azure_functions_runtime import start_threadpool_executor, stop_threadpool_executor
from azure_functions_runtime.bindings.datumdef import Datum

from local.host.functions_index import Function
from local.host.host_json import HostOptions
from local.host.http_routes import HttpTriggers, Keys, Route, keys_of, presented_key, route_of
from local.host.invoke import Counts, Invoker
from local.host.refusal import StartRefused
from local.host.servicebus_leases import QueueLeases, metadata_datums, open_client, to_datum
from local.host.session_pump import Delivery, Pump
from local.host.settings import Connection, Settings
from local.host.sign_in import SignIn, sign_in_of
from local.host.timers import Clock, Timer, TimerMonitor, fire, run_timer, timer_of

_SETTLE_SECONDS = 1.0
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """A queue-triggered function with its settings resolved."""

    function: Function
    queue: str
    connection: Connection
    sessions: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The functions to run, validated as a whole before anything starts."""

    functions: Sequence[Function]
    timers: Sequence[Timer]
    routes: Sequence[Route]
    queues: Sequence[QueueTrigger]
    keys: Keys
    sign_in: SignIn
    options: HostOptions
    homepage: bool


def plan_host(functions: Sequence[Function], settings: Settings, options: HostOptions) -> Plan:
    """Raises StartRefused for the first schedule, route, connection or setting that cannot be served."""
    keys = keys_of(settings)
    return Plan(
        functions=functions,
        timers=[timer_of(function, settings) for function in functions if function.kind == "timerTrigger"],
        routes=[
            route_of(function, options.route_prefix, settings, keys)
            for function in functions
            if function.kind == "httpTrigger"
        ],
        queues=[_queue_of(function, settings) for function in functions if function.kind == "serviceBusTrigger"],
        keys=keys,
        sign_in=sign_in_of(settings),
        options=options,
        homepage=settings.values.get("AzureWebJobsDisableHomepage", "").lower() != "true",
    )


def _queue_of(function: Function, settings: Settings) -> QueueTrigger:
    trigger = function.trigger
    if not trigger.get("queueName"):
        raise StartRefused("the local host pumps queues, not topics", function.where, "Use a queue trigger.")
    connection = settings.resolve(str(trigger.get("connection") or "ServiceBus"), function.where)
    return QueueTrigger(
        function,
        settings.resolve(str(trigger["queueName"]), function.where),
        settings.connection(connection, function.where),
        bool(trigger.get("isSessionsEnabled", False)),
    )


@dataclass(slots=True)
class AppHost:
    """A started app. It takes the first of `ports` that is free; `port` is the one in use once `start` has returned."""

    plan: Plan
    clock: Clock
    monitor: TimerMonitor | None = None
    ports: Sequence[int] = (0,)
    port: int = 0
    invoker: Invoker = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _pumps: list[Pump] = field(default_factory=list)
    _clients: dict[Connection, ServiceBusClient] = field(default_factory=dict)
    _runner: web.AppRunner | None = None
    _stopping: bool = False

    def __post_init__(self) -> None:
        self.invoker = Invoker(self.plan.options.function_timeout)
        self.invoker.counts.update({function.name: Counts() for function in self.plan.functions})

    async def start(self) -> None:
        """Open the port, start the pumps and the timers."""
        start_threadpool_executor()
        await self._listen()
        options = self.plan.options.service_bus
        for trigger in self.plan.queues:
            if trigger.connection not in self._clients:
                self._clients[trigger.connection] = open_client(trigger.connection)
            client = self._clients[trigger.connection]
            workers = options.max_concurrent_sessions if trigger.sessions else options.max_concurrent_calls
            leases = QueueLeases(client, trigger.queue, sessions=trigger.sessions)
            pump = Pump(trigger.queue, leases, _QueueRun(trigger.function, self.invoker), options, workers)
            pump.start()
            self._pumps.append(pump)
        for timer in self.plan.timers:
            self._spawn(run_timer(timer, self.invoker, self.clock, self.monitor))

    async def stop(self, grace: float) -> bool:
        """Take no new work, wait up to `grace` seconds for running functions, close every connection.

        Returns whether all functions ended. The message of a function that is cut off is not settled, so it is
        redelivered; a sync function that is cut off keeps its thread.
        """
        self._stopping = True
        # The messages of functions that end in time must still be settled.
        pumps = [asyncio.create_task(pump.drain(grace + _SETTLE_SECONDS)) for pump in self._pumps]
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
        ended = await self.invoker.idle(grace)
        await asyncio.gather(*pumps)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        for client in self._clients.values():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await client.close()
        if ended:
            stop_threadpool_executor()
        return ended

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        app = web.Application(client_max_size=100 * 1024 * 1024)
        app.on_response_prepare.append(_without_banner)
        app.router.add_get("/admin/host/status", self._status)
        app.router.add_post("/admin/functions/{name}", self._run_now)
        app.router.add_get("/.auth/login/aad", self.plan.sign_in.choose)
        app.router.add_post("/.auth/login/aad", self.plan.sign_in.sign_in)
        app.router.add_get("/.auth/logout", self.plan.sign_in.sign_out)
        plan = self.plan
        triggers = HttpTriggers(plan.routes, plan.keys, plan.sign_in, self.invoker, plan.homepage)
        app.router.add_route("*", "/{rest:(?s:.*)}", triggers.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await _listen_on_first(self._runner, self.ports)
        self.port = self._runner.addresses[0][1]

    async def _status(self, request: web.Request) -> web.Response:
        self._need_master_key(request)
        return web.json_response(
            {
                "state": "Stopping" if self._stopping else "Running",
                "functions": [function.name for function in self.plan.functions],
                "invocations": {name: asdict(counts) for name, counts in self.invoker.counts.items()},
            }
        )

    async def _run_now(self, request: web.Request) -> web.Response:
        self._need_master_key(request)
        name = request.match_info["name"]
        timer = next((timer for timer in self.plan.timers if timer.function.name == name), None)
        queue = next((queue for queue in self.plan.queues if queue.function.name == name), None)
        if timer is not None:
            self._spawn(fire(timer, self.invoker, self.clock))
        elif queue is not None:
            self._spawn(self._run_message(queue.function, await _input_of(request)))
        else:
            raise web.HTTPNotFound(text=f"there is no timer or queue function {name}")
        return web.Response(status=202)

    async def _run_message(self, function: Function, text: str) -> None:
        delivery = Delivery(text.encode(), {"DeliveryCount": 1, "ApplicationProperties": {}, "UserProperties": {}})
        await self.invoker.invoke(function, Datum(text, "string"), metadata_datums(delivery))

    def _need_master_key(self, request: web.Request) -> None:
        if not self.plan.keys.open("admin", presented_key(request)):
            raise web.HTTPUnauthorized(text="send the master key (setting LOCAL_MASTER_KEY) as x-functions-key")


@dataclass(frozen=True, slots=True)
class _QueueRun:
    function: Function
    invoker: Invoker

    async def __call__(self, delivery: Delivery) -> bool:
        data = to_datum(delivery, str(self.function.trigger.get("dataType", "")))
        outcome = await self.invoker.invoke(self.function, data, metadata_datums(delivery))
        return outcome.ok


async def _listen_on_first(runner: web.AppRunner, ports: Sequence[int]) -> None:
    """Raises OSError if none of `ports` is free."""
    first, *others = ports
    try:
        await web.TCPSite(runner, "127.0.0.1", first).start()
    except OSError:
        if not others:
            raise
        await _listen_on_first(runner, others)


async def _without_banner(_: web.Request, response: web.StreamResponse) -> None:
    """The headers of an answer are those of the function: aiohttp would name itself in `Server`."""
    response.headers.popall("Server", None)


async def _input_of(request: web.Request) -> str:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("input", ""), str):
        raise web.HTTPBadRequest(text='send {"input": "…"}')
    return str(body.get("input", ""))
