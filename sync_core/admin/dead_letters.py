"""Messages that the queue gave up: why, about which class, and what to do; and put back onto the queue on request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sync_core.errors import Malformed, NotFound
from sync_core.messaging.messages import (
    SYNC_REQUESTS,
    ActOnClass,
    Change,
    Priority,
    RefreshTenant,
    Request,
    decode_change,
    decode_request,
)
from sync_core.messaging.port import DeadLetter, DeadLetters, MessageFault
from sync_core.services import Services

_REMEDY = "put right what the reason names, and replay it; or leave it: the next run plans anew what it was about"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUpMessage:
    """A dead letter in an admin's words. `school`, `key`, `kind` and `run` are empty where it cannot be read."""

    queue: str
    number: int
    kind: str
    school: str
    key: str
    run: str
    at: datetime
    deliveries: int
    reason: str
    remedy: str


Visible = Callable[[GivenUpMessage], bool]
"""Whether a caller may see it: he is told of, and replays, no other."""


async def list_dead_letters(visible: Visible, services: Services) -> tuple[GivenUpMessage, ...]:
    """Of all queues, each with the last fault that was written of it."""
    found = await services.dead_letters.listed()
    faults = {
        (queue, fault.message_id): fault
        for queue in (*Priority, SYNC_REQUESTS)
        for fault in await services.runs.message_faults(queue)
    }
    listed = (_given_up(letter, faults.get((letter.queue, letter.message_id))) for letter in found)
    return tuple(one for one in listed if visible(one))


async def replay_one(queue: str, number: int, visible: Visible, services: Services) -> int:
    """Raises NotFound."""
    listed = await list_dead_letters(visible, services)
    wanted = [one for one in listed if (one.queue, one.number) == (queue, number)]
    if not await _replay(wanted, services.dead_letters):
        raise NotFound(f"queue {queue} has no dead letter {number} (any more)", "list the dead letters")
    return 1


async def replay_all(visible: Visible, services: Services) -> int:
    """How many were put back. What is not wanted any more does nothing when its turn comes."""
    return await _replay(await list_dead_letters(visible, services), services.dead_letters)


async def _replay(wanted: Iterable[GivenUpMessage], letters: DeadLetters) -> int:
    numbers: dict[str, set[int]] = {}
    for one in wanted:
        numbers.setdefault(one.queue, set()).add(one.number)
    return sum([len(await letters.replay(queue, ours)) for queue, ours in sorted(numbers.items())])


def _given_up(letter: DeadLetter, fault: MessageFault | None) -> GivenUpMessage:
    message: Request | Change | None = None
    reason, remedy = letter.reason or "the queue gave no reason", _REMEDY
    try:
        message = decode_change(letter.body) if letter.queue in set(Priority) else decode_request(letter.body)
    except Malformed as torn:
        reason, remedy = torn.message, torn.remedy
    return GivenUpMessage(
        queue=letter.queue,
        number=letter.number,
        kind=message.kind if message else "",
        school="" if message is None or isinstance(message, RefreshTenant) else message.school,
        key=message.key if isinstance(message, Change | ActOnClass) else "",
        run=message.run if message else "",
        at=letter.at,
        deliveries=letter.deliveries,
        reason=fault.message if fault else reason,
        remedy=fault.remedy if fault else remedy,
    )
