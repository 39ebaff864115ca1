"""The host and the Service Bus stand-in as processes, for end-to-end tests."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

from local.servicebus import connection_string
from tests.forked import Forked

APPS = Path(__file__).parent / "apps"
_READY_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Running:
    """A started process and its ready line."""

    process: Forked
    ready: dict[str, Any]

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait. Returns the exit status."""
        if self.process.alive():
            os.kill(self.process.pid, number)
        async with asyncio.timeout(_READY_SECONDS):
            status, _ = await asyncio.to_thread(self.process.finish)
        return status


async def start(
    module: str, *options: str, env: Mapping[str, str] | None = None, stderr: Path = Path(os.devnull)
) -> Running:
    """Start the module and wait for its line of JSON. Raises StartFailed."""
    process = Forked(module, options, stderr, env or {})
    return Running(process, await asyncio.to_thread(process.ready_line))


async def start_broker(port: int = 0) -> Running:
    config = str(APPS / "queues" / "Config.json")
    return await start("local.servicebus", "--config", config, "--port", str(port), "--status-port", "0")


@dataclass(frozen=True, slots=True)
class World:
    """A broker's port, a folder for the app's events and the host's log, and the processes to stop after the test."""

    port: int
    folder: Path
    started: list[Running] = field(default_factory=list)

    async def start_host(self, *options: str) -> Running:
        env = {
            "ServiceBusConnection": connection_string(self.port),
            "QUEUE": "changes",
            "RECORD": str(self.folder / "record"),
            "LOCAL_MASTER_KEY": "mk",
        }
        log = str(self.folder / "log.jsonl")
        arguments = ("local.host", "--app", str(APPS / "queues"), "--port", "0", "--log", log, *options)
        host = await start(*arguments, env=env, stderr=self.folder / "stderr")
        self.started.append(host)
        return host

    async def restart_broker(self) -> None:
        """Start an empty broker on this world's port."""
        self.started.append(await start_broker(self.port))

    async def end(self) -> None:
        for running in self.started:
            await running.end(signal.SIGKILL)

    def read_events(self, event: str, session: str | None = None) -> list[dict[str, Any]]:
        path = self.folder / "record"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if line["event"] == event and session in (None, line["session"])]

    async def wait_until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until the condition is true, such as one on the recorded events."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 -- another process writes the file; there is no event to wait for
                await asyncio.sleep(0.05)

    async def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        async with self.client() as client, client.get_queue_sender(queue) as sender:
            await sender.send_messages(list(messages))

    async def take_dead_letters(self, queue: str, count: int) -> list[str]:
        """Take `count` dead letters off the queue. Returns their ids."""
        ids: list[str] = []
        async with (
            self.client() as client,
            client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
            asyncio.timeout(20),
        ):
            while len(ids) < count:
                for message in await receiver.receive_messages(max_message_count=10, max_wait_time=1):
                    await receiver.complete_message(message)
                    ids.append(str(message.message_id))
        return ids

    def client(self) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(connection_string(self.port))


def make_message(name: str, session: str | None, **body: object) -> ServiceBusMessage:
    return ServiceBusMessage(
        json.dumps(body), message_id=name, session_id=session, correlation_id="run-1",
        application_properties={"schemaVersion": 1, "kind": "x"},
    )  # fmt: skip
