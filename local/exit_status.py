"""How a command ends, for scripts."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """The exit statuses, the same for every command; its help says what they mean there."""

    GOOD = 0
    NOT_DONE = 1
    REFUSED = 2
    UNREACHABLE = 3
    WAITS = 4
