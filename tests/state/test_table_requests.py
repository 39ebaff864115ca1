"""The requests to Azure Tables: how many, and how a read recovers from a write in its middle."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.data.tables import AccountSasPermissions, ResourceTypes, generate_account_sas
from azure.data.tables.aio import TableServiceClient

from sync_core.domain.classes.desired import DesiredClass, Pin, Reason, Rule
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.errors import AccessDenied, Transient
from sync_core.state.store import CLASSES, TableState
from tests.builders import NOON, desired, entra_id, entra_ids, synced
from tests.state.wire import Wire

K000 = ClassKey("K000")
RUN = RunId("run")
K1 = ClassKey("K1")
READ, LISTED, TRANSACTION = "GET classes row", "GET classes", "POST $batch"


@pytest.fixture
async def state(service: TableServiceClient) -> TableState:
    state = TableState(service)
    await state.ensure_tables()
    return state


@pytest.fixture
def school() -> SchoolId:
    return SchoolId(uuid4().hex)


def crowd(key: str, first: int = 0, people: int = 2_000) -> DesiredClass:
    """A class whose lists need overflow rows."""
    pupils = [f"p{number}" for number in range(first, first + people)]
    return replace(
        desired(key, pupils), reasons={entra_id(pupil): Reason(Rule.STUDENT, MisId(pupil)) for pupil in pupils}
    )


async def test_requests_for_ordinary_classes(state: TableState, wire: Wire, school: SchoolId) -> None:
    keys = [f"K{number:03}" for number in range(250)]
    wanted = [desired(key, ["amy"], ["main"]) for key in keys]
    assert await wire.record(state.write_desired(school, wanted)) == [TRANSACTION] * 3
    assert await wire.record(state.class_records(school)) == [LISTED]
    assert await wire.record(state.class_outlines(school)) == [LISTED]
    assert await wire.record(state.class_record(school, K000)) == [READ]
    assert (
        await wire.record(state.write_drift(school, [Drift(ClassKey(key), stale=True) for key in keys]))
        == [TRANSACTION] * 3
    )
    record = await state.class_record(school, K000)
    assert record is not None
    delta = AppliedDelta(run=RUN, cause=Cause.NIGHTLY, at=NOON, members_added=entra_ids(["amy"]))
    assert await wire.record(
        state.write_actual(replace(synced(wanted[0]), school=school, etag=record.etag), delta)
    ) == [TRANSACTION]
    assert await wire.record(state.history(school, K000)) == [LISTED]
    assert await wire.record(state.histories(school, [ClassKey(key) for key in keys], NOON)) == [LISTED]
    pins = [Pin(key=ClassKey(key), members=entra_ids(["amy"]), owners=frozenset(), undone=RUN, run=RUN) for key in keys]
    assert await wire.record(state.write_pins(school, pins)) == [TRANSACTION] * 3
    assert await wire.record(state.pins(school)) == [LISTED]
    assert await wire.record(state.pinned(school)) == [LISTED]
    assert await wire.record(state.forget_pin(school, K000)) == ["DELETE classes row", LISTED]


async def test_only_a_transaction_with_a_missing_row_is_written_row_by_row(
    state: TableState, wire: Wire, school: SchoolId
) -> None:
    keys = [f"K{number:03}" for number in range(250)]
    await state.write_desired(school, [desired(key) for key in keys[:-1]])
    requests = await wire.record(state.write_drift(school, [Drift(ClassKey(key), stale=True) for key in keys]))
    assert requests == [TRANSACTION] * 3 + ["PATCH classes row"] * 50


async def test_requests_for_a_large_class(state: TableState, wire: Wire, school: SchoolId) -> None:
    await state.write_desired(school, [desired(f"K{number}") for number in range(50)])
    assert await wire.record(state.write_desired(school, [crowd("K7")])) == [TRANSACTION]
    assert await wire.record(state.class_record(school, ClassKey("K7"))) == [READ, LISTED]
    assert await wire.record(state.class_record(school, ClassKey("K8"))) == [READ]
    assert await wire.record(state.class_records(school)) == [LISTED]


async def test_an_ordinary_class_is_one_row_and_a_large_one_refers_to_overflow_rows(
    state: TableState, service: TableServiceClient, school: SchoolId
) -> None:
    for large in (crowd("K2", people=5_000), crowd("K2")):
        await state.write_desired(school, [desired("K1", ["amy"]), large])
    entities = service.get_table_client(CLASSES).query_entities("PartitionKey eq @p", parameters={"p": school})
    visible = {row["RowKey"]: row async for row in entities}
    assert set(visible) == {"c:K1", "c:K2", "c:K2,desired_members,1", "c:K2,desired_reasons,1"}
    assert (visible["c:K1"]["desired_members_0"], visible["c:K1"]["desired_members_count"]) == (entra_id("amy"), "1")
    assert visible["c:K2"]["desired_members_0"].startswith("in overflow rows: c:K2,desired_members,… parts 3 sha256 ")
    assert visible["c:K2"]["desired_members_count"] == "2000"
    assert set(visible["c:K2,desired_members,1"]) == {
        "PartitionKey",
        "RowKey",
        *(f"desired_members_{at}" for at in "012"),
    }
    assert entra_id("p7") in "".join(visible["c:K2,desired_members,1"][f"desired_members_{at}"] for at in "012")


async def test_forgetting_leaves_no_overflow_rows(
    state: TableState, service: TableServiceClient, school: SchoolId
) -> None:
    wanted = crowd("K1")
    await state.write_desired(school, [wanted])
    record = await state.class_record(school, K1)
    assert record is not None
    await state.write_actual(record, AppliedDelta(run=RUN, cause=Cause.NIGHTLY, at=NOON, members_added=wanted.members))
    await state.write_pins(school, [Pin(key=K1, members=wanted.members, owners=frozenset(), undone=RUN, run=RUN)])
    await state.write_pins(school, [Pin(key=K1, members=frozenset(), owners=frozenset(), undone=RUN, run=RUN)])
    client = service.get_table_client(CLASSES)

    async def kinds() -> list[str]:
        entities = client.query_entities("PartitionKey eq @p", parameters={"p": school}, select=["RowKey"])
        return [row["RowKey"].partition(":")[0] async for row in entities]

    assert [(await kinds()).count(kind) for kind in "chp"] == [3, 2, 2]
    await state.forget_history(school, NOON.replace(year=2027))
    await state.forget_pin(school, K1)
    assert await kinds() == ["c"] * 3


async def test_a_class_written_during_a_read_is_read_again(
    state: TableState, other: TableState, wire: Wire, school: SchoolId
) -> None:
    before, after = crowd("K1"), crowd("K1", first=1_000)
    await state.write_desired(school, [before])

    async def before_request(number: int) -> None:
        if number == 2:
            await other.write_desired(school, [after])

    wire.requests, wire.before_request = [], before_request
    record = await state.class_record(school, K1)
    assert record is not None
    assert record.desired == after
    assert len(wire.requests) == 4


async def test_a_class_that_shrinks_during_a_read_is_read_as_before(
    state: TableState, other: TableState, wire: Wire, school: SchoolId
) -> None:
    """The old overflow rows remain, so that the read returns one consistent state."""
    before = crowd("K1")
    await state.write_desired(school, [before])

    async def before_request(number: int) -> None:
        if number == 2:
            await other.write_desired(school, [desired("K1", ["amy"])])

    wire.requests, wire.before_request = [], before_request
    record = await state.class_record(school, K1)
    assert record is not None
    assert (record.desired, len(wire.requests)) == (before, 2)


async def test_a_class_written_during_every_read_is_a_transient_error(
    state: TableState, other: TableState, wire: Wire, school: SchoolId
) -> None:
    await state.write_desired(school, [crowd("K1")])

    async def before_request(number: int) -> None:
        if number % 2 == 0:
            await other.write_desired(school, [crowd("K1", first=number)])

    wire.requests, wire.before_request = [], before_request
    with pytest.raises(Transient, match="changed during each of several reads"):
        await state.class_record(school, K1)
    assert len(wire.requests) == 10


async def test_classes_are_read_again_after_a_write_between_two_pages(
    state: TableState, other: TableState, wire: Wire, school: SchoolId
) -> None:
    """The row of the large class ends the first page, and its overflow rows start the second."""
    ordinary = [desired(f"A{number:03}") for number in range(999)]
    before, after = crowd("K1"), crowd("K1", first=1_000)
    await state.write_desired(school, [*ordinary, before])
    assert await wire.record(state.class_records(school)) == [LISTED] * 2

    async def before_request(number: int) -> None:
        if number == 2:
            await other.write_desired(school, [after])

    wire.requests, wire.before_request = [], before_request
    assert [record.desired for record in await state.class_records(school)] == [*ordinary, after]
    assert len(wire.requests) == 4


async def test_pins_are_read_again_after_one_is_forgotten_between_two_pages(
    state: TableState, other: TableState, wire: Wire, school: SchoolId
) -> None:
    ordinary = [
        Pin(key=ClassKey(f"A{number:03}"), members=frozenset(), owners=frozenset(), undone=RUN, run=RUN)
        for number in range(999)
    ]
    await state.write_pins(
        school, [*ordinary, Pin(key=K1, members=crowd("K1").members, owners=frozenset(), undone=RUN, run=RUN)]
    )

    async def before_request(number: int) -> None:
        if number == 2:
            await other.forget_pin(school, K1)

    wire.requests, wire.before_request = [], before_request
    assert await state.pins(school) == {pin.key: pin for pin in ordinary}
    assert len(wire.requests) == 3


# --- the check of the tables


async def test_the_check_of_the_tables_is_two_requests_and_changes_nothing(
    state: TableState, service: TableServiceClient, wire: Wire
) -> None:
    assert await wire.record(state.missing_tables()) == ["GET Tables"]
    assert await wire.record(state.check_write()) == ["DELETE messagefaults row"]
    assert await state.missing_tables() == ()


async def test_a_start_that_finds_its_tables_takes_one_request(state: TableState, wire: Wire) -> None:
    assert await wire.record(state.ensure_tables()) == ["GET Tables"]


async def test_a_start_creates_the_tables_that_are_missing(
    state: TableState, service: TableServiceClient, wire: Wire
) -> None:
    await service.delete_table(CLASSES)
    assert await wire.record(state.ensure_tables()) == ["GET Tables", "POST Tables"]
    assert await state.missing_tables() == ()


async def test_a_table_that_is_gone_is_named(storage: str) -> None:
    async with TableServiceClient.from_connection_string(storage) as service:
        state = TableState(service)
        await state.ensure_tables()
        await service.delete_table(CLASSES)
        assert await state.missing_tables() == (CLASSES,)


async def test_an_identity_that_may_only_read_is_denied_the_check_of_writing(
    shared_storage: str, state: TableState
) -> None:
    account = dict(part.split("=", 1) for part in shared_storage.rstrip(";").split(";"))
    key = AzureNamedKeyCredential(account["AccountName"], account["AccountKey"])
    scope, tomorrow = ResourceTypes(service=True, container=True, object=True), datetime.now(UTC) + timedelta(days=1)
    reading = generate_account_sas(key, scope, AccountSasPermissions(read=True, list=True), tomorrow)
    async with TableServiceClient(account["TableEndpoint"], credential=AzureSasCredential(reading)) as service:
        reader = TableState(service)
        assert await reader.missing_tables() == ()
        with pytest.raises(AccessDenied, match="Storage Table Data Contributor"):
            await reader.check_write()
