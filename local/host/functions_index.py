"""Loads an app through the worker's own indexing, which refuses what Azure refuses, with the same messages."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from azure_functions_runtime import handle_event
from azure_functions_runtime.bindings.meta import load_binding_registry
from azure_functions_runtime.loader import index_function_app, process_indexed_function

from local.host.refusal import StartRefused

SCRIPT = "function_app.py"
TRIGGERS = ("timerTrigger", "httpTrigger", "serviceBusTrigger")

# The worker builds its answer to the host from these protobuf messages. Nothing here reads it, but the worker's
# validation compares with the numbers of BindingInfo.Direction and DataType in FunctionRpc.proto.
_WIRE = SimpleNamespace(
    BindingInfo=type(
        "BindingInfo", (SimpleNamespace,), {"undefined": 0, "in": 0, "out": 1, "inout": 2}
    ),
    RpcFunctionMetadata=SimpleNamespace,
    RpcRetryOptions=SimpleNamespace,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Function:
    """One indexed function: `trigger` is its binding as function.json would hold it (keys in camelCase)."""

    name: str
    function_id: str
    trigger: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.trigger["type"])

    @property
    def where(self) -> str:
        """The place that an error names."""
        return f"function {self.name}, binding {self.trigger['name']} ({self.kind})"


def index_app(directory: Path) -> list[Function]:
    """Import function_app.py of `directory` and return its functions. Raises StartRefused with the worker's message."""
    if not (directory / SCRIPT).is_file():
        raise StartRefused(f"there is no {SCRIPT}", str(directory), "Name the folder of the function app with --app.")
    where = str(directory / SCRIPT)
    sys.path.insert(0, str(directory))
    # The worker resolves `from function_app import …` inside the app's own modules, and relative files, from there.
    os.environ.setdefault("AzureWebJobsScriptRoot", str(directory))
    load_binding_registry()
    try:
        indexed = index_function_app(where)
        metadata, _ = process_indexed_function(_WIRE, handle_event._functions, indexed, str(directory))
    except Exception as error:
        raise StartRefused(
            str(error) or type(error).__name__, where, "Azure would not start this app either: correct it."
        ) from error
    functions = [
        _function(entry.name, entry.function_id, [json.loads(raw) for raw in entry.raw_bindings]) for entry in metadata
    ]
    if not functions:
        raise StartRefused("the app holds no function", where, "Decorate one with a trigger.")
    return functions


def _function(name: str, function_id: str, bindings: list[dict[str, Any]]) -> Function:
    triggers = [binding for binding in bindings if str(binding["type"]).endswith("Trigger")]
    if len(triggers) != 1:
        raise StartRefused(f"{len(triggers)} triggers", f"function {name}", "A function has exactly one trigger.")
    if triggers[0]["type"] not in TRIGGERS:
        raise StartRefused(
            f"the local host has no {triggers[0]['type']}", f"function {name}", f"It has {', '.join(TRIGGERS)}."
        )
    for binding in bindings:
        if binding is not triggers[0] and binding["type"] != "http":
            raise StartRefused(
                f"the local host has no {binding['type']} binding",
                f"function {name}, binding {binding['name']}",
                "Use a client library in the function.",
            )
    if str(triggers[0].get("cardinality", "one")).lower() == "many":
        raise StartRefused(
            "cardinality many is not served: in Azure it misplaces properties and ignores maxConcurrentSessions",
            f"function {name}, binding {triggers[0]['name']}",
            "Take one message at a time.",
        )
    return Function(name, function_id, triggers[0])
