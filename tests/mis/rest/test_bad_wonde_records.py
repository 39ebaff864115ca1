"""Bad records of Wonde, one a case: what is left out, what is in doubt, and that everything else stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from local.mis.wonde_api import wonde_id
from sync_core.domain.school.limits import Limits
from sync_core.errors import SnapshotRejected
from sync_core.planning.limits.snapshot import check_left_out
from tests.mis.standing import doubt, lost
from tests.mis.vendor_scenes import WondeScene as Scene
from tests.mis.vendor_scenes import wonde_scene

Record = dict[str, Any]
Change = Callable[[list[Record]], list[Any]]
CLASS, OTHER_CLASS, FORM = (wonde_id(id_) for id_ in ("C001", "C002", "R7A"))
PUPIL, TEACHER = wonde_id("P0001"), wonde_id("T0001")
CORRECT = "correct the record in the MIS, or have the MIS leave it out of the export"
SCOPES = "have Wonde give the token the scopes for this school's classes, groups, students, employees and emails"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with wonde_scene(tmp_path) as scene:
        yield scene


def change_records(scene: Scene, collection: str, change: Change) -> None:
    scene.server.change = lambda name, records: change(records) if name == collection else records


def first(**values: object) -> Change:
    """A change that sets `values` in the first record."""
    return lambda records: [{**records[0], **values}, *records[1:]]


def member(role: str, **values: object) -> Change:
    """The first group has one more person, of these `values`."""

    def change(records: list[Record]) -> list[Record]:
        if role not in records[0]:
            return records  # the list of groups is also read without people
        people = {"data": [*records[0][role]["data"], {"forename": "Nobody", **values}]}
        return [{**records[0], role: people}, *records[1:]]

    return change


def lists(role: str, value: object) -> Change:
    return first(**{role: value})


NO_NAME = {"name": None, "code": " ", "description": None}
CLASS_NAME = f"classes {CLASS}"
FORM_NAME = f"groups {FORM}"
STUDENT = f"classes.students {CLASS}"
EMPLOYEE = f"groups.employees {FORM}"
NO_LIST = "is not a list"
# what, collection, change, the record, the field, the reason, what is in doubt, how many memberships are missing
LEFT_OUT: list[tuple[str, str, Change, str, str, str, str, int]] = [
    (
        "a student who left",
        "classes",
        member("students", id="A9"),
        STUDENT,
        "id",
        "A9 is not among the school's students",
        f"member {CLASS} A9",
        0,
    ),
    (
        "one with an MIS id",
        "classes",
        member("students", id="A9", mis_id="9"),
        STUDENT,
        "id",
        "A9 is not among",
        f"member {CLASS} A9; member {CLASS} 9",
        0,
    ),
    ("a student without an id", "classes", member("students"), STUDENT, "id", "is empty", f"member {CLASS} ?", 0),
    (
        "a student with an MIS id only",
        "classes",
        member("students", mis_id="P0001"),
        STUDENT,
        "id",
        "is empty",
        f"member {CLASS} P0001",
        0,
    ),
    (
        "a teacher listed as a student",
        "classes",
        member("students", id=TEACHER),
        STUDENT,
        "id",
        f"{TEACHER} is not among the school's students",
        f"member {CLASS} {TEACHER}",
        0,
    ),
    (
        "an employee who left",
        "groups",
        member("employees", id="A9"),
        EMPLOYEE,
        "id",
        "A9 is not among the school's employees",
        f"member {FORM} A9",
        0,
    ),
    (
        "an id that is a list",
        "classes",
        member("students", id=["A9"]),
        STUDENT,
        "id",
        "is a list instead of text",
        f"member {CLASS} ?",
        0,
    ),
    (
        "no name",
        "classes",
        first(**NO_NAME),
        CLASS_NAME,
        "name",
        "is empty, as are its code and description",
        f"group {CLASS}",
        11,
    ),
    (
        "a name that is a list",
        "groups",
        first(**{**NO_NAME, "name": ["7A"]}),
        FORM_NAME,
        "name",
        "is a list instead of text",
        f"group {FORM}",
        10,
    ),
    (
        "the id of another",
        "groups",
        first(id=CLASS),
        f"groups {CLASS}",
        "id",
        "is already that of a class or of another group",
        f"group {CLASS} ?",
        10,
    ),
    ("a class without an id", "classes", first(id=None), "classes number 1", "id", "is empty", "group ?", 11),
    ("a group without an id", "groups", first(id=" "), "groups number 1", "id", "is empty", "group ?", 10),
    ("null students", "classes", lists("students", None), CLASS_NAME, "students", NO_LIST, f"group {CLASS}", 11),
    (
        "no list of students",
        "classes",
        lists("students", {"data": None}),
        CLASS_NAME,
        "students",
        NO_LIST,
        f"group {CLASS}",
        11,
    ),
    (
        "a list of numbers",
        "classes",
        lists("students", {"data": [7]}),
        CLASS_NAME,
        "students",
        NO_LIST,
        f"group {CLASS}",
        11,
    ),
    (
        "students as an object",
        "groups",
        lists("students", {"data": {"id": PUPIL}}),
        FORM_NAME,
        "students",
        NO_LIST,
        f"group {FORM}",
        10,
    ),
    ("null employees", "classes", lists("employees", None), CLASS_NAME, "employees", NO_LIST, f"group {CLASS}", 11),
    ("employees without data", "groups", lists("employees", {}), FORM_NAME, "employees", NO_LIST, f"group {FORM}", 10),
    ("a pupil without an id", "students", first(id=""), "students number 1", "id", "is empty", "person P0001", 6),
    (
        "nothing that names a pupil",
        "students",
        first(id=None, mis_id=None),
        "students number 1",
        "id",
        "is empty",
        "person ?",
        6,
    ),
    (
        "an employee without an id",
        "employees",
        first(id=None),
        "employees number 1",
        "id",
        "is empty",
        "person T0001",
        10,
    ),
]


@pytest.mark.parametrize(
    ("collection", "change", "place", "field", "reason", "in_doubt", "missing"),
    [row[1:] for row in LEFT_OUT],
    ids=[row[0] for row in LEFT_OUT],
)
async def test_a_bad_record_is_left_out_and_everything_else_stands(
    scene: Scene, collection: str, change: Change, place: str, field: str, reason: str, in_doubt: str, missing: int
) -> None:
    whole = await scene.read()
    change_records(scene, collection, change)
    read = await scene.read()
    (row,) = (row for row in read.left_out if f"{row.source} {row.place}" == place)
    assert row.field == field
    assert row.reason.startswith(reason)
    assert row.remedy == (SCOPES if row.reason == NO_LIST else CORRECT)
    assert doubt(in_doubt).groups == read.doubt.groups
    assert doubt(in_doubt).people <= read.doubt.people
    assert doubt(in_doubt).memberships <= read.doubt.memberships
    assert len(lost(whole, read)) == missing
    assert "Nobody" not in repr(read.left_out)


async def test_an_mis_id_that_is_another_persons_wonde_id_is_left_out_once(scene: Scene) -> None:
    whole, other = await scene.read(), wonde_id(scene.school.pupils[1].id)
    change_records(
        scene,
        "students",
        lambda records: [{**records[0], "mis_id": other}, {**records[1], "mis_id": ""}, *records[2:]],
    )
    read = await scene.read()
    assert [str(row) for row in read.left_out] == [
        f'students {other}, column "id": {other} is already another person\'s'
    ]
    assert read.doubt == doubt(f"person {other}")
    assert len(read.people) == len(whole.people) - 1


async def test_more_unknown_members_than_the_limits_allow_are_rejected(scene: Scene) -> None:
    """21 pupils whom the school does not have are more than two of a hundred memberships."""
    for unknown, rejected in ((20, False), (21, True)):
        nobody = [{"id": f"A9{number}"} for number in range(unknown)]
        change_records(scene, "classes", first(students={"data": nobody}))
        read = await scene.read()
        assert sum(count.left_out for count in read.counts) == unknown
        if rejected:
            with pytest.raises(SnapshotRejected, match=r"^21 of \d+ rows of classes\.students cannot be read"):
                check_left_out(read, Limits())
        else:
            check_left_out(read, Limits())


TOKEN = "nothing was changed; have Wonde give the token the scopes"
REJECTED: list[tuple[str, str, Change, str]] = [
    (
        "no student's id is known",
        "students",
        lambda all_: [{**one, "id": f"X{one['id']}"} for one in all_],
        "rows of classes.students cannot be read",
    ),
    (
        "no class has a name",
        "classes",
        lambda all_: [{**one, **NO_NAME} for one in all_],
        "24 of 24 rows of classes cannot be read",
    ),
    (
        "no group lists employees",
        "groups",
        lambda all_: [{**one, "employees": None if one["type"] == "YEAR" else one.get("employees")} for one in all_],
        f"none of the groups of the type year has a list of employees — {TOKEN}",
    ),
    (
        "no class lists students",
        "classes",
        lambda all_: [{**one, "students": None} for one in all_],
        f"none of the classes of the type teaching has a list of students — {TOKEN}",
    ),
]


@pytest.mark.parametrize(
    ("collection", "change", "message"), [row[1:] for row in REJECTED], ids=[r[0] for r in REJECTED]
)
async def test_records_of_which_hardly_any_can_be_understood_are_rejected(
    scene: Scene, collection: str, change: Change, message: str
) -> None:
    change_records(scene, collection, change)
    with pytest.raises(SnapshotRejected) as caught:
        check_left_out(await scene.read(), Limits())
    assert message in str(caught.value)
