"""How a command ends that cannot do its work: one sentence with its remedy, and an exit status."""

from __future__ import annotations


class Failed(Exception):
    """A command that cannot do its work. It is printed as one sentence with its remedy."""

    def __init__(self, what: str, remedy: str, status: int) -> None:
        super().__init__(f"{what} — {remedy}")
        self.status = status
