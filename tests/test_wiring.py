"""The app of a process: how a message fails while the app cannot start."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from azure.functions.servicebus import ServiceBusMessage

from sync_core.errors import AccessDenied, SyncError, UnknownSetting
from sync_core.messaging.messages import CLASS_CHANGES
from sync_core.state.store import TableState
from sync_core.wiring import ProcessApp
from tests.fakes.fixed_clock import FixedClock
from tests.serving import serve_all


def make_message(deliveries: int) -> ServiceBusMessage:
    return ServiceBusMessage(
        body=b"{}",
        message_id="m1",
        session_id="S|K",
        delivery_count=deliveries,
        application_properties={},
        user_properties={},
    )


async def fail(environment: dict[str, str], deliveries: int) -> tuple[SyncError, list[float]]:
    """The error of a message with this delivery count, and the pauses before it."""
    clock = FixedClock()
    with pytest.raises(SyncError) as failure:
        async with ProcessApp(environment, clock).handling(CLASS_CHANGES, make_message(deliveries)):
            raise AssertionError("it cannot start")
    return failure.value, clock.slept


@pytest.mark.parametrize(("deliveries", "pause"), [(1, 2.0), (2, 4.0), (5, 32.0), (10, 60.0)])
async def test_a_failed_start_pauses_before_the_message_is_returned(deliveries: int, pause: float) -> None:
    error, slept = await fail({}, deliveries)
    assert isinstance(error, UnknownSetting)
    assert "TENANT_ID is not set" in error.message
    assert slept == [pause]


async def test_a_failed_start_is_recorded_if_the_tables_can_be_reached(shared_storage: str) -> None:
    await fail({"STATE_TABLES_CONNECTION": shared_storage}, 3)
    tables = TableState.from_connection_string(shared_storage)
    try:
        (fault,) = [fault for fault in await tables.message_faults(CLASS_CHANGES) if fault.message_id == "m1"]
    finally:
        await tables.close()
    assert (fault.session, fault.deliveries) == ("S|K", 3)
    assert "TENANT_ID is not set" in fault.message
    assert fault.remedy == "correct the application settings (docs/operations.md lists them)"


async def test_calls_that_come_during_a_start_share_it_and_its_failure() -> None:
    requests: list[str] = []

    async def deny(request: web.Request) -> web.Response:
        requests.append(request.path)
        return web.Response(status=403)

    async with serve_all(deny) as url:
        environment = {
            "TENANT_ID": "T",
            "STATE_TABLES_CONNECTION": f"AccountName=account;AccountKey=a2V5;TableEndpoint={url}/account",
            "ServiceBusConnection__fullyQualifiedNamespace": "bus.example",
        }
        process = ProcessApp(environment, FixedClock())
        failures = await asyncio.gather(*(process.get() for _ in range(4)), return_exceptions=True)
        assert [type(failure) for failure in failures] == [AccessDenied] * 4
        assert len(requests) == 1
        with pytest.raises(AccessDenied):
            await process.get()
        assert len(requests) == 2, "a start that failed is tried again"
