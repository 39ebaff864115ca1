"""The host as a process survives kill -9 and an outage of the broker, and ends on an invalid configuration."""

import json
import signal
from pathlib import Path

import pytest

from local.processes import StartFailed
from tests.local.host.processes import APPS, World, make_message, start


async def test_a_message_interrupted_by_kill_9_is_delivered_again(world: World) -> None:
    host = await world.start_host()
    await world.send("changes", make_message("1", "s", seconds=2), make_message("2", "s"))
    await world.wait_until(lambda: len(world.read_events("began")) == 1)
    assert await host.end(signal.SIGKILL) == -signal.SIGKILL

    second_host = await world.start_host()
    await world.wait_until(lambda: len(world.read_events("ended")) == 2)
    assert [line["id"] for line in world.read_events("ended")] == ["1", "2"]
    assert await second_host.end() == 0


async def test_the_host_survives_an_outage_of_the_broker(world: World) -> None:
    host = await world.start_host()
    await world.send("changes", make_message("before", "s"))
    await world.wait_until(lambda: len(world.read_events("ended")) == 1)
    broker = world.started[0]
    await broker.end(signal.SIGKILL)
    errors = world.folder / "stderr"
    await world.wait_until(lambda: "queue changes: the broker is away" in errors.read_text())

    await world.restart_broker()
    await world.send("changes", make_message("after", "s"))
    await world.wait_until(lambda: len(world.read_events("ended")) == 2)
    assert await host.end() == 0
    assert errors.read_text().count("queue changes: the broker is away") == 1
    assert errors.read_text().count("queue changes: the broker is back") == 1


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (None, "function nightly, binding timer (timerTrigger): the setting SCHEDULE is missing"),
        ("nonsense", "function nightly, binding timer (timerTrigger): bad schedule: 'nonsense' has 1 fields"),
    ],
)
async def test_an_invalid_schedule_ends_the_process_with_1(tmp_path: Path, schedule: str | None, message: str) -> None:
    settings = tmp_path / "local.settings.json"
    settings.write_text(json.dumps({"Values": {"SCHEDULE": schedule} if schedule else {}}))
    errors = tmp_path / "stderr"
    with pytest.raises(StartFailed, match="ended with 1 before it was ready"):
        await start("local.host", "--app", str(APPS / "web"), "--settings", str(settings), stderr=errors)
    assert message in errors.read_text()
    assert "Traceback" not in errors.read_text()


async def test_a_port_in_use_is_rejected(world: World) -> None:
    taken = str(world.port)
    errors = world.folder / "stderr"
    with pytest.raises(StartFailed, match="ended with 1 before it was ready"):
        await world.start_host("--port", taken)
    assert f"port {taken}" in errors.read_text()


async def test_of_several_ports_the_first_that_is_free_is_taken(world: World) -> None:
    host = await world.start_host("--port", str(world.port), "0")
    assert host.ready["port"] not in (0, world.port)
