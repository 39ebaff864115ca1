"""One day's telemetry: traces are whole, queries find their events, no failure is lost, and nobody is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from local import loopback
from local.insights.__main__ import settings_for
from local.mis.webhooks import body_of, headers_of, send_webhook, send_wonde_event
from local.nightly import count, drain, run_timer
from local.processes import Process, Spawn, spawn_interpreter
from local.school.data import SchoolData, SchoolPerson
from local.school.oneroster_csv import write
from local.world import WEBHOOK_SETTING
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.messaging.messages import CLASS_CHANGES, SYNC_REQUESTS, Action, ActOnClass, encode
from tests.flow.today import on
from tests.flow.trust import Trust, staff, start_trust, teaching
from tests.forked import Forked
from tests.infra.bicep import app_settings
from tests.infra.kusto import QUERIES, TABLES
from tests.waiting import wait_until

# Names that occur nowhere else, unlike the ids.
PUPILS = tuple(
    SchoolPerson(f"p{place}", given, "Quillfeather", f"{given.lower()}.quillfeather", "", "7")
    for place, given in enumerate(["Zebedee", "Philippa", "Ottoline", "Barnaby", "Clementine", "Everild"])
)
PERSONAL = ("quillfeather", *(pupil.given.lower() for pupil in PUPILS), "@school.onmicrosoft")
EVERYBODY = " ".join(pupil.id for pupil in PUPILS)
GROUPS = (teaching("T1", "Art", EVERYBODY, "main"), teaching("T2", "Drama", "p0 p1", "main"))
OAK = SchoolData("OAK", "Oak School", "1234567", 2026, PUPILS, staff("main"), GROUPS)
ASH = replace(OAK, id="ASH", dfe_code="7654321")
CALLER = "0af7651916cd43dd8448eb211c80319c"
DELIVERIES = 2


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The rows of a day as Azure would store them, and the number of requests that Graph received."""

    rows: list[dict[str, Any]]
    graph_requests: int

    def of(self, table: str, **wanted: object) -> list[Mapping[str, Any]]:
        all_columns = [row["columns"] for row in self.rows if row["table"] == table]
        return [columns for columns in all_columns if all(columns[name] == value for name, value in wanted.items())]

    def spans(self, trace: str) -> dict[str, Mapping[str, Any]]:
        """The spans of one trace by id."""
        tables = ("AppRequests", "AppDependencies")
        return {row["Id"]: row for table in tables for row in self.of(table, OperationId=trace)}

    def events(self, name: str) -> list[Mapping[str, Any]]:
        return self.of("AppEvents", Name=name)


def spawn(module: str, options: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
    """Implements Spawn: the host is an interpreter, which sends telemetry that is still buffered when it exits."""
    start: Spawn = spawn_interpreter if module == "local.host" else Forked
    return start(module, options, log, environment)


@pytest.fixture(scope="module")
def telemetry(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Telemetry]:
    folder = tmp_path_factory.mktemp("telemetry")
    rows = folder / "rows.jsonl"
    insights = Forked("local.insights", ("--rows", str(rows)), folder / "insights.log", {})
    try:
        address = f"http://127.0.0.1:{insights.ready_line()['port']}"
        settings = deployed_settings() | settings_for(address)
        with start_trust(folder / "trust", storage, DELIVERIES, spawn, settings) as trust:
            run_day(trust)
            graph_requests = len(loopback.get(f"{trust.addresses.tenant}/_sim/log").json())
            assert trust.world.host
            trust.world.host.stop()
        yield Telemetry([json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()], graph_requests)
    finally:
        insights.stop()


def deployed_settings() -> dict[str, str]:
    """The application settings of telemetry, from the template."""
    settings = {
        name: value.strip("'") for name, value in app_settings().items() if name.startswith(("OTEL_", "PYTHON_"))
    }
    assert len(settings) == 5
    return settings


def run_day(trust: Trust) -> None:
    """Nights with all kinds of failures, then webhooks, file drops and admin requests."""
    reminder = {"archive_on": on(1)}
    trust.add_school(OAK, webhook_secrets=[WEBHOOK_SETTING], limits={"smallest_snapshot": 0}, calendar=reminder)
    inject_graph_fault(trust, "POST", "/education/classes$", 400)
    inject_graph_fault(trust, "POST", "/education/classes$", 429, retry_after=0)
    inject_graph_fault(trust, "POST", "/education/classes$", 503, times=3)
    trust.run_night()
    trust.run_night()
    set_mis(trust, "p0 p1 p2 p3 p4", "p0 p1 p5")
    body = body_of(["T1", "T2"])
    signed = headers_of(body, "msg_1") | {"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"}
    before = count(trust.addresses)
    loopback.post(f"{trust.addresses.host}/api/mis/OAK/changes", content=body, headers=signed).raise_for_status()
    drain(trust.addresses, before)
    loopback.post(f"{trust.addresses.host}/api/mis/OAK/changes", content=body)
    set_mis(trust, "", "p0 p1")
    trust.run_night()
    trust.run_night(lambda: (trust.world.folder / "feed OAK" / "classes.csv").unlink())
    nothing_to_restore = ActOnClass(SchoolId("OAK"), ClassKey("2026.teaching.T1"), Action.RESTORE, RunId("run"))
    before = count(trust.addresses)
    trust.send(SYNC_REQUESTS, ServiceBusMessage(encode(nothing_to_restore), session_id="OAK", message_id="restore"))
    drain(trust.addresses, before)
    deliver_drops(trust)
    sync_tenant_without_a_permission(trust)
    trust.save_settings("OAK", enabled=False, webhook_secrets=[WEBHOOK_SETTING])
    before = count(trust.addresses)
    send_webhook(trust.addresses.host, "OAK", "msg_2")
    drain(trust.addresses, before)
    wonde = {"kind": "wonde", "school": "A1930499544", "secret": WEBHOOK_SETTING}
    trust.save_settings("OAK", source=wonde)
    send_wonde_event(trust.addresses.host, "accessRevoked", "A1930499544").raise_for_status()
    torn: dict[str | bytes, Any] = {"traceparent": "00-no-trace-00", "tracestate": 7}
    trust.send(
        CLASS_CHANGES, ServiceBusMessage(b"{", session_id="torn", message_id="torn", application_properties=torn)
    )
    wait_until(lambda: trust.call("GET", "dead-letters").json())
    fail_to_start(trust)


def fail_to_start(trust: Trust) -> None:
    """Deploy the app with a setting that it does not read, and ask for its health."""
    assert trust.world.host
    trust.world.host.stop()
    host = trust.world.start_host(STATE_TABLES_CONNECTION="no connection string")
    assert loopback.get(f"{host}/api/health").status_code == 500


def inject_graph_fault(trust: Trust, method: str, path: str, status: int, times: int = 1, **details: object) -> None:
    fault = {"method": method, "path": path, "times": times, "status": status, **details}
    loopback.post(f"{trust.addresses.tenant}/_sim/faults", json=fault).raise_for_status()


def set_mis(trust: Trust, art: str, drama: str) -> None:
    groups = tuple(
        replace(group, pupils=tuple(people.split())) for group, people in zip(GROUPS, (art, drama), strict=True)
    )
    trust.schools["OAK"] = replace(OAK, groups=groups)
    write(trust.schools["OAK"], trust.world.folder / "feed OAK")


def sync_tenant_without_a_permission(trust: Trust) -> None:
    tenant = "d0000000-0000-4000-8000-000000000002"
    trust.consent(tenant, "Member.Read.Hidden")
    trust.add_school(replace(OAK, id="FIR", dfe_code="1112223"), tenant=tenant)
    before = count(trust.addresses)
    trust.call("POST", f"tenants/{tenant}/full-resync", expected=202)
    drain(trust.addresses, before)


def deliver_drops(trust: Trust) -> None:
    """Deliver a complete set, an incomplete set, and a set that cannot be archived."""
    drop = trust.world.folder / "drop"
    trust.add_school(ASH, source={"kind": "folder", "path": str(drop)})
    write(ASH, drop)
    before = count(trust.addresses)
    run_timer(trust.addresses, "check_file_drops")
    drain(trust.addresses, before)
    (drop / "wednesday").mkdir()
    (drop / "wednesday" / "manifest.csv").write_bytes((drop / "manifest.csv").read_bytes())
    run_timer(trust.addresses, "check_file_drops")
    (drop / "processed").write_text("a file where a folder is to be")
    trust.save_settings("ASH", source={"kind": "folder", "path": str(drop), "after_sync": "archive"})
    run_timer(trust.addresses, "check_file_drops")


def test_t01_one_trace_leads_from_the_timer_to_each_graph_request(telemetry: Telemetry) -> None:
    refreshed = telemetry.events("tenant.refreshed")[0]
    trace = refreshed["OperationId"]
    spans = telemetry.spans(trace)
    created = next(row for row in spans.values() if row["Name"] == "POST /v1.0/education/classes" and row["Success"])
    change = spans[created["ParentId"]]
    plan = spans[change["ParentId"]]
    refresh = spans[plan["ParentId"]]
    assert [span["Name"] for span in (change, plan, refresh)] == [
        "process class-changes",
        "process sync-requests",
        "process sync-requests",
    ]
    # The parent of the refresh is the host's own span of the timer, which the host exports.
    assert refresh["ParentId"] not in spans
    applied = telemetry.of("AppEvents", Name="change.applied", OperationId=trace)
    assert {event["Properties"]["sync.kind"] for event in applied} == {"create-class", "grant-owners", "change-members"}


def test_t02_a_webhook_continues_its_callers_trace_to_graph(telemetry: Telemetry) -> None:
    names = [event["Name"] for event in telemetry.of("AppEvents", OperationId=CALLER)]
    # A change may be applied before the plan that sent it says so.
    assert names[0] == "webhook.accepted"
    assert (set(names[1:]), names.count("school.planned")) == ({"school.planned", "change.applied"}, 1)
    spans = telemetry.spans(CALLER)
    added = next(row for row in spans.values() if row["Name"] == "PATCH /v1.0/groups/{id}")
    change = spans[added["ParentId"]]
    assert change["Name"] == "process urgent-changes"
    assert spans[change["ParentId"]]["Name"] == "process sync-requests"
    assert spans[change["ParentId"]]["ParentId"] == "b7ad6b7169203331"


def test_t03_no_failure_is_lost_to_sampling(telemetry: Telemetry) -> None:
    failed = telemetry.events("message.failed")
    assert len(failed) >= 3
    assert len(telemetry.of("AppRequests", Success=False)) == len(failed)
    refused = [row["ResultCode"] for row in telemetry.of("AppDependencies", Success=False)]
    assert {"400", "429", "503"} <= set(refused)
    throttled = [row for row in telemetry.of("AppDependencies") if row["Properties"].get("sync.throttled", "0") != "0"]
    assert [row["ResultCode"] for row in throttled] == ["429"]


def test_t04_each_graph_request_is_one_span(telemetry: Telemetry) -> None:
    ours = [row for row in telemetry.of("AppDependencies") if not row["Name"].startswith("fastapi.")]
    assert [row["Name"] for row in ours if "sync.path" not in row["Properties"]] == []
    assert len(ours) == telemetry.graph_requests


def test_t05_no_person_is_named(telemetry: Telemetry) -> None:
    everything = json.dumps(telemetry.rows).lower()
    assert "t1" in everything
    assert [word for word in PERSONAL if word in everything] == []


def test_t06_the_rows_have_the_column_types_of_azure(telemetry: Telemetry) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str, type(None)),
        "datetime": (str,),
        "bool": (bool,),
        "real": (float,),
        "dynamic": (dict,),
    }
    for row in telemetry.rows:
        if row["table"] in TABLES:
            for name, value in row["columns"].items():
                assert isinstance(value, kinds[TABLES[row["table"]][name]]), name


@pytest.mark.parametrize("query", QUERIES)
def test_t07_each_query_uses_names_that_were_exported(query: str, telemetry: Telemetry) -> None:
    kql = QUERIES[query]
    events = set(re.findall(r'"((?:tenant|school|calendar|change|message|webhook|file_drop|mis|function)\.\w+)"', kql))
    assert [name for name in events if not telemetry.events(name)] == []
    kinds = [telemetry.events(name) for name in events] or [telemetry.of("AppDependencies")]
    columns = re.findall(r'(\w+)\(Properties\["sync\.(\w+)"\]\)', kql)
    assert len(columns) == kql.count("sync.")
    for function, name in columns:
        values = [[row["Properties"].get(f"sync.{name}") for row in rows] for rows in kinds]
        readable = [all(_READABLE_BY[function](value) for value in column) for column in values if any(column)]
        assert any(readable), f"{function} of {name}"


_READABLE_BY: dict[str, Callable[[str | None], bool]] = {
    "toint": lambda value: value is None or value.isdecimal(),
    "tostring": lambda value: value is None or not value.isdecimal(),
    "tobool": lambda value: value in (None, "True", "False"),
    "isnotempty": lambda value: value is None or bool(value),
}
"""Whether a Kusto function suits an event's value. As a string, a number would be sorted wrongly."""


def test_t08_a_failure_that_nobody_expected_is_an_event_without_its_text(telemetry: Telemetry) -> None:
    (failed,) = (event["Properties"] for event in telemetry.events("function.failed"))
    assert (failed["sync.function"], failed["sync.error"]) == ("health", "Transient")
    assert failed["sync.message"].startswith("unexpected ValueError at ")
    assert "connection string" not in json.dumps(telemetry.of("AppExceptions"))
