"""The command line as on plain Windows: `python -m tests.local.plain_windows check FEED`.

Modules, functions and signals that only POSIX has are gone, and a socket (so an event loop too) and a child process
are refused.
"""

from __future__ import annotations

import asyncio  # noqa: F401  # with subprocess: the standard library picks its parts for this system when imported
import os
import signal
import sys

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
_REFUSED = {
    *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.kill"),
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
    if event in _REFUSED:
        raise AssertionError(f"{event} was called")


if __name__ == "__main__":
    _take_away()
    sys.addaudithook(_refuse)
    from local.__main__ import main

    sys.exit(main())
