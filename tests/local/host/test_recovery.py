"""What the host survives and what ends it, as a process: kill -9, a broker that is away, refusals at the start."""

import json
import signal
from pathlib import Path

import pytest

from tests.local.host.processes import APPS, World, message, start


async def test_what_kill_9_interrupts_is_delivered_again(world: World) -> None:
    host = await world.start_host()
    await world.send("changes", message("1", "s", seconds=2), message("2", "s"))
    await world.until(lambda: len(world.record("began")) == 1)
    assert await host.end(signal.SIGKILL) == -signal.SIGKILL

    again = await world.start_host()
    await world.until(lambda: len(world.record("ended")) == 2)
    assert [line["id"] for line in world.record("ended")] == ["1", "2"]
    assert await again.end() == 0


async def test_a_broker_that_goes_and_comes_back(world: World) -> None:
    host = await world.start_host()
    await world.send("changes", message("before", "s"))
    await world.until(lambda: len(world.record("ended")) == 1)
    broker = world.started[0]
    await broker.end(signal.SIGKILL)
    errors = world.folder / "stderr"
    await world.until(lambda: "queue changes: the broker is away" in errors.read_text())

    await world.restart_broker()
    await world.send("changes", message("after", "s"))
    await world.until(lambda: len(world.record("ended")) == 2)
    assert await host.end() == 0
    assert errors.read_text().count("queue changes: the broker is away") == 1
    assert errors.read_text().count("queue changes: the broker is back") == 1


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (None, "function nightly, binding timer (timerTrigger): the setting SCHEDULE is missing"),
        ("nonsense", "function nightly, binding timer (timerTrigger): bad schedule: 'nonsense' has 1 fields"),
    ],
)
async def test_a_refusal_ends_the_process_with_status_1(tmp_path: Path, schedule: str | None, words: str) -> None:
    settings = tmp_path / "local.settings.json"
    settings.write_text(json.dumps({"Values": {"SCHEDULE": schedule} if schedule else {}}))
    errors = tmp_path / "stderr"
    with pytest.raises(AssertionError, match="ended before it was ready: 1"):
        await start("local.host", "--app", str(APPS / "web"), "--settings", str(settings), stderr=errors)
    assert words in errors.read_text()
    assert "Traceback" not in errors.read_text()


async def test_a_taken_port_is_refused(world: World) -> None:
    taken = str(world.port)
    errors = world.folder / "stderr"
    with pytest.raises(AssertionError, match="ended before it was ready: 1"):
        await world.start_host("--port", taken)
    assert f"port {taken}" in errors.read_text()
