"""Bad records of OneRoster servers, one a case: what is left out and in doubt, and that everything else stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.mis.standing import doubt, lost
from tests.mis.vendor_scenes import OneRosterScene as Scene
from tests.mis.vendor_scenes import oneroster_scene

Record = dict[str, Any]
Change = Callable[[list[Record]], list[Any]]
CORRECT = "correct the record in the MIS, or have the MIS leave it out of the export"
NO_SCHOOL = "schoolSourcedId: names no school in orgs"
NO_SESSION = "terms: names no session whose academic year is known in academicSessions"
TEXT = "is text or a number instead of"
PUPIL, FORM = "students P0001", "classes R7A"
TEACHES, LEARNS = "enrollments E-R7A-T0001", "enrollments E-R7A-P0001"
ROLE = {"roleType": "primary", "role": "student", "org": {"sourcedId": "SCH1"}}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with oneroster_scene(tmp_path) as scene:
        yield scene


def first(**values: object) -> Change:
    """A change that sets `values` in the first record: the class R7A, its teacher T0001, or the pupil P0001."""
    return lambda records: [{**records[0], **values}, *records[1:]]


def second(**values: object) -> Change:
    """The same in the second record: that P0001 is in R7A, or the class R8A."""
    return lambda records: [records[0], {**records[1], **values}, *records[2:]]


def role(**values: object) -> Change:
    return first(roles=[{**ROLE, **values}], role=values.get("role"))


def more(**values: object) -> Change:
    return lambda records: [*records, {**records[1], "sourcedId": "E9", **values}]


def to(id_: object) -> Record:
    return {"sourcedId": id_}


# collection, change, the record that is left out, its field and the reason, what is in doubt, and how many memberships
# are missing
LEFT_OUT: list[tuple[str, Change, str, str, str, int]] = [
    (
        "enrollments",
        second(**{"class": to("r7a")}),
        LEARNS,
        "class: is not in classes, which has",
        "member r7a P0001; member R7A P0001",
        1,
    ),
    ("enrollments", second(**{"class": None}), LEARNS, "class: is empty", "member ? P0001", 1),
    ("enrollments", second(**{"class": "R7A"}), LEARNS, f"class: {TEXT} a reference", "member ? P0001", 1),
    (
        "enrollments",
        second(user=to("p0001")),
        LEARNS,
        "user: is not in users, which has it",
        "member R7A P0001; member R7A p0001",
        1,
    ),
    ("enrollments", second(user={}), LEARNS, "user: is empty", "member R7A ?", 1),
    ("enrollments", second(user={"href": "https://mis/people/P0001"}), LEARNS, "user: is empty", "member R7A ?", 1),
    ("enrollments", second(user=[to("P0001")]), LEARNS, "user: is a list instead of a reference", "member R7A ?", 1),
    ("enrollments", second(role="chorister"), LEARNS, "role: is not a role of OneRoster", "member R7A P0001", 1),
    ("enrollments", second(role=None), LEARNS, "role: is empty", "member R7A P0001", 1),
    ("enrollments", first(primary="main"), TEACHES, "primary: is neither true nor false", "member R7A T0001", 1),
    ("enrollments", first(status="maybe"), TEACHES, "status: is neither active nor tobedeleted", "member R7A T0001", 1),
    ("enrollments", second(status=7), LEARNS, "status: is neither active nor tobedeleted", "member R7A P0001", 1),
    ("enrollments", second(beginDate="soon"), LEARNS, "beginDate: is not a date", "member R7A P0001", 1),
    ("enrollments", second(endDate="2026-13-01"), LEARNS, "endDate: is not a date", "member R7A P0001", 1),
    ("enrollments", second(endDate=20261301), LEARNS, "endDate: is not a date", "member R7A P0001", 1),
    ("enrollments", more(user=to("gone")), "enrollments E9", "user: is not in users", "member R7A gone", 0),
    (
        "enrollments",
        more(**{"class": to("gone")}),
        "enrollments E9",
        "class: is not in classes",
        "member gone P0001",
        0,
    ),
    ("classes", first(title=""), FORM, "title: is empty", "group R7A", 10),
    ("classes", first(title=None), FORM, "title: is empty", "group R7A", 10),
    ("classes", first(title={"en": "7A"}), FORM, "title: is an object instead of text", "group R7A", 10),
    ("classes", first(classType="choir"), FORM, "classType: is neither homeroom nor scheduled", "group R7A", 10),
    ("classes", first(status="gone"), FORM, "status: is neither active nor tobedeleted", "group R7A", 10),
    ("classes", first(terms=[]), FORM, "terms: is empty", "group R7A", 10),
    ("classes", first(terms=None), FORM, "terms: is empty", "group R7A", 10),
    ("classes", first(terms=[to("T9")]), FORM, NO_SESSION, "group R7A", 10),
    ("classes", first(terms="SY2026-Autumn"), FORM, f"terms: {TEXT} a list", "group R7A", 10),
    ("classes", first(school=to("SCH9")), FORM, "school: names no school in orgs", "", 10),
    ("classes", first(school=None), FORM, "school: names no school in orgs", "group R7A", 10),
    ("classes", first(sourcedId=""), "classes number 1", "sourcedId: is empty", "group ?", 10),
    ("classes", first(sourcedId=None), "classes number 1", "sourcedId: is empty", "group ?", 10),
    ("students", first(status="left"), "users P0001", "status: is neither active nor tobedeleted", "person P0001", 6),
    ("students", first(sourcedId=""), "users number 8", "sourcedId: is empty", "person ?", 0),
    ("students", role(role="chorister"), "users P0001", "role: is not a role of OneRoster", "person P0001", 1),
    ("students", role(role=None), "users P0001", "role: is empty", "person P0001", 1),
    ("students", role(beginDate="soon"), "roles P0001", "beginDate: is not a date", "person P0001", 1),
    ("students", role(endDate="July"), "roles P0001", "endDate: is not a date", "person P0001", 1),
    ("teachers", first(status="left"), "users T0001", "status: is neither active nor tobedeleted", "person T0001", 10),
]


@pytest.mark.parametrize(("collection", "change", "place", "reason", "in_doubt", "missing"), LEFT_OUT)
async def test_a_bad_record_is_left_out_and_everything_else_stands(
    scene: Scene, collection: str, change: Change, place: str, reason: str, in_doubt: str, missing: int
) -> None:
    whole = await scene.read()
    scene.server.change = lambda name, records: change(records) if name == collection else records
    read = await scene.read()
    (row,) = (row for row in read.left_out if f"{row.source} {row.place}" == place)
    assert f"{row.field}: {row.reason}".startswith(reason)
    assert row.remedy == CORRECT
    assert not any(".csv" in str(row) for row in read.left_out)
    assert doubt(in_doubt).groups <= read.doubt.groups
    assert doubt(in_doubt).people <= read.doubt.people
    assert doubt(in_doubt).memberships <= read.doubt.memberships
    assert len(lost(whole, read)) == missing
    for person in (*scene.school.pupils, *scene.school.staff):
        assert person.family not in repr(read.left_out)


# collection, change, and the memberships that are missing: what a server says so is no fault
UNDERSTOOD: list[tuple[str, Change, str]] = [
    ("enrollments", first(role="proctor"), "R7A T0001"),
    ("enrollments", second(role="Parent"), "R7A P0001"),
    ("enrollments", first(role="aide"), "R7A T0001"),
    ("enrollments", more(role="aide", user=to("gone")), ""),
    ("enrollments", second(role=["student"]), ""),
    ("enrollments", more(role="parent", user=to("gone")), ""),
    ("enrollments", second(endDate="2026-09-06"), "R7A P0001"),
    ("enrollments", second(endDate="2026-09-07"), ""),
    ("enrollments", second(beginDate="2026-09-08"), "R7A P0001"),
    ("enrollments", second(beginDate="2026-09-07T00:00:00Z", endDate=""), ""),
    ("enrollments", second(beginDate="13/09/2026"), "R7A P0001"),
    ("enrollments", second(user={"href": "https://mis/ims/oneroster/v1p1/users/P0001?fields=a"}), ""),
    ("enrollments", second(**{"class": {"href": "https://mis/ims/oneroster/v1p1/classes/R7A", "type": "class"}}), ""),
    ("enrollments", second(endDate="0001-01-01T00:00:00"), ""),
    ("academicSessions", lambda all_: [{**one, "parent": one["parent"] or ""} for one in all_], ""),
    ("students", role(endDate="2026-09-06"), "grade:7 P0001"),
    ("students", role(beginDate="2026-09-08"), "grade:7 P0001"),
    ("students", role(beginDate="2026-09-01", endDate="2027-08-31"), ""),
    ("academicSessions", lambda all_: [{**one, "type": "term", "parent": None} for one in all_], ""),
    ("academicSessions", lambda all_: [{**one, "startDate": None, "parent": None} for one in all_], ""),
    ("academicSessions", lambda all_: [{**one, "startDate": "", "schoolYear": 2027} for one in all_], ""),
]


@pytest.mark.parametrize(("collection", "change", "missing"), UNDERSTOOD)
async def test_what_a_server_says_about_today_counts(
    scene: Scene, collection: str, change: Change, missing: str
) -> None:
    """As in a CSV set: the dates of enrolments and of roles, and the years of sessions."""
    whole = await scene.read()
    scene.server.change = lambda name, records: change(records) if name == collection else records
    read = await scene.read()
    assert read.left_out == ()
    assert {group.academic_year for group in read.groups} == {2026}
    known = {(group.id, person) for group in read.groups for person in (*group.students, *group.teachers)}
    before = {(group.id, person) for group in whole.groups for person in (*group.students, *group.teachers)}
    assert [" ".join(pair) for pair in sorted(before - known)] == ([missing] if missing else [])
