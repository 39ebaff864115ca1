"""Run pytest in several workers: `python -m tests.workers NUMBER` and options of pytest.

This process imports all tests, and each worker is forked from it: else each would import them again, and in a new
checkout compile them. pytest-xdist starts tests/worker_interpreter.py as the interpreter of a worker. That hands over
its input and output, and ends when the worker does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from select import select
from tempfile import mkdtemp

import pytest

from local.processes import die_with_parent
from tests.forked import start_fork_server, use_fork_server_of_parent
from tests.storage import start_azurite

_INTERPRETER = Path(__file__).with_name("worker_interpreter.py")


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status of pytest; in a worker, its own."""
    number, *options = arguments
    start_fork_server()
    with redirect_stdout(StringIO()) as printed:
        status = pytest.main(["-qq", "--collect-only"])
    if status:
        sys.stdout.write(printed.getvalue())
        return status
    folder, count = Path(mkdtemp()), int(number)
    # A worker that crashes is replaced, as often as there are workers.
    azurite = start_azurite(folder / "azurite.log", 2 * count)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "workers"))
        server.listen()
        interpreter = shlex.join([sys.executable, "-IS", str(_INTERPRETER), str(folder / "workers")])
        workers = [f"--tx={count}*popen//python={interpreter}", f"--max-worker-restart={count}"]
        controller, ended = _start([*workers, *options])
        while server.fileno() in select([server.fileno(), ended], [], [])[0]:
            link, _ = server.accept()
            _, streams, _, _ = socket.recv_fds(link, 1, 3)
            if not os.fork():
                return _work(link, streams)
            link.close()
            for each in streams:
                os.close(each)
    azurite.stop()
    shutil.rmtree(folder)
    return os.waitstatus_to_exitcode(os.waitpid(controller, 0)[1])


def _start(options: Sequence[str]) -> tuple[int, int]:
    """Start pytest. Returns its process, and a descriptor that can be read when it has ended."""
    parent = os.getpid()
    ended, held = os.pipe()
    controller = os.fork()
    if not controller:
        die_with_parent(parent)
        os.set_inheritable(held, True)
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *options])
    os.close(held)
    # The terminal sends Ctrl+C to pytest, too, which ends everything in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return controller, ended


def _work(link: socket.socket, streams: Sequence[int]) -> int:
    """What the interpreter of a worker does: run the line that it is sent."""
    use_fork_server_of_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    with link, open(0, encoding="utf-8", closefd=False) as sys.stdin:
        exec(eval(sys.stdin.readline()), {"__name__": "__main__"})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
