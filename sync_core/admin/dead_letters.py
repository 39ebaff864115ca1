"""Dead-lettered messages: the reason, the class, the remedy; and replaying them on request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Malformed, NotFound
from sync_core.messaging.messages import (
    QUEUES,
    ActOnClass,
    Change,
    Priority,
    RefreshTenant,
    Request,
    decode_change,
    decode_request,
)
from sync_core.messaging.port import DeadLetter, MessageFault
from sync_core.services import Services

_REMEDY = "correct the cause, then replay the message; if you do not, the next sync plans its changes again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDeadLetter:
    """A dead letter as admins see it. `school`, `key`, `kind` and `run` are empty if the message is not readable."""

    queue: str
    number: int
    kind: str
    school: SchoolId
    key: ClassKey
    run: RunId
    at: datetime
    deliveries: int
    reason: str
    remedy: str


Visible = Callable[[ListedDeadLetter], bool]
"""Whether a caller may list and replay a dead letter."""


def visible_to_all_schools(_: ListedDeadLetter) -> bool:
    """Only admins of all schools see those that belong to no known school."""
    return True


def visible_to_schools(schools: Iterable[SchoolSettings]) -> Visible:
    ids = frozenset(settings.school for settings in schools)
    return lambda letter: letter.school in ids


async def list_dead_letters(visible: Visible, services: Services) -> list[ListedDeadLetter]:
    """The visible dead letters of all queues, each with the last fault recorded for it."""
    by_queue = await asyncio.gather(*map(services.dead_letters.listed, QUEUES))
    letters = chain.from_iterable(by_queue)
    faults = {
        (queue, fault.message_id): fault for queue in QUEUES for fault in await services.runs.message_faults(queue)
    }
    listed = (_listed(letter, faults.get((letter.queue, letter.message_id))) for letter in letters)
    return [letter for letter in listed if visible(letter)]


async def replay_one(queue: str, number: int, visible: Visible, services: Services) -> int:
    """Put one visible dead letter back on its queue, and return 1. Raises NotFound."""
    if not await replay_chosen({(queue, number)}, visible, services):
        raise NotFound(f"queue {queue} has no dead letter {number}", "list the dead letters to see their numbers")
    return 1


async def replay_chosen(chosen: Set[tuple[str, int]], visible: Visible, services: Services) -> int:
    """Put those of `chosen`, by queue and number, back that exist and are visible, and return how many these were."""
    return await replay_all(lambda letter: (letter.queue, letter.number) in chosen and visible(letter), services)


async def replay_all(visible: Visible, services: Services) -> int:
    """Put the visible dead letters back on their queues, and return their number. Outdated messages change nothing."""
    numbers: dict[str, set[int]] = {}
    for letter in await list_dead_letters(visible, services):
        numbers.setdefault(letter.queue, set()).add(letter.number)
    return sum([len(await services.dead_letters.replay(queue, ours)) for queue, ours in sorted(numbers.items())])


def _listed(letter: DeadLetter, fault: MessageFault | None) -> ListedDeadLetter:
    message: Request | Change | None = None
    reason, remedy = letter.reason or "the queue recorded no reason", _REMEDY
    try:
        message = decode_change(letter.body) if letter.queue in set(Priority) else decode_request(letter.body)
    except Malformed as malformed:
        reason, remedy = malformed.message, malformed.remedy
    return ListedDeadLetter(
        queue=letter.queue,
        number=letter.number,
        kind=message.kind if message else "",
        school=SchoolId("") if message is None or isinstance(message, RefreshTenant) else message.school,
        key=message.key if isinstance(message, Change | ActOnClass) else ClassKey(""),
        run=message.run if message else RunId(""),
        at=letter.at,
        deliveries=letter.deliveries,
        reason=fault.message if fault else reason,
        remedy=fault.remedy if fault else remedy,
    )
