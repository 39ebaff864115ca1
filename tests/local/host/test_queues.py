"""Messages end to end: the real client, the host as a process, and the Service Bus stand-in as another."""

import json

from tests.local.host.processes import World, make_message


async def test_messages_are_delivered_as_by_azure(world: World) -> None:
    """Order, metadata, a poison message, a slow function and a queue without sessions, in one host."""
    await world.send("changes", *(make_message(f"{n}-{k}", f"s{n}") for k in range(4) for n in range(12)))
    await world.send("changes", make_message("bad", "p", poison=True), make_message("after", "p"))
    # Longer than the queue's lock of five seconds.
    await world.send("changes", make_message("slow", "slow", seconds=6), make_message("slow-next", "slow"))
    await world.send("plain", *(make_message(f"plain-{n}", None) for n in range(5)))
    host = await world.start_host()

    await world.wait_until(lambda: len(world.read_events("ended")) == 4 * 12 + 1 + 2 + 5)
    for n in range(12):
        assert [line["id"] for line in world.read_events("ended", f"s{n}")] == [f"{n}-{k}" for k in range(4)]
    deliveries = world.read_events("began", "p")
    assert [(line["id"], line["delivery"]) for line in deliveries] == [("bad", 1), ("bad", 2), ("bad", 3), ("after", 1)]
    assert await world.take_dead_letters("changes", 1) == ["bad"]
    assert [(line["id"], line["delivery"]) for line in world.read_events("began", "slow")] == [
        ("slow", 1),
        ("slow-next", 1),
    ]
    first = world.read_events("began", "s0")[0]
    assert first["properties"] == first["user_properties"] == {"schemaVersion": 1, "kind": "x"}
    assert (first["correlation"], first["enqueued"][:3]) == ("run-1", "202")

    assert await host.end() == 0
    log = [json.loads(line) for line in (world.folder / "log.jsonl").read_text().splitlines()]
    assert {"name": "changed", "id": "0-0"} in [line.get("event") for line in log if line["logger"] == "queues"]
    assert "lock was lost" not in (world.folder / "stderr").read_text()


async def test_sigterm_finishes_the_current_message_and_leaves_the_rest(world: World) -> None:
    host = await world.start_host()
    await world.send("changes", make_message("1", "s", seconds=1), make_message("2", "s"))
    await world.wait_until(lambda: len(world.read_events("began")) == 1)
    assert await host.end() == 0
    assert [line["id"] for line in world.read_events("ended")] == ["1"]

    second_host = await world.start_host()
    await world.wait_until(lambda: len(world.read_events("ended")) == 2)
    assert [(line["id"], line["delivery"]) for line in world.read_events("began")] == [("1", 1), ("2", 1)]
    assert await second_host.end() == 0


async def test_sigterm_cancels_a_message_after_the_grace_period(world: World) -> None:
    host = await world.start_host("--grace", "0.1")
    await world.send("changes", make_message("1", "s", seconds=60))
    await world.wait_until(lambda: len(world.read_events("began")) == 1)
    assert await host.end() == 1
