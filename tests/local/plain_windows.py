"""The command line as on plain Windows: an interpreter that reads calls from its input, one in JSON a line.

Modules, functions and signals that only POSIX has are gone before the command line is imported. Each call runs in a
fork of its own, which refuses a socket (so an event loop too) and a child process. Its exit status, a line, follows.
"""

from __future__ import annotations

import asyncio  # noqa: F401  # with subprocess: the standard library picks its parts for this system when imported
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

# The Python documentation says of each of them: "Availability: Unix".
_MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "crypt", "spwd", "readline", "curses")
_FUNCTIONS = (
    *("fork", "forkpty", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getpgid", "getpgrp", "getsid"),
    *("setuid", "setgid", "setsid", "setpgid", "killpg", "mkfifo", "mknod", "chown", "lchown", "chroot", "fchown"),
    *("posix_spawn", "posix_spawnp", "pread", "pwrite", "preadv", "pwritev", "readv", "writev", "lockf", "nice"),
    *(
        "sendfile",
        "statvfs",
        "fstatvfs",
        "sched_getaffinity",
        "sched_yield",
        "uname",
        "getloadavg",
        "sync",
        "fdatasync",
    ),
    *("wait", "wait3", "wait4", "register_at_fork", "getresuid", "setresuid"),
    *("WNOHANG", "WIFEXITED", "WEXITSTATUS", "openpty", "ttyname", "tcgetpgrp", "getxattr", "setxattr", "listxattr"),
)
_SIGNALS_OF_WINDOWS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}
_SIGNAL_FUNCTIONS = ("pthread_sigmask", "pthread_kill", "sigwait", "alarm", "setitimer", "pause", "siginterrupt")
_FORK = "os.fork"
_refused = {
    *("subprocess.Popen", "os.system", "os.exec", _FORK, "os.forkpty", "os.posix_spawn", "os.kill"),
    *("socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendto"),
}


def _take_away() -> None:
    for name in _MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # how an import is made to fail
    for name in _FUNCTIONS:
        if hasattr(os, name):
            delattr(os, name)
    signals = [name for name in dir(signal) if name.startswith("SIG") and not name.startswith("SIG_")]
    for name in (*_SIGNAL_FUNCTIONS, *sorted(set(signals) - _SIGNALS_OF_WINDOWS)):
        delattr(signal, name)


def _refuse(event: str, _: tuple[object, ...]) -> None:
    if event in _refused:
        raise AssertionError(f"{event} was called")


def _answer(call: dict[str, Any], main: Callable[[], int]) -> NoReturn:
    """What the command does, in the folder of the call and printed into its files as a console prints it."""
    _refused.add(_FORK)
    os.chdir(call["folder"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # An error may always be printed, as Python does with its own stderr.
    for name, errors in (("stdout", "strict"), ("stderr", "backslashreplace")):
        stream: io.TextIOWrapper = getattr(sys, name)
        os.dup2(os.open(call[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
        stream.reconfigure(encoding=call["encoding"], errors=errors)
    sys.argv = ["plain_windows", *call["options"]]
    sys.exit(main())


def _serve() -> None:
    fork, statuses = os.fork, os.fdopen(os.dup(1), "w")
    _take_away()
    sys.addaudithook(_refuse)

    import local.commands  # noqa: F401  # with the line above: what each call would import again
    from local.__main__ import main

    _refused.remove(_FORK)
    for line in sys.stdin:
        child = fork()
        if not child:
            _answer(json.loads(line), main)
        statuses.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        statuses.flush()


if __name__ == "__main__":
    _serve()
