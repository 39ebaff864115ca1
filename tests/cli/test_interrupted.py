"""Ctrl+C at any moment: one line, no process left, and the world and the settings usable afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from local.commands import PORT
from local.school.generate import generate
from local.school.oneroster_csv import write
from local.world import running_world
from tests.cli.calling import Person
from tests.cli.test_bad_input import remember
from tests.forked import Forked
from tests.local.test_world import exists
from tests.mis import feeds
from tests.serving import serve_all
from tests.waiting import wait_until

_STOPPED = "stopped by SIGINT: what was not done yet is done when you run it again\n"


def children(process: Forked) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    return list(map(int, listed.split()))


def ended(process: Forked, errors: Path) -> tuple[int, str]:
    status, _ = process.finish()
    return status, errors.read_text(encoding="utf-8")


MOMENTS: dict[str, Callable[[Path, Forked], bool]] = {
    "while it starts": lambda world, process: len(children(process)) >= 2,
    "while it syncs": lambda world, process: (world / "host.jsonl").exists() and running_world(world) is not None,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_sync_that_is_interrupted_leaves_no_process_and_a_world_that_goes_on(moment: str, tmp_path: Path) -> None:
    feed, world, errors = tmp_path / "feed", tmp_path / "w", tmp_path / "stderr"
    write(generate(pupils=60), feed)
    (tmp_path / "home").mkdir()
    person = Person(tmp_path / "home")
    sync = person.start("sync", str(feed), "--world", str(world), errors=errors)
    wait_until(lambda: MOMENTS[moment](world, sync))
    processes = children(sync)
    assert processes
    os.kill(sync.pid, signal.SIGINT)
    assert ended(sync, errors) == (130, _STOPPED)
    wait_until(lambda: not any(map(exists, processes)))
    again = person.call("sync", str(feed), "--world", str(world), "--json")
    assert again.status in (0, 4), again.stderr
    assert again.document["messages"]["dead_lettered"] == 0
    listed = person.call("tenant", "--world", str(world), "--json").document
    assert len(listed) == again.document["schools"][0]["groups"]


async def test_who_stops_waiting_for_a_run_is_told_that_it_goes_on(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.json_response({"run": "R1"}, status=202)
        asked.set()
        progress = {"outcome": "requested", "classes": 0, "done": 0, "refused": [], "open": []}
        return web.json_response(progress)

    (tmp_path / "home").mkdir()
    person, errors = Person(tmp_path / "home"), tmp_path / "stderr"
    person.sign_in("admin")
    async with serve_all(handle) as address:
        remember(person, address)
        resync = person.start("resync", "OAK", errors=errors)
        await asked.wait()
        os.kill(resync.pid, signal.SIGINT)
        told = await asyncio.to_thread(ended, resync, errors)
    sentence = (
        "you stopped waiting, and run R1 goes on without you — look at it later: mis-class-sync status OAK --run R1\n"
    )
    assert told == (130, sentence)


def _bound(taken: socket.socket) -> bool:
    try:
        taken.bind(("127.0.0.1", PORT))
    except OSError:
        return False
    taken.listen()
    return True


def test_a_port_that_is_taken_is_said_and_another_one_is_used(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    person, world = Person(tmp_path / "home"), tmp_path / "w"
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have just ended keep it too
        with contextlib.suppress(AssertionError):  # another program has it, and keeps it; the world of a test does not
            wait_until(lambda: _bound(taken), seconds=20)
        up = person.start("up", "--world", str(world), errors=tmp_path / "stderr")
        wait_until(lambda: running_world(world))
        second = person.call("up", "--world", str(world))
        os.kill(up.pid, signal.SIGINT)
        status, printed = up.finish()
    assert status == 0
    assert printed.splitlines()[0].endswith(f"(port {PORT} is taken)")
    assert (second.status, second.stderr) == (
        3,
        f"a world is starting or running in {world}: wait for it, or choose another --world\n",
    )


def test_a_feed_that_is_read_needs_no_world(tmp_path: Path) -> None:
    """What a first user types, in a folder of their own: nothing is left there."""
    (tmp_path / "home").mkdir()
    feed = feeds.write_zip(feeds.oneroster(), tmp_path / "feed.zip")
    planned = Person(tmp_path / "home").call("plan", str(feed), "--world", str(tmp_path / "w"), "--json")
    assert (planned.status, [plan["school"] for plan in planned.document]) == (4, ["S1"])
    assert not (tmp_path / "w").exists()
