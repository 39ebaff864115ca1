"""Wonde over REST: the same school as in its CSV set, read page by page, in full or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from local.mis.wonde_api import SCHOOL, wonde_id
from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import GroupType, MisGroup, Person, School
from sync_core.domain.school.sources import WondeEmail
from sync_core.errors import SnapshotRejected, SyncError, Transient
from tests.builders import NOON
from tests.fakes.fixed_clock import FixedClock
from tests.mis.vendor_scenes import WondeScene as Scene
from tests.mis.vendor_scenes import groups_in_order, wonde_scene
from tests.serving import serve_all

Record = dict[str, Any]
Change = Callable[[list[Record]], list[Any]]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with wonde_scene(tmp_path) as scene:
        yield scene


async def test_the_school_equals_the_csv_set(scene: Scene) -> None:
    read, exported = await scene.read(), scene.exported()
    assert groups_in_order(read) == groups_in_order(exported)
    assert len(read.groups) == len(exported.groups)
    assert read.school == exported.school
    assert read.people.keys() == exported.people.keys()
    assert read.taken_at == NOON


async def test_groups_have_wonde_ids_and_people_have_mis_ids(scene: Scene) -> None:
    read = await scene.read()
    assert {wonde_id(group.id) for group in scene.school.groups} <= {group.id for group in read.groups}
    assert {pupil.id for pupil in scene.school.pupils} <= read.people.keys()


async def test_a_person_has_only_the_id_and_the_address(scene: Scene) -> None:
    pupil = scene.school.pupils[0]
    email = pupil.email or f"{pupil.username}@school.onmicrosoft.com"
    assert (await scene.read()).people[MisId(pupil.id)] == Person(MisId(pupil.id), "", email)


ALL = {"work": "w@x.org", "primary": "p@x.org", "email": "e@x.org", "home": "h@x.org"}


@pytest.mark.parametrize(
    ("emails", "chosen", "used"),
    [
        (ALL, None, "w@x.org"),
        ({**ALL, "work": None}, None, "p@x.org"),
        ({"email": "e@x.org", "home": "h@x.org", "primary": ""}, None, "e@x.org"),
        ({"home": "h@x.org"}, None, ""),
        (ALL, ("home", "work"), "h@x.org"),
        ({**ALL, "home": None}, ("home",), ""),
    ],
)
@pytest.mark.parametrize(("collection", "setting"), [("students", "student_email"), ("employees", "staff_email")])
async def test_the_address_of_a_person_is_the_first_that_the_source_names(
    scene: Scene,
    collection: str,
    setting: str,
    emails: dict[str, str | None],
    chosen: tuple[str, ...] | None,
    used: str,
) -> None:
    def change(name: str, records: list[Record]) -> list[Record]:
        details = {"contact_details": {"data": {"emails": emails}}}
        return [record | details for record in records] if name == collection else records

    scene.server.change = change
    options: dict[str, Any] = {setting: tuple(map(WondeEmail, chosen))} if chosen else {}
    read = await scene.read(replace(scene.api, **options))
    listed = scene.school.pupils if collection == "students" else scene.school.staff
    assert {read.people[MisId(one.id)].email for one in listed if one.id in read.people} == {used}


async def test_pages_that_only_have_a_link_to_the_next_are_read(scene: Scene) -> None:
    scene.server.page, scene.server.says_more = 20, False
    assert groups_in_order(await scene.read()) == groups_in_order(scene.exported())


@pytest.mark.parametrize("whole_links", [True, False])
@pytest.mark.parametrize("page", [7, 50, 200])
async def test_every_page_is_read_and_links_to_another_server_are_not_followed(
    scene: Scene, page: int, whole_links: bool
) -> None:
    """Only the query of a link is used."""
    scene.server.page, scene.server.whole_links = page, whole_links
    scene.server.links_to = "https://evil.example"
    assert groups_in_order(await scene.read()) == groups_in_order(scene.exported())
    assert scene.count_reads() == 1


async def test_groups_of_other_types_are_ignored(scene: Scene) -> None:
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
async def test_the_academic_year_follows_from_the_date(scene: Scene, now: datetime, year: int) -> None:
    scene.clock = FixedClock(now)
    assert {group.academic_year for group in (await scene.read()).groups} == {year}


def change_records(scene: Scene, collection: str, change: Change) -> None:
    scene.server.change = lambda name, records: change(records) if name == collection else records


@pytest.mark.parametrize(
    ("authority", "number", "code"),
    [("916", "4023", "9164023"), (916, 23, "9160023"), (None, "4023", ""), ("916", None, "")],
)
async def test_the_dfe_code_joins_authority_and_establishment(
    scene: Scene, authority: object, number: object, code: str
) -> None:
    change_records(scene, "school", lambda one: [{**one[0], "la_code": authority, "establishment_number": number}])
    assert (await scene.read()).school == School(SchoolId(scene.school.id), scene.school.name, code)


async def test_a_pupil_and_an_employee_with_the_same_mis_id_stay_two_people(scene: Scene) -> None:
    teacher, pupil = scene.school.staff[0].id, scene.school.pupils[0].id
    change_records(scene, "students", lambda records: [{**records[0], "mis_id": teacher}, *records[1:]])
    read = await scene.read()
    assert {wonde_id(teacher), wonde_id(pupil)} <= read.people.keys()
    assert not {teacher, pupil} & read.people.keys()


async def test_a_person_without_an_mis_id_has_the_wonde_id(scene: Scene) -> None:
    change_records(scene, "students", lambda records: [{**records[0], "mis_id": None}, *records[1:]])
    assert wonde_id(scene.school.pupils[0].id) in (await scene.read()).people


async def test_a_school_that_changes_during_a_read_is_read_again(scene: Scene) -> None:
    scene.server.page, scene.server.tears = 30, 2
    assert groups_in_order(await scene.read()) == groups_in_order(scene.exported())
    assert scene.count_reads() == 3


async def test_a_school_that_keeps_changing_is_rejected_after_three_reads(scene: Scene) -> None:
    scene.server.page, scene.server.tears = 30, 1000
    assert "was inconsistent in 3 reads: a record of students was returned twice" in await scene.refusal()
    assert scene.count_reads() == 3


async def test_a_class_deleted_between_two_pages_hides_no_other(scene: Scene) -> None:
    """A record of the second page has moved to the first by then, and only the counts show it."""
    scene.server.page = 10
    requests = 0

    def remove_first(records: list[Record]) -> list[Record]:
        nonlocal requests
        requests += 1
        return records if requests <= 2 else records[1:]

    change_records(scene, "classes", remove_first)
    assert len((await scene.read()).groups) == len(scene.exported().groups) - 1
    assert scene.count_reads() == 2


@pytest.mark.parametrize(("miscounts", "reads"), [(2, 2), (4, 3)])
async def test_a_school_with_wrong_counts_is_read_again(scene: Scene, miscounts: int, reads: int) -> None:
    scene.server.miscounts = miscounts
    assert groups_in_order(await scene.read()) == groups_in_order(scene.exported())
    assert scene.count_reads() == reads


async def test_counts_that_never_agree_are_rejected(scene: Scene) -> None:
    scene.server.miscounts = 1000
    assert "60 students were read, but the count is 61" in await scene.refusal()


async def test_a_page_that_the_links_omit_is_noticed(scene: Scene) -> None:
    scene.server.page, scene.server.left_out = 20, 2
    assert "40 students were read, but the count is 60" in await scene.refusal()


@pytest.mark.parametrize(("status", "error"), [(404, SnapshotRejected), (403, SnapshotRejected), (500, Transient)])
async def test_a_page_that_fails_fails_the_read(scene: Scene, status: int, error: type[SyncError]) -> None:
    scene.server.page, scene.server.broken_page = 20, status
    with pytest.raises(error, match=str(status)):
        await scene.read()


async def test_a_wrong_region_names_the_domain_to_check(scene: Scene) -> None:
    scene.server.wrong_region = True
    message = await scene.refusal()
    assert "returned no data for the school, not even its name" in message
    assert "check that 127.0.0.1 is the domain of the school's region" in message
    assert scene.count_reads() == 1


async def test_a_school_without_classes_and_students_is_rejected(scene: Scene) -> None:
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


@pytest.mark.parametrize(("values", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_rejected_read_says_what_to_do(scene: Scene, values: dict[str, Any], message: str) -> None:
    assert message in await scene.refusal(replace(scene.api, **values))


def first(**values: object) -> Change:
    """A change that sets `values` in the first record."""
    return lambda records: [{**records[0], **values}, *records[1:]]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"name": None, "code": "10A/Ma1"}, "10A/Ma1"),
        ({"name": " ", "code": None, "description": "Maths, set 1"}, "Maths, set 1"),
        ({"name": 7}, "7"),
    ],
)
async def test_a_class_without_a_name_has_its_code_or_its_description(
    scene: Scene, values: dict[str, object], name: str
) -> None:
    change_records(scene, "classes", first(**values))
    assert {group.id: group.name for group in (await scene.read()).groups}[MisId(wonde_id("C001"))] == name


async def test_a_school_whose_groups_are_of_other_types_is_told_which(scene: Scene) -> None:
    def other(records: list[Record]) -> list[Record]:
        return [{**one, "type": kind} for one, kind in zip(records, ("OTHER", None, *["HOUSE"] * 99), strict=False)]

    scene.server.change = lambda name, records: {"classes": [], "groups": other(records)}.get(name, records)
    houses = sum(group.type is not GroupType.TEACHING for group in scene.exported().groups) + 1 - 2
    assert f"its groups: {houses + 2} of other types" in await scene.refusal()
    with pytest.raises(SnapshotRejected) as caught:
        await scene.read()
    assert (
        "the school has no class at Wonde, and no group of the types REGISTRATION and YEAR; its groups: "
        f"1 of no type, {houses} of the type HOUSE, 1 of the type OTHER" in caught.value.for_admin().message
    )


async def test_a_group_that_disappears_between_two_reads_of_the_list_is_noticed(scene: Scene) -> None:
    """Wonde does not count groups."""
    requests = 0

    def remove_first(records: list[Record]) -> list[Record]:
        nonlocal requests
        requests += 1
        return records if requests == 1 else records[1:]

    change_records(scene, "groups", remove_first)
    assert len((await scene.read()).groups) == len(scene.exported().groups) - 1
    assert scene.count_reads() == 2


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
    ("no list", "classes", lambda records: [1], "returned a page without a list of classes"),
    ("no count", "counts", first(classes=None), "returned no count of classes"),
    ("a count that is none", "counts", first(students={"data": {"count": "-1"}}), "returned no count of students"),
]


@pytest.mark.parametrize(
    ("collection", "change", "message"), [row[1:] for row in BAD_RECORDS], ids=[row[0] for row in BAD_RECORDS]
)
async def test_inconsistent_records_are_rejected(scene: Scene, collection: str, change: Change, message: str) -> None:
    change_records(scene, collection, change)
    assert message in await scene.refusal()


@pytest.mark.parametrize(
    "pagination", [None, {}, {"more": True, "next": None}, {"more": "yes", "next": "https://api.wonde.com/?page=2"}]
)
async def test_a_page_without_paging_details_is_rejected(scene: Scene, pagination: object) -> None:
    """Such a page does not show whether it is the last."""
    async with _serve_page({"data": [{"id": "A1"}], "meta": {"pagination": pagination}}) as url:
        message = await scene.refusal(replace(scene.api, url=url))
    assert "returned a page of classes without valid paging details" in message


@pytest.mark.parametrize("pagination", [{"more": False, "next": ""}, {"next": ""}, {"next": None}])
async def test_a_link_of_nothing_ends_the_pages(scene: Scene, pagination: object) -> None:
    async with _serve_page({"data": [], "meta": {"pagination": pagination}}) as url:
        message = await scene.refusal(replace(scene.api, url=url))
    assert "neither a class nor a student" in message


@pytest.mark.parametrize("link", ["https://api.wonde.com/?page=2", "https://[", ""])
async def test_endless_pages_are_rejected(scene: Scene, link: str) -> None:
    endless = {"more": True, "next": link}
    async with _serve_page({"data": [], "meta": {"pagination": endless}}) as url:
        message = await scene.refusal(replace(scene.api, url=url))
    assert "a page of classes is empty, but more pages follow" in message


def _serve_page(page: Record) -> AbstractAsyncContextManager[str]:
    """A server that returns this page for every request about the school, except for the school itself."""

    async def respond(request: web.Request) -> web.Response:
        return web.json_response({"data": {"id": SCHOOL}} if request.path.endswith(SCHOOL) else page)

    return serve_all(respond)


async def test_the_main_teacher_is_first_even_if_listed_last(scene: Scene) -> None:
    employees = {
        "data": [{"id": wonde_id("T0001"), "meta": {}}, {"id": wonde_id("T0002"), "meta": {"is_main_teacher": True}}]
    }
    change_records(scene, "classes", first(employees=employees))
    groups: dict[str, MisGroup] = {group.id: group for group in (await scene.read()).groups}
    assert groups[wonde_id("C001")].teachers == ("T0002", "T0001")
