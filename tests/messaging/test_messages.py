"""The queue contract: messages survive a round trip, and an unreadable one is rejected without repeating its values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.classes.year_end import YearEndChoice, YearEndFilter
from sync_core.domain.ids import AccountId, ClassKey, RunId, SchoolId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import Cause
from sync_core.errors import Malformed
from sync_core.messaging.messages import (
    Action,
    ActOnClass,
    ApplyPlan,
    Change,
    ChangeForYearEnd,
    ChangeMembers,
    CreateClass,
    DecideHold,
    Decision,
    EndYear,
    GrantOwners,
    RefreshTenant,
    Request,
    SyncSchool,
    TakeBackYearEnd,
    UndoRun,
    decode_change,
    decode_request,
    encode,
    scope_of,
)
from tests.builders import mis_ids

RUN = RunId("run")
SCHOOL_ID = SchoolId("S")
KEY = ClassKey("K")
MOST_CHARACTERS = 250
REQUESTS: list[Request] = [
    RefreshTenant("T", RUN, Cause.NIGHTLY),
    SyncSchool(SCHOOL_ID, RUN, Cause.ADMIN),
    SyncSchool(SCHOOL_ID, RUN, Cause.WEBHOOK, mis_ids("G1", "G2")),
    ActOnClass(SCHOOL_ID, KEY, Action.DELETE, RUN),
    DecideHold(SCHOOL_ID, ("abc", "def"), Decision.APPROVE, RUN),
    ApplyPlan(SCHOOL_ID, "abc", RUN),
    UndoRun(SCHOOL_ID, RunId("run 0"), RUN),
    EndYear(SCHOOL_ID, "abc", YearEndFilter((2025,), (GroupType.YEAR,), name="7x"), YearEndChoice(keep_years=2), RUN),
    TakeBackYearEnd(SCHOOL_ID, "abc", YearEndFilter(never_used=True), RUN),
]
CHANGES: list[Change] = [
    CreateClass(SCHOOL_ID, KEY, RUN, Cause.NIGHTLY),
    GrantOwners(SCHOOL_ID, KEY, RUN, Cause.NIGHTLY, owners=(AccountId("a"),)),
    ChangeForYearEnd(SCHOOL_ID, KEY, RUN, Cause.ADMIN),
    ChangeMembers(SCHOOL_ID, KEY, RUN, Cause.NIGHTLY, added=(AccountId("a"),), removed=(AccountId("b"),)),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_requests_survive_a_round_trip(request_: Request) -> None:
    assert decode_request(encode(request_)) == request_


@pytest.mark.parametrize("change", CHANGES)
def test_changes_survive_a_round_trip(change: Change) -> None:
    assert decode_change(encode(change)) == change


def test_sessions_keep_schools_and_classes_in_order() -> None:
    assert [request.session for request in REQUESTS] == ["T", *["S"] * 8]
    assert {change.session for change in CHANGES} == {"S|K"}


BAD = [
    (b"", "body: Invalid JSON"),
    (b"\xff\xfe", "body: Invalid JSON"),
    (b"[]", "body"),
    (b"{}", "body: 'kind' is missing"),
    (b'{"kind": "change-shoes"}', "body: 'kind' should be one of 'create-class', "),
    (b'{"kind": "create-class", "school": "S", "key": "K", "run": "r"}', "create-class.cause: Field required"),
    (encode(CHANGES[0]).replace(b'"version":1', b'"version":2'), "create-class.version: Input should be 1"),
    (encode(CHANGES[0]).replace(b'"nightly"', b'"Amy Smith"'), "create-class.cause: Input should be 'nightly', "),
    (encode(CHANGES[0])[:-1] + b', "extra": 1}', "create-class.(unknown): Extra inputs are not permitted"),
    (encode(CHANGES[0])[:-1] + b', "tenant": "T"}', "create-class.(unknown): Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("body", "place"), BAD)
def test_an_unreadable_message_is_malformed_with_the_place_and_no_value(body: bytes, place: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_change(body)
    assert place in caught.value.message
    assert not any(value in str(caught.value) for value in ("Smith", "shoes"))
    assert "docs/operations.md" in caught.value.remedy


REQUEST: dict[str, object] = {"school": "S", "run": "r", "cause": "admin", "kind": "sync-school"}
OUT_OF_BOUNDS = [
    ({"scope": ["g"] * 1001}, "sync-school.scope: should have at most 1000 items"),
    ({"people": ["p"] * 1001}, "sync-school.people: should have at most 1000 items"),
    ({"scope": ["Amy Smith" * 23, "G1"]}, "sync-school.scope.0: String should have at most 200 characters"),
    ({"school": "S" * 501}, "sync-school.school: should have at most 500 characters"),
    ({"run": "r" * 201}, "sync-school.run: should have at most 200 characters"),
    ({"run": ""}, "sync-school.run: should have at least 1 character"),
    ({"school": ""}, "sync-school.school: should have at least 1 character"),
    ({"kind": "act-on-class", "action": "delete", "key": ""}, "act-on-class.key: should have at least 1 character"),
    ({"run": "r\n"}, "sync-school.run: should be text on one line, without control characters"),
    ({"run": "\ud800"}, "body: Invalid JSON"),
    ({"kind": "act-on-class", "action": "delete", "key": "k" * 201}, "act-on-class.key: should have at most 200 "),
    ({"kind": "undo-run", "undone": "k" * 201}, "undo-run.undone: should have at most 200 characters"),
]


@pytest.mark.parametrize(("values", "place"), OUT_OF_BOUNDS, ids=lambda value: str(value)[:40])
def test_what_a_message_names_is_bounded(values: dict[str, object], place: str) -> None:
    wanted = {name: REQUEST[name] for name in ("school", "run", "cause", "kind")} | values
    with pytest.raises(Malformed) as caught:
        decode_request(json.dumps(wanted).encode())
    assert place in caught.value.message
    assert "Smith" not in str(caught.value)


@pytest.mark.parametrize(
    ("tenant", "until", "place"),
    [
        ("../T", None, "tenant: should be the Entra id of a tenant"),
        ("T", "2026-09-07T02:00:00", "until: should have a time zone"),
    ],
)
def test_a_refresh_names_a_tenant_and_a_moment(tenant: str, until: str | None, place: str) -> None:
    body = json.dumps({"kind": "refresh-tenant", "tenant": tenant, "run": "r", "cause": "nightly", "until": until})
    with pytest.raises(Malformed, match=place):
        decode_request(body.encode())


@given(st.lists(st.text(max_size=MOST_CHARACTERS), max_size=3), st.integers(0, 1100), st.integers(1, 250))
def test_a_request_for_groups_is_readable_whatever_their_ids(ids: list[str], more: int, length: int) -> None:
    """A scope that a message cannot name is the whole school."""
    groups = mis_ids(*ids, *("é" * length for _ in range(more)))
    body = encode(SyncSchool(SCHOOL_ID, RUN, Cause.ADMIN, scope_of(groups)))
    assert len(body) < 256_000
    read = decode_request(body)
    assert isinstance(read, SyncSchool)
    assert read.scope in (groups, None)
    assert read.scope == groups or len(groups) > 1000 or max(map(len, groups)) > 200 or sum(map(len, groups)) > 40_000


def test_a_change_is_not_a_request() -> None:
    with pytest.raises(Malformed):
        decode_request(encode(CHANGES[0]))


def test_a_session_has_at_most_128_characters_whatever_the_id_of_the_school() -> None:
    """Service Bus takes no more."""
    longest, longer, longest_of_all = (SchoolId("S" * length) for length in (128, 129, 200))
    assert SyncSchool(longest, RunId("r"), Cause.ADMIN).session == longest
    sessions = {SyncSchool(school, RunId("r"), Cause.ADMIN).session for school in (longer, longest_of_all)}
    assert {len(session) for session in sessions} == {64}
    assert len(sessions) == 2
