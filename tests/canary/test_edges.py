"""Marks in every field of webhooks, messages and requests, and in errors of Graph and of the clients."""

from __future__ import annotations

import base64
import csv
import json
import logging
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, cast, get_args
from urllib.parse import quote

import aiohttp
import azure.functions as func
import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError
from azure.functions.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError
from kiota_abstractions.api_error import APIError
from pydantic import TypeAdapter, ValidationError

from sync_core.app import App
from sync_core.applying.handler import ChangeHandler
from sync_core.domain.ids import AccountId, ClassId, RunId
from sync_core.domain.runs import Cause
from sync_core.errors import SyncError
from sync_core.graph.port import Additions
from sync_core.graph.refusals import refusal_of
from sync_core.http.edge import serve
from sync_core.http.webhooks.function import receive_changes, receive_wonde_event
from sync_core.messaging.messages import (
    CLASS_CHANGES,
    SYNC_REQUESTS,
    Change,
    ChangeMembers,
    Priority,
    Request,
    decode_change,
    decode_request,
)
from sync_core.wiring import ProcessApp
from tests.builders import SCHOOL, TENANT, desired, settings, synced, teaching
from tests.canary.conftest import app_of, write_accounts
from tests.canary.outside import ADDRESS, BORN, MARKS, NAME, Outside
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.memory_webhook_inbox import MemoryWebhookInbox
from tests.http.built import serve_api
from tests.http.memory_api import ALL_SCHOOLS, HEAD, Mis
from tests.http.test_webhooks import NEW, sign

KEY = "2026.teaching.G1"
SECRETS = {"MIS_SECRET_HOOK": NEW}


class Ready(ProcessApp):
    """The process once its app has started."""

    def __init__(self, app: App) -> None:
        super().__init__({}, FixedClock())
        self._started = app

    async def get(self) -> App:
        return self._started


async def school_of(state: MemoryState) -> None:
    await state.save_school(settings(webhook_secrets=["MIS_SECRET_HOOK"], access=[HEAD]))
    await write_accounts(state, ["amy", "main"])
    wanted = desired(KEY, ["amy"], ["main"])
    await state.write_desired(SCHOOL.id, [wanted])
    record = await state.class_record(SCHOOL.id, wanted.key)
    assert record
    await state.write_actual(synced(wanted) if not record.etag else record)


def variants(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The body with marks as each value, as a name beside each, within lists, and as objects."""
    for name in body:
        for mark in (*MARKS, [NAME], {NAME: ADDRESS}, [{NAME: BORN}], 5):
            yield name, {**body, name: mark}
    for mark in MARKS:
        yield "another member", {**body, mark: mark}
    for name, value in body.items():
        if isinstance(value, dict):
            for where, inner in variants(value):
                yield f"{name}.{where}", {**body, name: inner}


async def test_no_field_of_a_webhook_leaves(outside: Outside) -> None:
    state, inbox = MemoryState(), MemoryWebhookInbox()
    await school_of(state)
    app = app_of(state, inbox=inbox, secrets=SECRETS)
    body = {"type": "x", "timestamp": "2026-09-07T12:00:00Z", "data": {"groups": ["G1"], "people": ["p1"]}}
    for number, (where, bad) in enumerate(variants(body)):
        for school in (SCHOOL.id, NAME):
            outside.putting("webhook", where if school == SCHOOL.id else "school")
            content = json.dumps(bad).encode()
            signed = [sign(NEW, content, f"{mark}T{number}") for mark in ("", *MARKS)]
            for headers in (*signed, {"webhook-id": NAME, "webhook-signature": NAME}):
                request = func.HttpRequest(
                    "POST", "http://x", body=content, headers=headers, route_params={"school": school}
                )
                answer = await receive_changes(app, request)
                outside.see("answer to a webhook", answer.get_body().decode())
    for where, bad in variants({"payload_type": "accessRevoked", "school_id": "A1"}):
        outside.putting("Wonde's webhook", where)
        answer = await receive_wonde_event(app, func.HttpRequest("POST", "http://x", body=json.dumps(bad).encode()))
        outside.see("answer to a webhook", answer.get_body().decode())
    outside.waiting(await inbox.waiting(SCHOOL.id))
    assert outside.report() == ""


async def test_no_field_of_a_message_leaves(outside: Outside) -> None:
    state = MemoryState()
    await school_of(state)
    process = Ready(app_of(state, mis=Mis([teaching("G1", "Maths", ["amy"], ["main"])])))
    for kinds, queue, decode in (
        (Request, SYNC_REQUESTS, decode_request),
        (Change, CLASS_CHANGES, decode_change),
    ):
        for kind in get_args(kinds):
            body = {field.name: field.default if field.name == "kind" else "x" for field in fields(kind)} | {
                "version": 1,
                "cause": "nightly",
            }
            for where, bad in variants(body):
                outside.putting("message", f"{kind.__name__}.{where}")
                await _handle(outside, process, queue, json.dumps(bad).encode(), decode)
    for mark in MARKS:
        outside.putting("message", f"ids {mark}")
        await _handle(outside, process, CLASS_CHANGES, b"{}", decode_change, mark)
    for content in (NAME.encode(), f'"{ADDRESS}"'.encode(), f'{{"kind": "{NAME}"}}'.encode(), NAME.encode() + b"\xff"):
        outside.putting("message", "no message")
        await _handle(outside, process, CLASS_CHANGES, content, decode_change)
    await outside.stored(state, SCHOOL.id)
    assert outside.report() == ""


async def _handle(
    outside: Outside, process: ProcessApp, queue: str, content: bytes, decode: Any, mark: str = ADDRESS
) -> None:
    message = ServiceBusMessage(
        body=content,
        message_id=mark,
        session_id=f"S1|{mark}",
        delivery_count=1,
        application_properties={NAME: mark, "traceparent": mark},
        user_properties={},
    )
    try:
        async with process.handling(queue, message):
            decode(message.get_body())
    except SyncError as error:
        outside.raised("exception", error)


def invalid() -> ValidationError:
    """Its text has the value."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, int]).validate_python({NAME: ADDRESS})
    return caught.value


def client_errors() -> list[Exception]:
    request = httpx.Request("GET", f"http://x/{quote(NAME)}?a={ADDRESS}")
    quoting = HttpResponseError(f"{NAME} Content: {ADDRESS}")
    quoting.reason = NAME
    return [
        quoting,
        ClientAuthenticationError(f"AADSTS50034: The user account {ADDRESS} does not exist"),
        ServiceBusError(f"{NAME} {BORN}"),
        httpx.ConnectError(f"{ADDRESS} {NAME}", request=request),
        httpx.HTTPStatusError(NAME, request=request, response=httpx.Response(500, text=ADDRESS)),
        FileNotFoundError(2, "No such file", f"/drop/{NAME}.csv"),
        UnicodeEncodeError("utf-8", f"{NAME}\udc80", 3, 4, ADDRESS),
        KeyError(NAME),
        aiohttp.ClientResponseError(
            cast("Any", None), (), status=500, message=NAME, headers=cast("Any", {NAME: ADDRESS})
        ),
        aiohttp.ClientConnectorError(cast("Any", SimpleNamespace(host=ADDRESS, port=1, ssl=None)), OSError(1, NAME)),
        APIError(NAME, 400, {NAME: ADDRESS}),
        ResourceExistsError(f"{NAME} RowKey {ADDRESS}"),
        zipfile.BadZipFile(f"File name in directory {NAME}.csv"),
        csv.Error(f"{ADDRESS} {BORN}"),
        json.JSONDecodeError(NAME, ADDRESS, 0),
        UnicodeDecodeError("utf-8", NAME.encode() + b"\xff", 14, 15, ADDRESS),
        invalid(),
        ValueError(f"{BORN} {NAME}"),
        TypeError(ADDRESS),
    ]


async def test_no_error_of_a_client_leaves(outside: Outside) -> None:
    """A foreign exception reaches the host by a timer, a request or a message; its cause has its own text, too."""
    state = MemoryState()
    process = Ready(app_of(state))
    for failure in client_errors():
        outside.putting("client", type(failure).__name__)

        def fail(failure: Exception = failure) -> None:
            try:
                raise failure
            except Exception as cause:
                raise RuntimeError(NAME) from cause

        async def answer(_: App) -> func.HttpResponse:
            fail()
            raise AssertionError("unreachable")

        for edge in ("timer", "request", "message"):
            try:
                if edge == "timer":
                    async with process.running("nightly_sync"):
                        fail()
                elif edge == "request":
                    await serve(process, "manage", func.HttpRequest("GET", "http://x", body=b""), answer)
                else:
                    message = ServiceBusMessage(body=b"", message_id="m", application_properties={}, user_properties={})
                    async with process.handling(CLASS_CHANGES, message):
                        fail()
            except SyncError as error:
                outside.raised(f"traceback of a {edge}", error)
                logging.getLogger("host").exception("the function failed")
    await outside.stored(state, SCHOOL.id)
    assert outside.report() == ""
    assert outside.read["traceback of a timer"] == outside.read["traceback of a message"] == len(client_errors())


GRAPH_WORDS = [
    f"User '{NAME}' is not licensed for this Service.",
    f"The user {NAME} ({ADDRESS}) is a guest",
    f"{NAME} was not found",
    f'Invalid value "{BORN} {NAME}" specified for property mailNickname of resource User.',
    f"Resource \u2018{ADDRESS}\u2019 is blocked by the naming policy of {NAME.upper()}",
    f"the owner {NAME.split()[1]}'s quota is spent",
]


class Refusing(MemoryTenant):
    """A tenant that refuses to add people, in these words."""

    def __init__(self, error: SyncError) -> None:
        super().__init__()
        self._error = error

    async def members(self, class_id: ClassId) -> frozenset[AccountId]:
        return frozenset()

    async def owners(self, class_id: ClassId) -> frozenset[AccountId]:
        return frozenset()

    async def add_owner(self, class_id: ClassId, person: AccountId) -> None:
        raise self._error

    async def add_members(self, class_id: ClassId, people: Any) -> Additions:
        raise self._error


async def test_no_error_of_graph_leaves(outside: Outside) -> None:
    for status in (400, 401, 403, 404, 409, 410, 422):
        for words in GRAPH_WORDS:
            for code in ("Request_BadRequest", NAME):
                outside.putting("Graph", f"{status} {'code' if code == NAME else 'message'} {GRAPH_WORDS.index(words)}")
                error = refusal_of(status, {"error": {"code": code, "message": words, "innerError": {NAME: ADDRESS}}})
                state = MemoryState()
                await school_of(state)
                (record,) = await state.class_records(SCHOOL.id)
                await state.write_drift(SCHOOL.id, [])
                app = app_of(state, tenant=Refusing(error))
                change = ChangeMembers(SCHOOL.id, record.key, RunId("night"), Cause.NIGHTLY)
                try:
                    await ChangeHandler(app.services).handle(change, Priority.BULK)
                except SyncError as raised:
                    outside.raised("exception", raised)
                outside.see("text of the error", str(error))
                await outside.stored(state, SCHOOL.id)
    assert outside.report() == ""


def principal(caller: str, *roles: str) -> dict[str, str]:
    claims = [{"typ": "oid", "val": caller}, {"typ": "name", "val": NAME}, {"typ": "emails", "val": ADDRESS}]
    claims += [{"typ": "roles", "val": role} for role in roles]
    return {"x-ms-client-principal": base64.b64encode(json.dumps({"claims": claims}).encode()).decode()}


CALLERS = {
    "an admin": principal(ALL_SCHOOLS, "GroupSync.Admin"),
    "a visitor": principal(HEAD),
    "nobody": {"x-ms-client-principal": NAME},
}


async def test_no_field_of_a_request_leaves(outside: Outside) -> None:
    """Of every route. What somebody without access sends is not even in the answer to them."""
    state = MemoryState()
    await school_of(state)
    app = app_of(state, mis=Mis([teaching("G1", NAME, ["amy"], ["main"])]))
    api = serve_api(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://api") as client:
        document = api.openapi()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                listed = operation.get("parameters", ())
                for place in (*(one["name"] for one in listed), "body", "If-Match", "a member", "a query"):
                    for caller, header in CALLERS.items():
                        if caller == "nobody" and place != "body":
                            continue
                        for mark in (NAME, ADDRESS):  # the id of a school that an admin types may be like a date
                            outside.putting("request", f"{method} {path} {place}")
                            known = {"school": SCHOOL.id, "key": KEY, "run": "night", "tenant": TENANT, "digest": "a"}
                            known |= {"queue": SYNC_REQUESTS, "number": "1"}
                            address = path
                            for name in known:
                                value = mark if name == place else known[name]
                                address = address.replace(f"{{{name}}}", quote(value))
                            query = {place: mark} if place in ("name", "a query") else {}
                            body = {"a member": {mark: mark}, "body": [mark]}.get(place)
                            answer = await client.request(
                                method, address, headers={**header, "If-Match": mark}, params=query, json=body
                            )
                            if caller != "an admin":
                                outside.see("answer to a visitor", answer.text)
    await outside.stored(state, SCHOOL.id)
    assert outside.report() == ""


_SPANS = """
import sys
import zipfile
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
from sync_core import tracing
from sync_core.errors import GraphRefused, Transient

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
name, address = sys.argv[1:]
for failure in (ValueError(name), Transient(f"the id {address} is not known", name), KeyError(address)):
    for span in (
        tracing.message_handled("class-changes", {name: address, "traceparent": name}),
        tracing.graph_request("GET", f"https://graph.example/v1.0/users?$filter=id eq '{address}'&a={name}"),
    ):
        try:
            with span:
                raise failure
        except Exception:
            pass
"""


def test_no_span_has_a_mark(outside: Outside) -> None:
    """In a process of its own, because a process has one provider of traces."""
    outside.putting("trace", "failure, properties and query")
    ran = subprocess.run([sys.executable, "-c", _SPANS, NAME, ADDRESS], capture_output=True, text=True, check=True)
    outside.see("spans", ran.stdout + ran.stderr)
    assert ran.stdout.count('"span_id"') >= 6
    assert outside.report() == ""
