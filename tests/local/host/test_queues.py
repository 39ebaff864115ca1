"""The whole way for messages: the real client, the host as a process, the Service Bus stand-in as another."""

import json

from tests.local.host.processes import World, message


async def test_stories(world: World) -> None:
    """Order, metadata, poison, a slow function and a queue without sessions, all at once in one host."""
    await world.send("changes", *(message(f"{n}-{k}", f"s{n}") for k in range(4) for n in range(12)))
    await world.send("changes", message("bad", "p", poison=True), message("after", "p"))
    # Longer than the queue's lock of five seconds.
    await world.send("changes", message("slow", "slow", seconds=6), message("slow-next", "slow"))
    await world.send("plain", *(message(f"plain-{n}", None) for n in range(5)))
    host = await world.start_host()

    await world.until(lambda: len(world.record("ended")) == 4 * 12 + 1 + 2 + 5)
    for n in range(12):
        assert [line["id"] for line in world.record("ended", f"s{n}")] == [f"{n}-{k}" for k in range(4)]
    began = world.record("began", "p")
    assert [(line["id"], line["delivery"]) for line in began] == [("bad", 1), ("bad", 2), ("bad", 3), ("after", 1)]
    assert await world.dead_letters("changes", 1) == ["bad"]
    assert [(line["id"], line["delivery"]) for line in world.record("began", "slow")] == [
        ("slow", 1),
        ("slow-next", 1),
    ]
    first = world.record("began", "s0")[0]
    assert first["properties"] == first["user_properties"] == {"schemaVersion": 1, "kind": "x"}
    assert (first["correlation"], first["enqueued"][:3]) == ("run-1", "202")

    assert await host.end() == 0
    log = [json.loads(line) for line in (world.folder / "log.jsonl").read_text().splitlines()]
    assert {"name": "changed", "id": "0-0"} in [line.get("event") for line in log if line["logger"] == "queues"]
    assert "lock was lost" not in (world.folder / "stderr").read_text()


async def test_sigterm_lets_the_message_in_hand_end_and_leaves_the_rest(world: World) -> None:
    host = await world.start_host()
    await world.send("changes", message("1", "s", seconds=1), message("2", "s"))
    await world.until(lambda: len(world.record("began")) == 1)
    assert await host.end() == 0
    assert [line["id"] for line in world.record("ended")] == ["1"]

    again = await world.start_host()
    await world.until(lambda: len(world.record("ended")) == 2)
    assert [(line["id"], line["delivery"]) for line in world.record("began")] == [("1", 1), ("2", 1)]
    assert await again.end() == 0


async def test_sigterm_cuts_off_what_outlasts_the_grace(world: World) -> None:
    host = await world.start_host("--grace", "0.1")
    await world.send("changes", message("1", "s", seconds=60))
    await world.until(lambda: len(world.record("began")) == 1)
    assert await host.end() == 1
