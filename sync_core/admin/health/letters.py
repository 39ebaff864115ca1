"""The dead letters for a page about the app's health, which is wanted most while something is away."""

from __future__ import annotations

from functools import partial

from sync_core.admin.dead_letters import ListedDeadLetter, Visible, list_dead_letters
from sync_core.admin.health.attempts import Attempts, Times
from sync_core.admin.health.findings import Finding
from sync_core.services import Services

_TIMES = Times()


async def read_letters(
    visible: Visible, services: Services, times: Times = _TIMES
) -> tuple[ListedDeadLetter, ...] | Finding:
    """The visible dead letters, newest first, or why they cannot be read."""
    found = await Attempts(times)(partial(list_dead_letters, visible, services))
    if isinstance(found, Finding):
        return found
    return tuple(sorted(found, key=lambda letter: (letter.at, letter.queue, letter.number), reverse=True))
