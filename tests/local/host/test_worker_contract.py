"""The internals of azure-functions-runtime that the host uses."""

import importlib.metadata
import inspect

from azure_functions_runtime import handle_event
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.loader import process_indexed_function
from azure_functions_runtime.native_invocation import invocation_request_native

from local.host.functions_index import Function


def test_the_version_is_the_one_that_was_inspected() -> None:
    assert importlib.metadata.version("azure-functions-runtime") == "1.3.0"


def test_the_internal_functions_have_the_expected_parameters() -> None:
    inputs = list(inspect.signature(invocation_request_native).parameters)
    assert inputs[:4] == ["invocation_id", "function_id", "inputs", "trigger_metadata"]
    assert list(inspect.signature(process_indexed_function).parameters) == [
        "protos",
        "functions_registry",
        "indexed_functions",
        "function_dir",
    ]
    assert handle_event._functions.get_function("nobody") is None


async def test_a_success_a_failure_and_an_unknown_function(web_functions: list[Function]) -> None:
    timer = next(function for function in web_functions if function.name == "nightly")

    async def run(function_id: str, past_due: str) -> tuple[bool, object, list[object], str | None, str | None]:
        data = Datum(f'{{"IsPastDue": {past_due}}}', "json")
        result: tuple[bool, object, list[object], str | None, str | None] = await invocation_request_native(
            "an-id", function_id, [("timer", data)], {}
        )
        return result

    assert await run(timer.function_id, "false") == (True, None, [], None, None)
    ok, _, _, error, trace = await run(timer.function_id, "true")
    assert (ok, error) == (False, "RuntimeError('past due')")
    assert trace is not None and "function_app.py" in trace
    assert (await run("nobody", "false"))[3] == "function nobody not loaded"
