"""host.json and settings: valid ones are read, and invalid ones are rejected by name and place."""

import json
from pathlib import Path

import pytest

from local.host.functions_index import Function
from local.host.host_json import ServiceBusOptions, load_host_json
from local.host.http_routes import Keys, route_of
from local.host.refusal import StartRefused
from local.host.settings import ConnectionString, IdentityConnection, Settings, load_settings
from local.host.timers import timer_of


def _write_host_json(folder: Path, content: object) -> Path:
    path = folder / "host.json"
    path.write_text(json.dumps(content))
    return path


def test_host_json_is_read(tmp_path: Path) -> None:
    bus = {
        "maxAutoLockRenewalDuration": "00:10:00",
        "maxConcurrentSessions": 32,
        "maxConcurrentCalls": 4,
        "sessionIdleTimeout": "00:00:00.250",
    }
    extensions = {"http": {"routePrefix": "v1"}, "serviceBus": bus}
    content = {"version": "2.0", "functionTimeout": "1.00:00:10", "extensions": extensions}
    options = load_host_json(_write_host_json(tmp_path, content))
    assert options.route_prefix == "v1"
    assert options.function_timeout == 86410
    assert options.service_bus == ServiceBusOptions(600, 4, 32, 0.25)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "not a JSON object"),
        ({}, "version must be 2.0"),
        ({"version": "2.0", "extension": {}}, "unknown key extension"),
        ({"version": "2.0", "extensions": {"queues": {}}}, "unknown key queues"),
        ({"version": "2.0", "extensions": {"serviceBus": {"sessionHandlerOptions": {}}}}, "sessionHandlerOptions"),
        ({"version": "2.0", "extensions": {"serviceBus": {"sessionIdleTimeout": 5}}}, "sessionIdleTimeout"),
        ({"version": "2.0", "extensions": {"serviceBus": {"sessionIdleTimeout": "5 s"}}}, "not a time span"),
        ({"version": "2.0", "extensions": {"serviceBus": {"maxConcurrentSessions": 0}}}, "whole number from 1"),
        ({"version": "2.0", "extensions": {"serviceBus": {"autoCompleteMessages": False}}}, "autoCompleteMessages"),
    ],
)
def test_an_invalid_host_json_is_rejected(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(StartRefused) as refusal:
        load_host_json(_write_host_json(tmp_path, content))
    assert message in str(refusal.value)
    assert "host.json" in refusal.value.where


def test_the_environment_overrides_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(json.dumps({"IsEncrypted": False, "Values": {"A": "file", "B": "file"}}))
    environ = {"A": "environment"}
    settings = load_settings(environ, path)
    assert settings.resolve("%A%-%B%-c", "here") == "environment-file-c"


@pytest.mark.parametrize("content", ["", "[]", '{"Values": {"A": 1}}', '{"Values": {}, "IsEncrypted": true}'])
def test_an_invalid_settings_file_is_rejected_with_its_path(tmp_path: Path, content: str) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(content)
    with pytest.raises(StartRefused, match=r"local\.settings\.json"):
        load_settings({}, path)


def test_a_missing_setting_is_named_with_function_and_binding() -> None:
    timer = Function("nightly", "id", {"type": "timerTrigger", "name": "timer", "schedule": "%SCHEDULE%"})
    with pytest.raises(StartRefused) as refusal:
        timer_of(timer, Settings({}))
    assert str(refusal.value).startswith(
        "function nightly, binding timer (timerTrigger): the setting SCHEDULE is missing"
    )


def test_a_bad_schedule_is_named_with_function_and_field() -> None:
    timer = Function("nightly", "id", {"type": "timerTrigger", "name": "timer", "schedule": "%SCHEDULE%"})
    with pytest.raises(StartRefused, match=r"function nightly.*the second field '99' holds 99"):
        timer_of(timer, Settings({"SCHEDULE": "99 * * * * *"}))


def test_a_connection_is_a_string_or_an_identity() -> None:
    settings = Settings({"A": "Endpoint=sb://x/", "B__fullyQualifiedNamespace": "n", "B__clientId": "c"})
    assert settings.connection("A", "here") == ConnectionString("Endpoint=sb://x/")
    assert settings.connection("B", "here") == IdentityConnection("n", "c")
    with pytest.raises(StartRefused, match="here: the connection setting C is missing"):
        settings.connection("C", "here")


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        ({"route": "a/{id:shoe}"}, "constraint 'shoe'"),
        ({"route": "a/x{id}"}, "'x{id}' is not understood"),
        ({"route": "a", "authLevel": "FUNCTION"}, "no key is set"),
        ({"route": "a", "authLevel": "ADMIN"}, "no key is set"),
    ],
)
def test_an_invalid_route_is_rejected(trigger: dict[str, str], message: str) -> None:
    function = Function("f", "id", {"type": "httpTrigger", "name": "req", "authLevel": "ANONYMOUS", **trigger})
    with pytest.raises(StartRefused, match=message):
        route_of(function, "api", Settings({}), Keys("", ""))
