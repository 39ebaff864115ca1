"""What the triggers of the two queues of changes call: apart from `app.py`, which imports every other use case."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core import telemetry
from sync_core.applying.change import apply_change
from sync_core.domain.classes.outcomes import Outcome
from sync_core.messaging.messages import Change, Priority
from sync_core.services import Applying


@dataclass(frozen=True, slots=True)
class ChangeHandler:
    """The use case of a change, with its services filled in."""

    services: Applying

    async def handle(self, change: Change, priority: Priority) -> Outcome:
        outcome = await apply_change(change, priority, self.services)
        telemetry.change_settled(change, outcome)
        return outcome
