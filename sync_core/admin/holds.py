"""An admin's word on what was held: what was shown is what runs, and nothing else is approved by it."""

from __future__ import annotations

from dataclasses import replace

from sync_core.events import DecideHold, Decision
from sync_core.model import HoldStatus
from sync_core.ports import StateStore

_SAID = {Decision.APPROVE: HoldStatus.APPROVED, Decision.REJECT: HoldStatus.REJECTED}


async def decide_hold(request: DecideHold, state: StateStore) -> None:
    """Write the decision on the hold, if it still stands: the sync that follows finds it by its digest.

    If the MIS has changed meanwhile, what would be done has another digest, and is held anew.
    """
    standing = await state.holds(request.school)
    said = [
        replace(hold, status=_SAID[request.decision]) if hold.digest == request.digest else hold for hold in standing
    ]
    await state.write_holds(request.school, said)
