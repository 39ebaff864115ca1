"""Child processes of the local world: each has its own session, prints a line when ready, and ends with its parent."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import selectors
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

_PR_SET_PDEATHSIG = 1
_LAST_LINES = 12
_STOPPING: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Windows has no SIGHUP."""
READY_WITHIN = 60.0


def collect_garbage_seldom() -> None:
    """Call it once everything is imported: what is there stays, and looking through it takes a ninth of the time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


class StartFailed(Exception):
    """A process that did not become ready; the message has the path of its log and the last lines of it."""


class NoRoom(StartFailed):
    """A disk that is full, before a world starts or after a call."""


class NotOnWindows(StartFailed):
    """A world is wanted on a system whose processes it cannot run."""


def require_posix(folder: Path) -> None:
    """Raises NotOnWindows, before anything of the world in `folder` is read, if this system is not POSIX."""
    if find_spec("fcntl") is None:
        raise NotOnWindows(
            f"the world in {folder} needs processes that Windows does not have, so nothing was started — run "
            "this command in WSL or in the dev container (docs/windows.md)"
        )


class Stopped(KeyboardInterrupt):
    """A person or the system stops this process with a signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


def stop_on_signals() -> None:
    """Have each signal that stops a process raise Stopped, once: what is started is then stopped without interruption.

    A signal that is ignored already, as SIGHUP is under nohup, stays ignored.
    """
    numbers = [each for each in _STOPPING if signal.getsignal(each) is not signal.SIG_IGN]

    def stop(number: int, _: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        # A coroutine that was just made and is not awaited any more is nothing that a person must read of.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
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
        ready: dict[str, Any] = json.loads(next(self.lines()))
        return ready

    def lines(self, within: float = READY_WITHIN) -> Iterator[bytes]:
        """The lines that it prints from now on. Raises StartFailed if it dies or the seconds are up."""
        assert self.process.stdout is not None
        deadline, text = time.monotonic() + within, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while selector.select(deadline - time.monotonic()):
                part = os.read(self.process.stdout.fileno(), 65_536)
                if not part:
                    break
                *lines, text = (text + part).split(b"\n")
                yield from lines
        self.kill()
        raise self._failure()

    def _failure(self) -> StartFailed:
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


def die_with_parent(parent: int, stop_with: signal.Signals = signal.SIGTERM) -> None:
    """Have Linux send the signal to this process, a child of `parent`, when its parent ends, however it ends.

    Signals that the parent held back while it started this process are let through.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, stop_with)
        if os.getppid() != parent:
            signal.raise_signal(signal.SIGKILL)
