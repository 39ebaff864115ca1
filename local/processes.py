"""Child processes of the local world: each has its own session, prints a line when ready, and ends with its parent."""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

_PR_SET_PDEATHSIG = 1
_LAST_LINES = 12
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READY_WITHIN = 60.0


class StartFailed(Exception):
    """A process that did not become ready; the message has the path of its log and the last lines of it."""


class NoRoom(StartFailed):
    """A disk that is full, before a world starts or after a call."""


class Stopped(KeyboardInterrupt):
    """A person or the system stops this process with a signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


def stop_on_signals() -> None:
    """Have SIGINT, SIGTERM and SIGHUP raise Stopped, once: what is started is then stopped without interruption.

    A signal that is ignored already, as SIGHUP is under nohup, stays ignored.
    """
    numbers = [each for each in _STOPPING if signal.getsignal(each) is not signal.SIG_IGN]

    def stop(number: int, _: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number))

    for each in numbers:
        signal.signal(each, stop)


@contextmanager
def signals_held() -> Iterator[None]:
    """Holds back the signals that stop this process while it starts a child and notes it: else nobody would stop it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Process(Protocol):
    """A running process of the world."""

    @property
    def pid(self) -> int: ...

    def ready_line(self) -> dict[str, Any]:
        """The first line it prints, which is JSON. Raises StartFailed if it dies or prints nothing in time."""

    def alive(self) -> bool: ...

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""

    def kill(self) -> None:
        """End it as a crash would."""


class Spawn(Protocol):
    """Starts `python -m module` with these options. Its stderr goes to `log`; `environment` extends this process's."""

    def __call__(self, module: str, options: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process: ...


class Child:
    """A process whose stderr goes to `log`. `stop_with` is the signal at which it stops cleanly."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        stop_with: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self._log = log
        self._stop_with = stop_with
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid(), stop_with),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def ready_line(self) -> dict[str, Any]:
        """The first line it prints, which is JSON. Raises StartFailed if it dies or prints nothing in time."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if selector.select(READY_WITHIN):
                line = self.process.stdout.readline()
                if line:
                    ready: dict[str, Any] = json.loads(line)
                    return ready
        self.kill()
        raise self.failure()

    def failure(self) -> StartFailed:
        last = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        return StartFailed("\n".join([f"{self.name} did not start; its log is {self._log}:", *last]))

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, within: float = 15.0) -> None:
        if self.alive():
            self.process.send_signal(self._stop_with)
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self.alive():
            self.process.kill()
            self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()


def spawn_interpreter(module: str, options: Sequence[str], log: Path, environment: Mapping[str, str]) -> Child:
    """Implements Spawn with a new interpreter."""
    return Child(module, [sys.executable, "-m", module, *options], log, environment)


def wait_until(ready: Callable[[], bool], child: Child, within: float = READY_WITHIN) -> None:
    """Wait until `ready()` is true. Raises StartFailed if the child dies or the time is up."""
    deadline = time.monotonic() + within
    while not ready():
        if not child.alive() or time.monotonic() > deadline:
            child.kill()
            raise child.failure()
        time.sleep(0.05)


def die_with_parent(parent: int, stop_with: signal.Signals = signal.SIGTERM) -> None:
    """Have Linux send the signal to this process, a child of `parent`, when its parent ends, however it ends.

    Signals that the parent held back while it started this process are let through.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, stop_with)
        if os.getppid() != parent:
            signal.raise_signal(signal.SIGKILL)
