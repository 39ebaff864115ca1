"""A worker's first change: `python -m bench.first_apply CHANGE` applies it and prints which modules were imported.

It prints two lists of names in JSON: those once the functions were indexed, and those once the change was applied.
CHANGE is the message as it is on the queue. The app's settings are taken from the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib import import_module

from sync_core.clock import SystemClock
from sync_core.domain.classes.outcomes import Applied
from sync_core.messaging.messages import Priority, decode_change
from sync_core.wiring import ProcessApp

# Azure installs neither (requirements.txt). Where they are there, httpx imports them for a command of its own.
for _name in ("click", "rich"):
    sys.modules[_name] = None  # type: ignore[assignment]  # how an import is made to fail


def _imported() -> list[str]:
    return sorted(name for name, module in sys.modules.items() if module)


async def _apply(message: str, indexed: list[str]) -> None:
    handler = await ProcessApp(os.environ, SystemClock()).get_handler()
    outcome = await handler.handle(decode_change(message.encode()), Priority.BULK)
    if not isinstance(outcome, Applied):
        raise RuntimeError(f"nothing was applied: {outcome}")
    sys.stdout.write(json.dumps([indexed, _imported()]))
    sys.stdout.flush()
    # Leave the clients open: the time that they take to close is not measured.
    os._exit(0)


if __name__ == "__main__":
    import_module("function_app").app.get_functions()
    asyncio.run(_apply(sys.argv[1], _imported()))
