"""Every function that is not tried again tells of a failure that nobody expected, before it is raised or answered."""

from __future__ import annotations

import importlib.util
import json
import logging
from types import ModuleType
from typing import Any, cast

import azure.functions as func
import pytest

from sync_core.errors import SyncError
from tests.infra.bicep import ROOT

# A connection string that the tables' client does not read: it raises a ValueError, which no code of ours expects.
ENVIRONMENT = {
    "TENANT_ID": "T",
    "STATE_TABLES_CONNECTION": "Key=Quillfeather",
    "ServiceBusConnection__fullyQualifiedNamespace": "bus.example",
}
TIMERS = ["nightly_sync", "check_file_drops"]
CONSOLE = [
    "console_root",
    "console_schools",
    "console_connect",
    "console_upload",
    "console_rehearsal",
    "console_health",
    "console_assets",
]
OVER_HTTP = ["health", "manage", *CONSOLE, "mis_changes", "wonde_access"]


@pytest.fixture
def function_app(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as the worker imports it, in a process with this environment."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("function_app_of_a_test", ROOT / "function_app.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def functions_of(module: ModuleType) -> dict[str, Any]:
    return {function.get_function_name(): function for function in module.app.get_functions()}


def failures_in(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    events = [vars(record) for record in caplog.records if record.getMessage() == "function.failed"]
    return [{name: event[f"sync.{name}"] for name in ("function", "error", "remedy")} for event in events]


def failure_of(function: str) -> dict[str, object]:
    return {"function": function, "error": "Transient", "remedy": "if it happens again, report this error"}


def test_every_function_that_has_no_message_is_tested_here(function_app: ModuleType) -> None:
    triggers = {name: function.get_trigger().type for name, function in functions_of(function_app).items()}
    assert [name for name, kind in triggers.items() if kind == "timerTrigger"] == TIMERS
    assert [name for name, kind in triggers.items() if kind == "httpTrigger"] == OVER_HTTP
    assert {kind for name, kind in triggers.items() if name not in TIMERS + OVER_HTTP} == {"serviceBusTrigger"}


def test_every_function_over_http_names_its_methods_and_trace_is_none_of_them(function_app: ModuleType) -> None:
    """The host answers every method for a function that names none, and TRACE repeats what a proxy added."""
    functions = functions_of(function_app)
    triggers = {name: functions[name].get_trigger().get_dict_repr() for name in OVER_HTTP}
    methods = {name: {str(getattr(one, "value", one)) for one in found["methods"]} for name, found in triggers.items()}
    assert methods == {
        "health": {"GET"},
        "manage": {"GET", "POST", "PUT", "PATCH", "DELETE"},
        "console_assets": {"GET"},
        "console_connect": {"GET", "POST"},
        "console_health": {"GET", "POST"},
        "console_rehearsal": {"POST"},
        "console_root": {"GET", "POST"},
        "console_schools": {"GET", "POST"},
        "console_upload": {"POST"},
        "mis_changes": {"POST"},
        "wonde_access": {"POST"},
    }


@pytest.mark.parametrize("name", TIMERS)
async def test_a_timer_tells_of_its_failure_before_it_raises_it(
    function_app: ModuleType, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    timer = cast("func.TimerRequest", None)
    with pytest.raises(SyncError) as failure:
        await functions_of(function_app)[name].get_user_function()(timer)
    assert failures_in(caplog) == [failure_of(name)]
    assert failure.value.message.startswith("unexpected ValueError at ")
    assert failure.value.__suppress_context__, "the host logs the cause of what is raised, and its text may hold a name"


@pytest.mark.parametrize("name", OVER_HTTP)
async def test_a_request_that_fails_is_told_and_answered_with_500(
    function_app: ModuleType, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = func.HttpRequest("GET", "https://sync.school.example/api", route_params={"school": "S1"}, body=b"")
    user_function = functions_of(function_app)[name].get_user_function()
    response = await (user_function(request, None) if name in ("manage", *CONSOLE) else user_function(request))
    assert failures_in(caplog) == [failure_of(name)]
    problem = json.loads(response.get_body())
    assert (response.status_code, problem["status"], response.mimetype) == (500, 500, "application/problem+json")
    assert problem["what"] == (
        "the request ended in an error that nobody expected, so it may have been carried out in part"
    )
    assert "function.failed" in problem["remedy"]
    assert "ValueError" not in problem["detail"]


async def test_the_event_has_the_type_and_the_place_of_the_error_and_not_its_text(
    function_app: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    request = func.HttpRequest("GET", "https://sync.school.example/api/health", body=b"")
    await functions_of(function_app)["health"].get_user_function()(request)
    (event,) = (vars(record) for record in caplog.records if record.getMessage() == "function.failed")
    assert str(event["sync.message"]).startswith("unexpected ValueError at ")
    assert (event["levelname"], event["microsoft.custom_event.name"]) == ("ERROR", "function.failed")
    assert "quillfeather" not in " ".join(f"{vars(record)}" for record in caplog.records).lower()
