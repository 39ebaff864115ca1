"""Runs a function for any trigger: the runtime's native invocation, counted and limited in time."""

import asyncio
import logging
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.native_invocation import invocation_request_native

from local.host.functions_index import Function

_log = logging.getLogger("host.invoke")


@dataclass(slots=True)
class Counts:
    """Invocations of one function since the host started."""

    succeeded: int = 0
    failed: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended. `returned` is the runtime's Datum for `$return`, or None."""

    ok: bool
    returned: Datum | None = None


@dataclass(frozen=True, slots=True)
class Invoker:
    """Runs functions on this loop (async) or on the runtime's thread pool (sync). `timeout` in seconds."""

    timeout: float | None
    counts: dict[str, Counts] = field(default_factory=dict)
    _running: set[asyncio.Task[object]] = field(default_factory=set)

    async def invoke(
        self, function: Function, data: Datum, metadata: Mapping[str, Datum], trace_parent: str = ""
    ) -> Outcome:
        """Run the function with its trigger's data. A failure is an Outcome: an exception of the app is never raised.

        `trace_parent` is a caller's traceparent. Without one the host begins an unsampled trace, even for a queue
        message that carries a traceparent: an app may rely on no more than that.
        """
        counts = self.counts.setdefault(function.name, Counts())
        invocation = str(uuid.uuid4())
        counts.running += 1
        ok = False
        try:
            # Each has its own task, as in the worker: the invocation id is stored in the context of the task.
            task = asyncio.create_task(
                invocation_request_native(
                    invocation,
                    function.function_id,
                    [(function.trigger["name"], data)],
                    dict(metadata),
                    trace_parent or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00",
                )
            )
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            async with asyncio.timeout(self.timeout):
                ok, returned, _, failure, _ = await task
        except TimeoutError:
            failure, returned = f"did not end within functionTimeout ({self.timeout:g} s)", None
        finally:
            counts.running -= 1
            if ok:
                counts.succeeded += 1
            else:
                counts.failed += 1
        if not ok:
            # The text of an app's exception may hold personal data; its type does not. The app logs the rest itself.
            _log.warning("%s failed (invocation %s): %s", function.name, invocation, str(failure).partition("(")[0])
        return Outcome(ok, returned)

    async def idle(self, grace: float) -> bool:
        """Wait up to `grace` seconds for running functions. Returns whether all of them ended."""
        if not self._running:
            return True
        _, pending = await asyncio.wait(self._running, timeout=grace)
        return not pending
