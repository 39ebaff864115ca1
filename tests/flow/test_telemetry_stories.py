"""What Application Insights is told in a day: each trace whole, each query answered, no failure lost, nobody named."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from azure.servicebus import ServiceBusMessage

from local.insights.__main__ import settings_for
from local.mis.webhooks import announce, body_of, headers_of, wonde_event
from local.nightly import count, drain, run_timer
from local.processes import Child
from local.school.data import SchoolData, Somebody
from local.school.oneroster_csv import write
from local.world import WEBHOOK_SETTING
from sync_core.messaging.messages import CLASS_CHANGES, SYNC_REQUESTS, Action, ActOnClass, encode
from tests.flow.trust import Trust, staff, start_trust, teaching
from tests.infra.bicep import app_settings
from tests.infra.kusto import QUERIES, TABLES

# Names that nothing else is called, unlike the ids.
PUPILS = tuple(
    Somebody(f"p{place}", given, "Quillfeather", f"{given.lower()}.quillfeather", "", "7")
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
class Told:
    """The rows of a day, as Azure would have them."""

    rows: list[dict[str, Any]]
    asked_of_graph: int

    def of(self, table: str, **wanted: object) -> list[Mapping[str, Any]]:
        found = [row["columns"] for row in self.rows if row["table"] == table]
        return [columns for columns in found if all(columns[name] == value for name, value in wanted.items())]

    def spans(self, trace: str) -> dict[str, Mapping[str, Any]]:
        """Of one trace, by id."""
        tables = ("AppRequests", "AppDependencies")
        return {row["Id"]: row for table in tables for row in self.of(table, OperationId=trace)}

    def events(self, name: str) -> list[Mapping[str, Any]]:
        return self.of("AppEvents", Name=name)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("telemetry")
    rows = folder / "rows.jsonl"
    command = [sys.executable, "-m", "local.insights", "--rows", str(rows)]
    insights = Child("insights", command, folder / "insights.log")
    try:
        address = f"http://127.0.0.1:{insights.ready_line()['port']}"
        with start_trust(folder / "trust", DELIVERIES) as trust:
            assert trust.world.host
            trust.world.host.stop()
            trust.world.start_host(**deployed_settings() | settings_for(address))
            day(trust)
            asked = len(httpx.get(f"{trust.addresses.tenant}/_sim/log").json())
            # Going down in good order, it sends what it has not sent yet.
            trust.world.host.stop()
        yield Told([json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()], asked)
    finally:
        insights.stop()


def deployed_settings() -> dict[str, str]:
    """How telemetry is set up in Azure, from the template."""
    ours = {name: value.strip("'") for name, value in app_settings().items() if name.startswith(("OTEL_", "PYTHON_"))}
    assert len(ours) == 5
    return ours


def day(trust: Trust) -> None:
    """A night with everything that may go wrong, and what webhooks, drops and admins do by day."""
    trust.add_school(OAK, webhook_secrets=[WEBHOOK_SETTING])
    graph_says(trust, "PATCH", "/groups/", 400)
    graph_says(trust, "POST", "/education/classes$", 429, retry_after=0)
    graph_says(trust, "POST", "/education/classes$", 503, times=3)
    trust.run_night()
    trust.run_night()
    now_in(trust, "p0 p1 p2 p3 p4", "p0 p1 p5")
    body = body_of(["T1", "T2"])
    signed = headers_of(body, "msg_1") | {"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"}
    before = count(trust.addresses)
    httpx.post(f"{trust.addresses.host}/api/mis/OAK/changes", content=body, headers=signed).raise_for_status()
    drain(trust.addresses, before)
    httpx.post(f"{trust.addresses.host}/api/mis/OAK/changes", content=body)
    now_in(trust, "", "p0 p1")
    trust.run_night()
    trust.run_night(lambda: (trust.world.folder / "feed OAK" / "classes.csv").unlink())
    nothing_to_restore = ActOnClass("OAK", "2026.teaching.T1", Action.RESTORE, "run")
    before = count(trust.addresses)
    trust.send(SYNC_REQUESTS, ServiceBusMessage(encode(nothing_to_restore), session_id="OAK", message_id="restore"))
    drain(trust.addresses, before)
    drops(trust)
    trust.save_settings("OAK", enabled=False, webhook_secrets=[WEBHOOK_SETTING])
    before = count(trust.addresses)
    announce(trust.addresses.host, "OAK", "msg_2")
    drain(trust.addresses, before)
    wonde = {"kind": "wonde", "school": "A1930499544", "secret": WEBHOOK_SETTING}
    trust.save_settings("OAK", source=wonde)
    wonde_event(trust.addresses.host, "accessRevoked", "A1930499544").raise_for_status()
    torn: dict[str | bytes, Any] = {"traceparent": "00-no-trace-00", "tracestate": 7}
    trust.send(
        CLASS_CHANGES, ServiceBusMessage(b"{", session_id="torn", message_id="torn", application_properties=torn)
    )
    while not trust.call("GET", "dead-letters").json():
        pass


def graph_says(trust: Trust, method: str, path: str, status: int, times: int = 1, **more: object) -> None:
    fault = {"method": method, "path": path, "times": times, "status": status, **more}
    httpx.post(f"{trust.addresses.tenant}/_sim/faults", json=fault).raise_for_status()


def now_in(trust: Trust, art: str, drama: str) -> None:
    groups = tuple(replace(group, pupils=tuple(who.split())) for group, who in zip(GROUPS, (art, drama), strict=True))
    trust.schools["OAK"] = replace(OAK, groups=groups)
    write(trust.schools["OAK"], trust.world.folder / "feed OAK")


def drops(trust: Trust) -> None:
    """A set that is whole, one that is not, and one that cannot be moved."""
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


def test_t01_one_trace_leads_from_the_timer_through_both_queues_to_each_request(told: Told) -> None:
    refreshed = told.events("tenant.refreshed")[0]
    trace = refreshed["OperationId"]
    spans = told.spans(trace)
    created = next(row for row in spans.values() if row["Name"] == "POST /v1.0/education/classes" and row["Success"])
    change = spans[created["ParentId"]]
    plan = spans[change["ParentId"]]
    refresh = spans[plan["ParentId"]]
    assert [span["Name"] for span in (change, plan, refresh)] == [
        "process class-changes",
        "process sync-requests",
        "process sync-requests",
    ]
    # What began it is the host's own span of the timer, which the host tells.
    assert refresh["ParentId"] not in spans
    applied = told.of("AppEvents", Name="change.applied", OperationId=trace)
    assert {event["Properties"]["sync.kind"] for event in applied} == {"create-class", "grant-owners", "change-members"}


def test_t02_a_webhooks_trace_is_its_callers_and_ends_at_graph(told: Told) -> None:
    names = [event["Name"] for event in told.of("AppEvents", OperationId=CALLER)]
    assert names[:2] == ["webhook.accepted", "school.planned"]
    assert set(names[2:]) == {"change.applied"}
    spans = told.spans(CALLER)
    added = next(row for row in spans.values() if row["Name"] == "PATCH /v1.0/groups/{id}")
    change = spans[added["ParentId"]]
    assert change["Name"] == "process urgent-changes"
    assert spans[change["ParentId"]]["Name"] == "process sync-requests"
    assert spans[change["ParentId"]]["ParentId"] == "b7ad6b7169203331"


def test_t03_no_failure_is_sampled_away_though_the_host_samples_everything_away(told: Told) -> None:
    failed = told.events("message.failed")
    assert len(failed) >= 3
    assert len(told.of("AppRequests", Success=False)) == len(failed)
    refused = [row["ResultCode"] for row in told.of("AppDependencies", Success=False)]
    assert {"400", "429", "503"} <= set(refused)
    throttled = [row for row in told.of("AppDependencies") if row["Properties"].get("sync.throttled", "0") != "0"]
    assert [row["ResultCode"] for row in throttled] == ["429"]


def test_t04_a_request_to_graph_is_one_span_whatever_the_sdk_does_for_it(told: Told) -> None:
    ours = [row for row in told.of("AppDependencies") if not row["Name"].startswith("fastapi.")]
    assert [row["Name"] for row in ours if "sync.path" not in row["Properties"]] == []
    assert len(ours) == told.asked_of_graph


def test_t05_nobody_is_named(told: Told) -> None:
    everything = json.dumps(told.rows).lower()
    assert "t1" in everything
    assert [word for word in PERSONAL if word in everything] == []


def test_t06_the_rows_have_the_columns_that_azure_has(told: Told) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str, type(None)),
        "datetime": (str,),
        "bool": (bool,),
        "real": (float,),
        "dynamic": (dict,),
    }
    for row in told.rows:
        if row["table"] in TABLES:
            for name, value in row["columns"].items():
                assert isinstance(value, kinds[TABLES[row["table"]][name]]), name


@pytest.mark.parametrize("query", QUERIES)
def test_t07_a_query_asks_for_what_was_told(query: str, told: Told) -> None:
    kql = QUERIES[query]
    events = set(re.findall(r'"((?:school|change|message|webhook|file_drop|mis)\.\w+)"', kql))
    assert [name for name in events if not told.events(name)] == []
    kinds = [told.events(name) for name in events] or [told.of("AppDependencies")]
    asked = re.findall(r'(\w+)\(Properties\["sync\.(\w+)"\]\)', kql)
    assert len(asked) == kql.count("sync.")
    for reading, name in asked:
        values = [[row["Properties"].get(f"sync.{name}") for row in rows] for rows in kinds]
        readable = [all(_READINGS[reading](value) for value in known) for known in values if any(known)]
        assert any(readable), f"{reading} of {name}"


_READINGS: dict[str, Callable[[str | None], bool]] = {
    "toint": lambda value: value is None or value.isdecimal(),
    "tostring": lambda value: value is None or not value.isdecimal(),
    "isnotempty": lambda value: value is None or bool(value),
}
"""By Kusto's function, what an event's value must look like for it. A number would be sorted wrongly as a string."""
