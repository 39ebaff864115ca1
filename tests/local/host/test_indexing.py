"""The host rejects what Azure's worker rejects, with the worker's message."""

import sys
from pathlib import Path

import pytest

from local.host.functions_index import index_app
from local.host.refusal import StartRefused

_QUEUE = (
    '@app.service_bus_queue_trigger(arg_name="message", queue_name="q", connection="C", is_sessions_enabled=True)\n'
)
_TIMER = '@app.timer_trigger(arg_name="timer", schedule="0 0 1 * * *")\n'
_ROUTE = '@app.route(route="a")\n'

REFUSED = {
    "list of the built-in kind": (
        '@app.service_bus_queue_trigger(arg_name="message", queue_name="q", connection="C", cardinality="many")\n'
        "def f(message: list[func.ServiceBusMessage]) -> None: ...",
        "cannot load the f function",
    ),
    "optional annotation": (
        _QUEUE + "def f(message: func.ServiceBusMessage | None) -> None: ...",
        "invalid non-type annotation",
    ),
    "another name than the binding's": (
        _QUEUE + "def f(msg: func.ServiceBusMessage) -> None: ...",
        "declared in Python but not in the function definition",
    ),
    "extra parameter": (
        _TIMER + "def f(timer: func.TimerRequest, more: str) -> None: ...",
        "declared in Python but not in the function definition",
    ),
    "missing parameter": (_TIMER + "def f() -> None: ...", "Extra parameters in binding definition"),
    "wrong type": (_TIMER + "def f(timer: func.HttpRequest) -> None: ...", "do not match the corresponding"),
    "wrong return type": (_ROUTE + "def f(req: func.HttpRequest) -> int: ...", "int"),
    "two apps": (_TIMER + "def f(timer: func.TimerRequest) -> None: ...\nother = func.FunctionApp()", "More than one"),
    "no app": ("del app", "Could not find top level function app instances"),
    "no function": ("", "the app holds no function"),
    "two functions of one name": (
        (_TIMER + "def f(timer: func.TimerRequest) -> None: ...\n") * 2,
        "does not have a unique function name",
    ),
    "a wrapper that hides its function": (
        "def loud(function):\n    def wrapper(*args, **kwargs):\n        return function(*args, **kwargs)\n"
        "    return wrapper\n" + _TIMER + "@loud\ndef f(timer: func.TimerRequest) -> None: ...",
        "cannot load the wrapper function",
    ),
    "missing module": ("import not_installed_anywhere", "Cannot find module"),
    "no trigger": ("@app.function_name('f')\ndef f() -> None: ...", "trigger"),
    "a trigger that is not served": (
        '@app.blob_trigger(arg_name="b", path="p", connection="C")\ndef f(b: func.InputStream) -> None: ...',
        "has no blobTrigger",
    ),
    "an output binding": (
        _TIMER + '@app.queue_output(arg_name="out", queue_name="q", connection="C")\n'
        "def f(timer: func.TimerRequest, out: func.Out[str]) -> None: ...",
        "has no queue binding",
    ),
}


@pytest.fixture
def app_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AzureWebJobsScriptRoot", str(tmp_path))
    monkeypatch.delitem(sys.modules, "function_app", raising=False)
    return tmp_path


def _write(folder: Path, source: str) -> None:
    (folder / "function_app.py").write_text(f"import azure.functions as func\napp = func.FunctionApp()\n{source}\n")


@pytest.mark.parametrize(("source", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_an_invalid_app_is_rejected(app_folder: Path, source: str, message: str) -> None:
    _write(app_folder, source)
    with pytest.raises(StartRefused) as refusal:
        index_app(app_folder)
    assert message in str(refusal.value)


def test_a_folder_without_an_app_is_rejected(app_folder: Path) -> None:
    with pytest.raises(StartRefused, match=r"there is no function_app\.py"):
        index_app(app_folder)


def test_batches_are_rejected_although_the_worker_accepts_them(app_folder: Path) -> None:
    _write(
        app_folder,
        "import typing\n"
        '@app.service_bus_queue_trigger(arg_name="m", queue_name="q", connection="C", cardinality="many")\n'
        "def f(m: typing.List[func.ServiceBusMessage]) -> None: ...",
    )
    with pytest.raises(StartRefused, match="cardinality many is not served"):
        index_app(app_folder)


def test_a_valid_app_is_indexed(app_folder: Path) -> None:
    _write(
        app_folder,
        _TIMER
        + "async def a(timer: func.TimerRequest) -> None: ...\n"
        + _QUEUE
        + "async def b(message: func.ServiceBusMessage, context: func.Context) -> None: ...",
    )
    functions = index_app(app_folder)
    assert [(function.name, function.kind) for function in functions] == [
        ("a", "timerTrigger"),
        ("b", "serviceBusTrigger"),
    ]
    assert functions[1].trigger["isSessionsEnabled"] is True
