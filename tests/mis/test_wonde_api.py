"""Wonde over REST: the same school as in its CSV set, read page by page, in full or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from local.mis.wonde_api import SCHOOL, wonde_id
from sync_core.domain.roster import GroupType, MisGroup, Person, School
from sync_core.errors import SnapshotRejected, SyncError, Transient
from tests.builders import NOON
from tests.fakes.fixed_clock import FixedClock
from tests.mis.vendor_scenes import WondeScene as Scene
from tests.mis.vendor_scenes import shown, wonde_scene

Record = dict[str, Any]
Change = Callable[[list[Record]], list[Any]]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with wonde_scene(tmp_path) as scene:
        yield scene


async def test_the_school_is_the_one_of_the_csv_set(scene: Scene) -> None:
    read, exported = await scene.read(), scene.exported()
    assert shown(read) == shown(exported)
    assert len(read.groups) == len(exported.groups)
    assert read.school == exported.school
    assert read.people.keys() == exported.people.keys()
    assert read.taken_at == NOON


async def test_groups_keep_the_ids_of_wonde_and_people_those_of_the_mis(scene: Scene) -> None:
    read = await scene.read()
    assert {wonde_id(group.id) for group in scene.school.groups} <= {group.id for group in read.groups}
    assert {pupil.id for pupil in scene.school.pupils} <= read.people.keys()


async def test_of_a_person_nothing_is_kept_but_what_finds_the_account(scene: Scene) -> None:
    pupil = scene.school.pupils[0]
    email = pupil.email or f"{pupil.username}@school.onmicrosoft.com"
    assert (await scene.read()).people[pupil.id] == Person(pupil.id, "", email)


@pytest.mark.parametrize("whole_links", [True, False])
@pytest.mark.parametrize("page", [7, 50, 200])
async def test_every_page_is_read_and_no_link_to_another_server_gets_the_token(
    scene: Scene, page: int, whole_links: bool
) -> None:
    """Only the query of a link is used."""
    scene.server.page, scene.server.whole_links = page, whole_links
    scene.server.links_to = "https://evil.example"
    assert shown(await scene.read()) == shown(scene.exported())
    assert scene.readings() == 1


async def test_groups_of_other_types_are_passed_over(scene: Scene) -> None:
    assert {group.type for group in (await scene.read()).groups} == set(GroupType)
    assert "Red" not in {group.name for group in (await scene.read()).groups}


@pytest.mark.parametrize(
    ("now", "year"),
    [
        (datetime(2026, 8, 31, 12, 0, tzinfo=UTC), 2025),
        (datetime(2026, 9, 1, 12, 0, tzinfo=UTC), 2026),
        (datetime(2027, 1, 1, 12, 0, tzinfo=UTC), 2026),
    ],
)
async def test_the_academic_year_is_that_of_the_day(scene: Scene, now: datetime, year: int) -> None:
    scene.clock = FixedClock(now)
    assert {group.academic_year for group in (await scene.read()).groups} == {year}


def changed(scene: Scene, collection: str, change: Change) -> None:
    scene.server.change = lambda name, records: change(records) if name == collection else records


@pytest.mark.parametrize(
    ("authority", "number", "code"),
    [("916", "4023", "9164023"), (916, 23, "9160023"), (None, "4023", ""), ("916", None, "")],
)
async def test_the_dfe_code_is_that_of_authority_and_establishment(
    scene: Scene, authority: object, number: object, code: str
) -> None:
    changed(scene, "school", lambda one: [{**one[0], "la_code": authority, "establishment_number": number}])
    assert (await scene.read()).school == School(scene.school.id, scene.school.name, code)


async def test_a_pupil_and_an_employee_whom_the_mis_numbers_alike_stay_two_people(scene: Scene) -> None:
    teacher, pupil = scene.school.staff[0].id, scene.school.pupils[0].id
    changed(scene, "students", lambda records: [{**records[0], "mis_id": teacher}, *records[1:]])
    read = await scene.read()
    assert {wonde_id(teacher), wonde_id(pupil)} <= read.people.keys()
    assert not {teacher, pupil} & read.people.keys()


async def test_who_has_no_id_of_the_mis_has_that_of_wonde(scene: Scene) -> None:
    changed(scene, "students", lambda records: [{**records[0], "mis_id": None}, *records[1:]])
    assert wonde_id(scene.school.pupils[0].id) in (await scene.read()).people


async def test_a_school_that_changes_while_it_is_read_is_read_anew(scene: Scene) -> None:
    scene.server.page, scene.server.tears = 30, 2
    assert shown(await scene.read()) == shown(scene.exported())
    assert scene.readings() == 3


async def test_one_that_never_stands_still_is_refused_after_three_readings(scene: Scene) -> None:
    scene.server.page, scene.server.tears = 30, 1000
    assert "was inconsistent in 3 reads: a record of students was returned twice" in await scene.refusal()
    assert scene.readings() == 3


async def test_a_class_that_goes_between_two_pages_leaves_no_other_unread(scene: Scene) -> None:
    """A record of the second page has moved to the first by then, and only the counts show it."""
    scene.server.page = 10
    asked = 0

    def gone(records: list[Record]) -> list[Record]:
        nonlocal asked
        asked += 1
        return records if asked <= 2 else records[1:]

    changed(scene, "classes", gone)
    assert len((await scene.read()).groups) == len(scene.exported().groups) - 1
    assert scene.readings() == 2


@pytest.mark.parametrize(("miscounts", "readings"), [(2, 2), (4, 3)])
async def test_counts_that_differ_have_it_read_anew(scene: Scene, miscounts: int, readings: int) -> None:
    scene.server.miscounts = miscounts
    assert shown(await scene.read()) == shown(scene.exported())
    assert scene.readings() == readings


async def test_counts_that_never_agree_are_refused(scene: Scene) -> None:
    scene.server.miscounts = 1000
    assert "60 students were read, but the count is 61" in await scene.refusal()


async def test_a_page_that_the_links_leave_out_is_missed(scene: Scene) -> None:
    scene.server.page, scene.server.left_out = 20, 2
    assert "40 students were read, but the count is 60" in await scene.refusal()


@pytest.mark.parametrize(("status", "error"), [(404, SnapshotRejected), (403, SnapshotRejected), (500, Transient)])
async def test_a_page_that_fails_is_a_failed_pull(scene: Scene, status: int, error: type[SyncError]) -> None:
    scene.server.page, scene.server.broken_page = 20, status
    with pytest.raises(error, match=str(status)):
        await scene.read()


async def test_the_wrong_region_says_which_domain_to_check(scene: Scene) -> None:
    scene.server.wrong_region = True
    said = await scene.refusal()
    assert "returned no data for the school, not even its name" in said
    assert "check that 127.0.0.1 is the domain of the school's region" in said
    assert scene.readings() == 1


async def test_a_school_without_a_class_and_a_student_is_no_school(scene: Scene) -> None:
    """A name, groups and staff are not enough."""
    scene.server.change = lambda name, records: [] if name in ("students", "classes") else records
    assert "neither a class nor a student" in await scene.refusal()


REFUSED = [
    (
        "a wrong token",
        {"secret": "MIS_SECRET_WRONG"},
        "returned 401 — nothing was changed; check the client and the application setting",
    ),
    ("a token that is not set", {"secret": "MIS_SECRET_NONE"}, "MIS_SECRET_NONE, which the school's source names"),
    ("a school that is not there", {"school": "A1"}, "returned 404"),
    ("an id with a way in it", {"school": "A1?a=b#%2e"}, "returned 404"),
]


@pytest.mark.parametrize(("values", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_what_cannot_be_read_says_what_to_do(scene: Scene, values: dict[str, Any], words: str) -> None:
    assert words in await scene.refusal(replace(scene.api, **values))


def first(**values: object) -> Change:
    """The records with `values` in the first of them."""
    return lambda records: [{**records[0], **values}, *records[1:]]


def with_member(role: str) -> Change:
    return first(**{role: {"data": [{"id": "A9", "forename": "Nobody"}]}})


BAD_RECORDS: list[tuple[str, str, Change, str]] = [
    (
        "twice the same student",
        "students",
        lambda records: [records[0], *records],
        "a record of students was returned twice",
    ),
    (
        "twice the same class",
        "classes",
        lambda records: [*records, records[0]],
        "a record of classes was returned twice",
    ),
    ("a group with a class's id", "groups", first(id=wonde_id("C001")), 'groups, number 1, column "id": id A'),
    ("no id", "employees", first(id=None), "returned employees without an id"),
    ("no name", "classes", first(name=" "), 'classes, number 1, column "name": is empty'),
    ("no list", "classes", lambda records: [1], "returned a page without a list of classes"),
    ("no members", "groups", first(students=None), 'groups, number 1, column "students": is not a list'),
    ("no staff", "classes", first(employees={"data": None}), 'classes, number 1, column "employees": is not a list'),
    ("an unknown student", "classes", with_member("students"), "id A9 is not among the school's students"),
    ("an unknown employee", "groups", with_member("employees"), "id A9 is not among the school's employees"),
    ("no count", "counts", first(classes=None), "returned no count of classes"),
    ("a count that is none", "counts", first(students={"data": {"count": "-1"}}), "returned no count of students"),
]


@pytest.mark.parametrize(
    ("collection", "change", "words"), [row[1:] for row in BAD_RECORDS], ids=[row[0] for row in BAD_RECORDS]
)
async def test_records_that_do_not_add_up(scene: Scene, collection: str, change: Change, words: str) -> None:
    changed(scene, collection, change)
    assert words in await scene.refusal()


async def test_an_id_of_the_mis_that_is_another_ones_at_wonde_is_refused(scene: Scene) -> None:
    other = wonde_id(scene.school.pupils[1].id)

    def alike(records: list[Record]) -> list[Record]:
        return [{**records[0], "mis_id": other}, {**records[1], "mis_id": ""}, *records[2:]]

    changed(scene, "students", alike)
    assert f'students, number 2, column "id": id {other} is already another person\'s' in await scene.refusal()


@pytest.mark.parametrize(
    "pagination", [None, {}, {"more": True, "next": None}, {"more": "yes", "next": "https://api.wonde.com/?page=2"}]
)
async def test_a_page_that_does_not_tell_of_the_next_is_refused(scene: Scene, pagination: object) -> None:
    """Such a page does not show whether it is the last."""
    runner = await _answering({"data": [{"id": "A1"}], "meta": {"pagination": pagination}})
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    assert "returned a page of classes without valid paging details" in await scene.refusal(replace(scene.api, url=url))
    await runner.cleanup()


@pytest.mark.parametrize("link", ["https://api.wonde.com/?page=2", "https://[", ""])
async def test_pages_without_an_end_are_refused(scene: Scene, link: str) -> None:
    endless = {"more": True, "next": link}
    runner = await _answering({"data": [], "meta": {"pagination": endless}})
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    assert "a page of classes is empty, but more pages follow" in await scene.refusal(replace(scene.api, url=url))
    await runner.cleanup()


async def _answering(page: Record) -> web.AppRunner:
    """A server that returns this page for every request about the school, except for the school itself."""

    async def say(request: web.Request) -> web.Response:
        return web.json_response({"data": {"id": SCHOOL}} if request.path.endswith(SCHOOL) else page)

    app = web.Application()
    app.router.add_get("/{path:.*}", say)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def test_the_main_teacher_comes_first_though_listed_last(scene: Scene) -> None:
    two = {
        "data": [{"id": wonde_id("T0001"), "meta": {}}, {"id": wonde_id("T0002"), "meta": {"is_main_teacher": True}}]
    }
    changed(scene, "classes", first(employees=two))
    groups: dict[str, MisGroup] = {group.id: group for group in (await scene.read()).groups}
    assert groups[wonde_id("C001")].teachers == ("T0002", "T0001")
