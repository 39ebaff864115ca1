"""A world and its processes: how they end, and what a folder that cannot be used or is in use leads to."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest

from local import loopback
from local.commands import PORT
from local.demo import make_room
from local.nightly import count_messages
from local.processes import NoRoom, StartFailed
from local.world import Addresses, World, require_room, running_world, tenant_at
from sync_core.messaging.messages import CLASS_CHANGES
from tests.forked import Forked, fork_self
from tests.mis import feeds
from tests.waiting import wait_until

_PROCESSES = 4


class Command:
    """`python -m local`, forked, with what it wrote to stderr."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._errors = folder / f"{len(list(folder.iterdir()))}.stderr"
        self.process = Forked("local", options, self._errors, {"TMPDIR": str(folder)}, arguments=[fork_self])

    @property
    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        return list(map(int, listed.split()))

    def finish(self) -> tuple[int, str]:
        """Its exit status, and its stderr."""
        status, _ = self.process.finish()
        return status, self._errors.read_text(encoding="utf-8")


def exists(pid: int) -> bool:
    """A process that ended and waits to be noticed does not count."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_the_end(pids: list[int]) -> None:
    wait_until(lambda: not any(map(exists, pids)))


ENDS = [
    (signal.SIGINT, 0, "stopped by SIGINT\n"),
    (signal.SIGTERM, 0, "stopped by SIGTERM\n"),
    (signal.SIGHUP, 0, "stopped by SIGHUP\n"),
    (signal.SIGKILL, -9, ""),
]


@pytest.mark.parametrize(("number", "status", "line"), ENDS, ids=lambda value: str(getattr(value, "name", "")))
def test_a_signal_to_up_leaves_no_process_and_one_line(
    number: signal.Signals, status: int, line: str, tmp_path: Path
) -> None:
    up = Command(tmp_path, "up", "--world", str(tmp_path / "w"))
    wait_until(lambda: running_world(tmp_path / "w"))
    children = up.children
    assert len(children) == _PROCESSES
    os.kill(up.process.pid, number)
    assert up.finish() == (status, line)
    wait_for_the_end(children)
    assert running_world(tmp_path / "w") is None


def test_a_demo_that_is_terminated_while_it_starts_leaves_neither_process_nor_folder(tmp_path: Path) -> None:
    demo = Command(tmp_path, "demo")
    wait_until(lambda: len(demo.children) == _PROCESSES)
    children = demo.children
    assert list(tmp_path.glob("class-sync-demo-*"))
    os.kill(demo.process.pid, signal.SIGTERM)
    assert demo.finish() == (143, "stopped by SIGTERM: what was not done yet is done when you run it again\n")
    wait_for_the_end(children)
    assert list(tmp_path.glob("class-sync-demo-*")) == []


def test_up_ends_when_one_of_its_processes_dies(tmp_path: Path) -> None:
    up = Command(tmp_path, "up", "--world", str(tmp_path / "w"))
    wait_until(lambda: running_world(tmp_path / "w"))
    bus, *others = up.children
    os.kill(bus, signal.SIGKILL)
    status, errors = up.finish()
    assert status == 3
    assert errors == (
        f"the Service Bus stand-in died, so the world stops; its logs are in {tmp_path / 'w'} — start it again\n"
    )
    wait_for_the_end(others)


def test_up_prints_where_the_console_is_and_keeps_the_usual_port_free_for_it(tmp_path: Path) -> None:
    """Another world may have it: then the console has another, and the line says why."""
    up = Command(tmp_path, "up", "--world", str(tmp_path / "w"))
    wait_until(lambda: running_world(tmp_path / "w"))
    addresses = running_world(tmp_path / "w")
    assert addresses
    taken = "" if addresses.host == f"http://127.0.0.1:{PORT}" else f" (port {PORT} is taken)"
    assert loopback.get(f"{addresses.host}/health", follow_redirects=False).status_code == 302
    os.kill(up.process.pid, signal.SIGINT)
    assert up.process.finish()[1].splitlines() == [
        f"console: {addresses.host}{taken}",
        f"Sign in there as admin, teacher, visitor. All addresses are in {tmp_path / 'w' / 'world.json'}. "
        "Stop it with Ctrl+C.",
    ]


def test_a_demonstration_replaces_an_earlier_one_and_removes_nothing_else(tmp_path: Path) -> None:
    make_room(tmp_path / "demo")
    (tmp_path / "demo" / "tenant.jsonl").touch()
    make_room(tmp_path / "demo")
    assert not (tmp_path / "demo" / "tenant.jsonl").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work").touch()
    for _ in range(2):
        make_room(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["work"]


def test_a_demonstration_does_not_replace_a_world_that_runs(tmp_path: Path, storage: str) -> None:
    make_room(tmp_path / "demo")
    world = World(tmp_path / "demo", spawn=Forked, storage=storage)
    world.start()
    try:
        with pytest.raises(StartFailed, match=r"a world is running in .*: stop it, or choose another --world"):
            make_room(tmp_path / "demo")
        assert (tmp_path / "demo" / "world.json").exists()
    finally:
        world.stop()


def test_a_second_up_is_refused_and_leaves_the_first_findable(tmp_path: Path, storage: str) -> None:
    world = World(tmp_path / "w", spawn=Forked, storage=storage)
    first = world.start()
    try:
        status, errors = Command(tmp_path, "up", "--world", str(tmp_path / "w")).finish()
        assert (status, running_world(tmp_path / "w")) == (3, first)
        assert errors == (
            f"a world is starting or running in {tmp_path / 'w'}: wait for it, or choose another --world\n"
        )
    finally:
        world.stop()
    assert running_world(tmp_path / "w") is None


def test_a_world_whose_process_id_is_another_process_does_not_run(tmp_path: Path) -> None:
    left = Addresses(os.getpid(), "http://t", "http://b", "sb://b:1", "tables", "http://h")
    (tmp_path / "world.json").write_text(json.dumps(asdict(left)), encoding="utf-8")
    (tmp_path / "lock").touch()
    assert running_world(tmp_path) is None


def make_file(folder: Path) -> None:
    folder.touch()


def make_full(folder: Path) -> None:
    folder.mkdir()
    (folder / "queues.json").symlink_to("/dev/full")


def make_unusable_lock(folder: Path) -> None:
    (folder / "lock").mkdir(parents=True)


UNUSABLE = [(make_file, "File exists"), (make_full, "No space left on device"), (make_unusable_lock, "Is a directory")]


@pytest.mark.parametrize("command", ["up", "check"])
@pytest.mark.parametrize(("make", "reason"), UNUSABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_folder_that_cannot_be_used_is_a_message(make: object, reason: str, command: str, tmp_path: Path) -> None:
    assert callable(make)
    make(tmp_path / "w")
    status, errors = Command(tmp_path, command, "--world", str(tmp_path / "w")).finish()
    assert status == 3
    assert errors.startswith(f"the world in {tmp_path / 'w'} cannot start: {reason} (")
    assert errors.endswith("name another folder with --world, or make room and see that you may write there\n")
    assert errors.count("\n") == 1


def test_a_full_disk_is_no_success() -> None:
    """The file system of processes has no room."""
    with pytest.raises(NoRoom, match=r"the disk of /proc has 0 KiB left of the 16,384 KiB that a world needs"):
        require_room(Path("/proc"))
    require_room(Path(tempfile.gettempdir()))


def test_a_sync_whose_bus_is_killed_says_so_and_the_next_one_does_the_rest(tmp_path: Path) -> None:
    settings, feed = tmp_path / "school.json", feeds.write_zip(feeds.oneroster(), tmp_path / "feed.zip")
    settings.write_text('{"admin_owners": ["boss@school.onmicrosoft.com"]}', encoding="utf-8")
    sync = ("sync", "--world", str(tmp_path / "w"), "--mis", str(feed), "--school", str(settings))
    up = Command(tmp_path, "up", "--world", str(tmp_path / "w"))
    wait_until(lambda: running_world(tmp_path / "w"))
    addresses = running_world(tmp_path / "w")
    assert addresses
    fault = {"method": "POST", "path": "^/education/classes$", "times": 1000, "status": 503}
    loopback.post(f"{addresses.tenant}/_sim/faults", json=fault).raise_for_status()
    killed = Command(tmp_path, *sync)
    wait_until(lambda: count_messages(addresses)[CLASS_CHANGES]["locked"])
    bus, *others = up.children
    os.kill(bus, signal.SIGKILL)
    status, errors = killed.finish()
    assert status == 3
    assert re.match(
        r"the queues cannot be read now \(\w+\); when they were last read, 0 of [09] changes were settled, and the "
        r"next sync does the rest — run it again; see ",
        errors,
    )
    assert up.finish()[0] == 3
    wait_for_the_end(others)

    status, errors = Command(tmp_path, *sync, "--out", "/dev/full").finish()
    cause = "/dev/full cannot be written: No space left on device — make room there, and run it again\n"
    assert (status, errors) == (3, cause)
    with tenant_at(tmp_path / "w", Forked) as tenant:
        classes = loopback.get(f"{tenant}/_sim/classes").json()
    assert sorted(len(class_["members"]) for class_ in classes) == [2, 3, 3]
