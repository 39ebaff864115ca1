"""How a command ends that cannot do its work: one sentence with its remedy, and an exit status."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """The exit statuses, the same for every command; its help says what they mean there."""

    GOOD = 0
    NOT_DONE = 1
    REFUSED = 2
    UNREACHABLE = 3
    WAITS = 4


class Failed(Exception):
    """A command that cannot do its work. It is printed as one sentence with its remedy."""

    def __init__(self, what: str, remedy: str, status: int) -> None:
        super().__init__(f"{what} — {remedy}")
        self.status = status
