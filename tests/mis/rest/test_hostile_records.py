"""Records with any JSON in any field: a feed with rows left out, or a rejection, and never an error of Python."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_core.domain.ids import SchoolId, digest_of
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.sources import OneRosterApi, WondeApi, WondeEmail
from sync_core.errors import SnapshotRejected
from sync_core.mis import budget
from sync_core.mis.budget import Budget
from sync_core.mis.files.oneroster import Tables, read_roster
from sync_core.mis.files.oneroster_roles import with_roles
from sync_core.mis.quarantine import Quarantine
from sync_core.mis.records import Record, Schema
from sync_core.mis.rest.cache import CachedSchool, PackedRecords, SchoolCache
from sync_core.mis.rest.oneroster_records import ANYWHERE, NAMES, SCHEMAS, SCHEMAS_OF_ALL_SCHOOLS, keys_of, read_table
from sync_core.mis.rest.paging import ListFacts, Take
from sync_core.mis.rest.shared_lists import ListsOfServer, SharedLists, StoredRecords
from sync_core.mis.rest.wonde import Roster
from sync_core.mis.rest.wonde_records import GROUP, SCHOOL, person_of
from tests.builders import NOON
from tests.fakes.fixed_clock import FixedClock
from tests.mis import feeds

Json = dict[str, Any]


def to(id_: str) -> Json:
    return {"sourcedId": id_}


ROLE = {"role": "student", "roleType": "primary", "org": to("S1"), "beginDate": "2026-09-01", "endDate": ""}
ONEROSTER: dict[str, Json] = {
    "orgs": {"sourcedId": "S1", "status": "active", "name": "A School", "type": "school", "identifier": "1"},
    "academicSessions": {
        "sourcedId": "T1",
        "status": "active",
        "type": "schoolYear",
        "schoolYear": "2027",
        "parent": None,
        "startDate": "2026-09-01",
        "endDate": "2027-08-31",
    },
    "classes": {"sourcedId": "C1", "title": "10A", "classType": "homeroom", "school": to("S1"), "terms": [to("T1")]},
    "students": {"sourcedId": "P1", "enabledUser": "true", "roles": [ROLE], "username": "p1", "grades": ["10"]},
    "teachers": {"sourcedId": "T1", "enabledUser": "true", "roles": [{**ROLE, "role": "teacher"}], "email": "t@x.org"},
    "enrollments": {"sourcedId": "E1", "class": to("C1"), "user": to("P1"), "role": "student", "primary": "false"},
}
PUPIL = {"id": "A1", "mis_id": "1", "contact_details": {"data": {"emails": {"email": "p@x.org"}}}}
PEOPLE = {
    "students": {"data": [{"id": "A1"}]},
    "employees": {"data": [{"id": "A2", "meta": {"is_main_teacher": True}}]},
}
WONDE: dict[str, Json] = {
    "school": {"id": "A0", "name": "A School", "la_code": 123, "establishment_number": 4567},
    "students": PUPIL,
    "employees": {**PUPIL, "id": "A2", "mis_id": "2"},
    "classes": {"id": "C1", "name": "10A/Ma", **PEOPLE},
    "groups": {"id": "G1", "type": "REGISTRATION", "name": "10A", **PEOPLE},
}
WONDE_SCHEMAS = {
    "school": SCHOOL,
    **dict.fromkeys(("students", "employees"), person_of(WondeEmail)),
    **dict.fromkeys(("classes", "groups"), GROUP),
}


def schema_of(collection: str) -> Schema:
    return SCHEMAS["users" if collection in ("students", "teachers") else collection]


def collections_of(raw: Mapping[str, Json], schema: Callable[[str], Schema]) -> dict[str, dict[str, Record]]:
    """One record of each collection, as it is after a reading."""
    read = {name: schema(name).read(record) for name, record in raw.items()}
    return {name: {record.id or "\0": record} for name, record in read.items() if record}


def read_oneroster(raw: Mapping[str, Json]) -> dict[SchoolId, Snapshot]:
    quarantine, records = Quarantine(Budget(), NAMES), {**collections_of(raw, schema_of), "others": {}}
    tables = with_roles(Tables(partial(read_table, records, "S1")), feeds.TODAY, quarantine)
    return read_roster(tables, NOON, feeds.TODAY, quarantine)


def read_wonde(raw: Mapping[str, Json]) -> dict[SchoolId, Snapshot]:
    records = collections_of(raw, WONDE_SCHEMAS.__getitem__)
    (school,) = records["school"].values()
    roster = Roster(records | {"school": {"": school}}, SchoolId("S1"), feeds.TODAY.current_year, Quarantine())
    return roster.snapshots(NOON, feeds.TODAY)


FEEDS = {"OneRoster": (ONEROSTER, read_oneroster), "Wonde": (WONDE, read_wonde)}


@pytest.mark.parametrize("feed", FEEDS)
def test_the_undamaged_feed_is_read(feed: str) -> None:
    raw, read = FEEDS[feed]
    snapshot = read(raw)[SchoolId("S1")]
    assert not snapshot.left_out
    assert {person for group in snapshot.groups for person in group.students} & {"P1", "1"}


nasty: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, "", " ", "\ud800", "\0", "a\nb", "x" * 255, "x" * 256, "9" * 5_000, "-1", "1e400", "NaN"),
        *("0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "0000-00-00", "٢٠٢٧-٠١-٠١", "2026-02-30"),
        *("tobedeleted", "student", "homeroom", "S1", "C1", "P1", "A1", ",", ",,,", [], {}, [[]], [{}], [None]),
        *({"sourcedId": None}, {"sourcedId": {}}, {"data": None}, {"data": [{}]}, {"data": {"emails": []}}),
        *([to("T1")] * 1_001, ["x"] * 1_001),
    ]
)
anything = nasty | st.recursive(
    nasty,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


_DEEPEST = 6


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each value within a JSON value, down to _DEEPEST: no field of a record lies deeper."""
    if len(path) == _DEEPEST:
        return [path]
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for name, part in parts for place in places(part, (*path, name))]


def put(raw: Mapping[str, Json], path: tuple[Any, ...], value: object) -> Mapping[str, Json]:
    changed = copy.deepcopy(dict(raw))
    inner: Any = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


def check(feed: str, raw: Mapping[str, Json]) -> None:
    read = FEEDS[feed][1]
    try:
        snapshots = read(raw)
    except SnapshotRejected as rejected:
        assert "unexpected" not in rejected.message
        return
    for snapshot in snapshots.values():
        texts = [each for group in snapshot.groups for each in (group.id, group.name, *group.students, *group.teachers)]
        texts += [text for person in snapshot.people.values() for text in (person.id, person.username, person.email)]
        assert all(
            (len(text) <= budget.MAX_TEXT + len("grade:") and text.isprintable()) or "\n" in text for text in texts
        )
        "".join(texts).encode()
        # A record is named by its id, and an id that is in no other record is named: each is as long as an id may be.
        longest = "x" * budget.MAX_TEXT
        rows = (replace(row, place=row.place.replace(longest, "")) for row in snapshot.left_out)
        told = [str(row).replace(f"{longest} is not among", "") for row in rows]
        assert not any("x" * 30 in text or "@" in text for text in told)


@pytest.mark.parametrize("feed", FEEDS)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_json_in_any_field_is_read_or_left_out(feed: str, data: st.DataObject) -> None:
    raw: Mapping[str, Json] = FEEDS[feed][0]
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([place for place in places(raw) if len(place) > 1]))
        raw = put(raw, path, data.draw(anything))
    check(feed, raw)


def test_an_unknown_id_of_the_greatest_length_is_named() -> None:
    longest = "x" * budget.MAX_TEXT
    unlinked = put(WONDE, ("classes", "students"), None)
    (snapshot,) = read_wonde(put(unlinked, ("groups", "students", "data", 0, "id"), longest)).values()
    assert any(f"{longest} is not among" in str(row) for row in snapshot.left_out)
    check("Wonde", put(unlinked, ("groups", "students", "data", 0, "id"), longest))
    check("OneRoster", put(put(ONEROSTER, ("students", "sourcedId"), longest), ("students", "roles"), None))


BAD: list[tuple[str, tuple[Any, ...], object, str]] = [
    ("OneRoster", ("classes", "terms"), 5, "terms: is text or a number instead of a list"),
    ("OneRoster", ("classes", "terms"), [to("x")] * 1_001, "terms: has more than 1,000 items"),
    ("OneRoster", ("classes", "title"), "\ud800", "title: has a character that is not text"),
    ("OneRoster", ("classes", "title"), "x" * 256, "title: has more than 255 characters"),
    ("OneRoster", ("classes", "sourcedId"), "x" * 256, "sourcedId: has more than 255 characters"),
    ("OneRoster", ("students", "roles"), True, "roles: is true or false instead of a list"),
    ("OneRoster", ("students", "roles"), [True], "roles: is not a list of objects"),
    ("OneRoster", ("students", "roles", 0, "org"), "S1", "org: is text or a number instead of a reference"),
    ("OneRoster", ("students", "roles", 0, "endDate"), {}, "endDate: is an object instead of text"),
    ("OneRoster", ("students", "email"), ["a@x.org"], "email: is a list instead of text"),
    ("OneRoster", ("students", "grades"), [["10"]], "grades: is a list instead of text"),
    ("OneRoster", ("enrollments", "user"), "P1", "user: is text or a number instead of a reference"),
    ("OneRoster", ("academicSessions", "startDate"), [], "terms: names no session whose academic year is known"),
    ("OneRoster", ("academicSessions", "startDate"), "0001-01-01", "terms: names no session whose academic year is"),
    ("Wonde", ("students", "contact_details"), 5, "contact_details: is not an object with the field data"),
    ("Wonde", ("students", "mis_id"), {}, "mis_id: is an object instead of text"),
    ("Wonde", ("groups", "type"), ["YEAR"], "type: is a list instead of text"),
    ("Wonde", ("groups", "employees", "data", 0, "meta"), "main", "meta: is not an object with the field is_main"),
    ("Wonde", ("groups", "students"), {"data": [5]}, "students: is not a list"),
]


@pytest.mark.parametrize(("feed", "path", "value", "reason"), BAD, ids=range(len(BAD)))
def test_a_field_of_another_type_leaves_its_record_out(
    feed: str, path: tuple[Any, ...], value: object, reason: str
) -> None:
    whole, read = FEEDS[feed]
    raw = put(whole, ("academicSessions", "schoolYear"), None) if "academicSessions" in path else whole
    try:
        rows = [f"{row.field}: {row.reason}" for row in read(put(raw, path, value))[SchoolId("S1")].left_out]
        assert any(row.startswith(reason) for row in rows)
    except SnapshotRejected as rejected:  # without its class or pupil, the feed has no group
        assert reason.replace(":", '":') in rejected.message


@pytest.mark.parametrize(
    ("feed", "field", "value", "subject"),
    [
        ("OneRoster", "subjects", ["Maths", "Art"], "art, maths"),
        ("OneRoster", "subjects", {"Maths": True}, ""),
        ("Wonde", "subject", "A7", "a7"),
        ("Wonde", "subject", {"data": {"id": "A7"}}, ""),
        ("Wonde", "subject", None, ""),
    ],
)
def test_a_subject_is_read_and_no_value_of_it_leaves_its_class_out(
    feed: str, field: str, value: object, subject: str
) -> None:
    raw, read = FEEDS[feed]
    snapshot = read(put(raw, ("classes", field), value))[SchoolId("S1")]
    assert not snapshot.left_out
    assert [group.subject for group in snapshot.groups if group.id == "C1"] == [subject and digest_of(subject)]


@pytest.mark.parametrize("count", [255, 256])
def test_the_length_of_any_text_has_a_limit(count: int) -> None:
    read = SCHEMAS["classes"].read({"sourcedId": "C1", "title": " " + "x" * count})
    assert read
    assert (read["title"], read.fault) == (("x" * 255, "") if count == 255 else ("", "has more than 255 characters"))


@pytest.mark.parametrize(
    ("collection", "fields"),
    [
        ("users", {"orgs": 5}),
        ("users", {"roles": [{"org": 5}]}),
        ("users", {"roles": 5, "email": []}),
        ("enrollments", {"school": "S1"}),
        ("enrollments", {"class": 5, "primary": {}}),
        ("classes", {"school": [], "title": {}}),
    ],
)
def test_a_record_whose_school_cannot_be_read_is_in_the_part_of_each_school(collection: str, fields: Json) -> None:
    record = SCHEMAS_OF_ALL_SCHOOLS[collection].read({"sourcedId": "1", **fields})
    assert record
    assert ANYWHERE in keys_of(collection, record)


@given(st.lists(st.tuples(st.sampled_from([*ONEROSTER]), anything), max_size=4))
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_records_are_packed_and_stored_as_they_are(changes: list[tuple[str, Any]]) -> None:
    for name, value in changes:
        field = sorted(ONEROSTER[name])[0]
        record = schema_of(name).read({**ONEROSTER[name], field: value})
        assert record
        records = {record.id or "\0": record}
        assert PackedRecords.of(schema_of(name), records).unpack(Budget()) == records
        stored = StoredRecords(schema_of(name), 10**9)
        stored.add([(*item, {"key"}) for item in records.items()])
        assert stored.of({"key"}) == records


def test_the_cache_of_schools_has_a_limit() -> None:
    schema = SCHEMAS["classes"]
    record = schema.read(ONEROSTER["classes"])
    assert record
    school = CachedSchool({"classes": PackedRecords.of(schema, {"C1": record})}, NOON, NOON)
    assert 0 < school.size < 200
    cache, source = SchoolCache(2 * school.size), WondeApi(school="A1", secret="MIS_SECRET_S")
    for name in ("S1", "S2", "S3"):
        cache.put(source, SchoolId(name), school)
    assert [cache.of(source, SchoolId(name), NOON) is not None for name in ("S1", "S2", "S3")] == [False, True, True]
    assert cache.size == 2 * school.size


def test_unpacking_counts_against_the_budget() -> None:
    schema = SCHEMAS["classes"]
    record = schema.read(ONEROSTER["classes"])
    assert record
    packed = PackedRecords.of(schema, {str(number): record for number in range(10)})
    left = Budget()
    packed.unpack(left)
    assert budget.MAX_KEPT - left.left == 10 * record.size
    with pytest.raises(SnapshotRejected, match="more people, groups and memberships"):
        packed.unpack(Budget(10 * record.size - 1))


async def test_a_list_whose_places_take_too_much_memory_is_not_kept() -> None:
    clock, schema = FixedClock(), SCHEMAS_OF_ALL_SCHOOLS["enrollments"]
    source = OneRosterApi(url="https://mis", secret="MIS_SECRET_S")
    record = schema.read(ONEROSTER["enrollments"])
    assert record
    stored = StoredRecords(schema, 10**9)
    stored.add([("E", record, {"000000"})])
    most = budget.MAX_PLACES // stored.memory
    assert [
        await count_readings(SharedLists(clock).of(source, clock.now()), record, keys) for keys in (most, most + 1)
    ] == [
        1,
        2,
    ]


async def count_readings(lists: ListsOfServer, record: Record, keys: int) -> int:
    """How often a list with one record of so many keys is read for two schools."""
    readings: list[str] = []

    async def stream(take: Take) -> ListFacts:
        readings.append("once")
        take({"E": record})
        return ListFacts(1)

    def keys_of_all(_: Record) -> set[str]:
        return {f"{number:06}" for number in range(keys)}

    schema = SCHEMAS_OF_ALL_SCHOOLS["enrollments"]
    for _ in range(2):
        part = await lists.part("enrollments", schema, keys_of_all, {"000000"}, Budget(), stream)
        assert part.records == {"E": record}
    return len(readings)
