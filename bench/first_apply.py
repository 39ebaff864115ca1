"""A worker's first change: `python -m bench.first_apply CHANGE` applies it and prints how many SDK models it imported.

CHANGE is the message as it is on the queue. The app's settings are taken from the environment.
"""

from __future__ import annotations

import asyncio
import os
import sys
from importlib import import_module

from sync_core.clock import SystemClock
from sync_core.domain.classes.outcomes import Applied
from sync_core.messaging.messages import Priority, decode_change
from sync_core.wiring import ProcessApp


async def _apply(message: str) -> None:
    app = await ProcessApp(os.environ, SystemClock()).get()
    outcome = await app.handle_change(decode_change(message.encode()), Priority.BULK)
    if not isinstance(outcome, Applied):
        raise RuntimeError(f"nothing was applied: {outcome}")
    models = sum(name.startswith("msgraph.generated.models.") for name in sys.modules)
    sys.stdout.write(f"{models}\n")
    sys.stdout.flush()
    # Leave the clients open: the time that they take to close is not measured.
    os._exit(0)


if __name__ == "__main__":
    import_module("function_app").app.get_functions()
    asyncio.run(_apply(sys.argv[1]))
