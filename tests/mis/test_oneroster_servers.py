"""OneRoster servers as they are in the field: each habit, with the right outcome. Half a school is never a school."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.mis.token_server import SECRET, TOKEN
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import OneRosterApi
from sync_core.errors import SnapshotRejected
from sync_core.mis.budget import Budget
from sync_core.mis.rest.answer import Answer
from sync_core.mis.rest.cache import SchoolCache
from sync_core.mis.rest.oneroster import read_oneroster_api
from sync_core.mis.rest.oneroster_records import SCHEMAS, find_list
from sync_core.mis.rest.shared_lists import SharedLists
from sync_core.mis.sources import MisSources
from tests.builders import mis_sources, settings
from tests.mis import feeds
from tests.mis.vendor_scenes import SECRETS, OneRosterScene, no_total, oneroster_scene

Record = dict[str, Any]
Habits = Mapping[str, object]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[OneRosterScene]:
    async with oneroster_scene(tmp_path) as scene:
        yield scene


def behave(scene: OneRosterScene, habits: Habits) -> None:
    for name, value in habits.items():
        setattr(scene.server, name, value)


def page_total(_records: int, page: int) -> int:
    return page


def size_total(records: int, _page: int) -> int:
    """That of a server that counts up to its page size, 30."""
    return min(records, 30)


def limit_total(records: int, page: int) -> int:
    """That of a server that repeats the limit of a request, up to 1,000."""
    return 2 if page < 3 <= records else 1000


def total_of_all_schools(_records: int, _page: int) -> int:
    return 504


NONE = "this server sends no totals, so each list was read until nothing new came"
PAGE = "this server's totals count one page, so each list was read until nothing new came"
UNNAMED = "this server's lists have names that OneRoster does not give them"
FIELDS = "this server refuses the parameter fields, so it sends more than the app reads; the rest is not kept"
LIMIT = "this server refuses large pages, so 100 records are requested at a time"
CAPPED = {"page": 30, "links": False}
AT_ONCE = {"page": 5000, "obeys_limit": False, "offsets": "ignored", "links": False}

READ: dict[str, tuple[Habits, tuple[str, ...]]] = {
    "a capped page and no header": ({**CAPPED, "total": no_total}, (NONE,)),
    "a capped page, and links without totals": ({"page": 30, "total": no_total}, (NONE,)),
    "a total that is the page size": ({**CAPPED, "total": size_total}, (PAGE,)),
    "a total that counts the page": ({**CAPPED, "total": page_total}, (PAGE,)),
    "a total that counts the page, which is large": ({"page": 5000, "total": page_total}, (PAGE,)),
    "a total that repeats the limit": ({"page": 5000, "total": limit_total}, (PAGE,)),
    "a total in the body": ({**CAPPED, "total_field": "totalCount"}, ()),
    "a link on every page": ({"page": 30, "endless_links": True}, ()),
    "a link on every page, and no totals": ({"page": 30, "endless_links": True, "total": no_total}, (NONE,)),
    "links that forget the fields": ({"page": 10, "bare_links": True}, ()),
    "offsets that mean the page that has them": ({**CAPPED, "offsets": "aligned"}, ()),
    "the same without totals": ({**CAPPED, "offsets": "aligned", "total": no_total}, (NONE,)),
    "no content beyond the end": ({**CAPPED, "total": no_total, "beyond": 204}, (NONE,)),
    "not found beyond the end": ({**CAPPED, "total": no_total, "beyond": 404}, (NONE,)),
    "no such range beyond the end": ({**CAPPED, "total": no_total, "beyond": 416}, (NONE,)),
    "all at once": (AT_ONCE, ()),
    "all at once without totals": ({**AT_ONCE, "total": no_total}, (NONE,)),
    "fields ignored": ({"fields": "ignore"}, ()),
    "fields refused": ({"fields": "refuse"}, (FIELDS,)),
    "a large limit refused": ({"largest_limit": 100, "page": 100}, (LIMIT,)),
    "a large limit and fields refused": ({"largest_limit": 100, "fields": "refuse"}, (FIELDS, LIMIT)),
    "lists under other names": (
        {"wrappers": {"students": "students", "teachers": "teachers", "classes": "class", "org": "orgs"}},
        (UNNAMED,),
    ),
    "the school under another name": ({"wrappers": {"org": "school"}}, ()),
    "no school, but a list of orgs": ({"missing": ("schools",)}, ()),
}


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("habit", READ)
async def test_the_whole_school_is_read(scene: OneRosterScene, habit: str, version: str) -> None:
    habits, notes = READ[habit]
    behave(scene, habits)
    read = await scene.read(scene.api(version))
    assert read == replace(scene.exported(), taken_at=scene.clock.now(), notes=notes)


REFUSED: dict[str, tuple[Habits, str]] = {
    "a total of all schools": (
        {"total": total_of_all_schools},
        "was inconsistent in 3 reads: it tells of 504 academicSessions, but gave 4 — nothing was changed; "
        "ask the vendor which number is right",
    ),
    "a total of all schools in the body": (
        {"total": total_of_all_schools, "total_field": "total"},
        "it tells of 504 academicSessions, but gave 4",
    ),
    "offsets ignored, and a page of all": (
        {"page": 5000, "offsets": "ignored", "links": False},
        "was inconsistent in 3 reads: it does not obey the offset of academicSessions, so it may have more of them — "
        "nothing was changed; have the vendor obey limit and offset",
    ),
    "offsets ignored, pages capped": (
        {"page": 3, "offsets": "ignored", "links": False},
        "it tells of 4 academicSessions, but gave 3",
    ),
    "offsets ignored, pages capped, no totals": (
        {"page": 30, "offsets": "ignored", "links": False, "total": no_total},
        "it does not obey the offset",
    ),
    "offsets ignored, totals of the page": (
        {"page": 30, "offsets": "ignored", "links": False, "total": page_total},
        "it does not obey the offset",
    ),
    "offsets that mean pages": (
        {**CAPPED, "page": 3, "offsets": "pages"},
        "it tells of 4 academicSessions, but gave 3",
    ),
    "offsets that mean pages, no totals": (
        {**CAPPED, "offsets": "pages", "total": no_total},
        "it does not obey the offset",
    ),
    "offsets that mean pages, totals of the page": (
        {**CAPPED, "offsets": "pages", "total": page_total},
        "it does not obey the offset",
    ),
    "the first page whatever is requested, no totals": (
        {**AT_ONCE, "page": 30, "total": no_total},
        "returned exactly 30 records of several lists, whatever page was requested, and no total",
    ),
    "fields refused, and anything else": ({"fields": "refuse", "largest_limit": 1}, "returned 400"),
}


@pytest.mark.parametrize("habit", REFUSED)
async def test_a_list_that_may_be_cut_off_is_refused(scene: OneRosterScene, habit: str) -> None:
    habits, message = REFUSED[habit]
    behave(scene, habits)
    with pytest.raises(SnapshotRejected) as caught:
        await scene.read()
    assert message in str(caught.value)


def rewrite(scene: OneRosterScene, table: str, change: Callable[[list[Record]], list[Record]]) -> None:
    """Change a table of the export, which the server serves and the CSV reader reads."""
    path = scene.server.folder / f"{table}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(change(rows))


def add_another_school(scene: OneRosterScene) -> None:
    """A second school with a copy of each class, person and enrolment."""

    def copies(rows: list[Record]) -> list[Record]:
        renamed = {scene.school.id: "SCH9"}
        renamed |= {row["sourcedId"]: f"X-{row['sourcedId']}" for row in rows}
        columns = ("schoolSourcedId", "orgSourcedIds")
        others = [
            {**row, "sourcedId": f"X-{row['sourcedId']}", **{c: "SCH9" for c in columns if c in row}} for row in rows
        ]
        references = ("classSourcedId", "userSourcedId")
        return rows + [{**row, **{c: f"X-{row[c]}" for c in references if c in row}} for row in others]

    for table in ("classes", "users", "enrollments"):
        rewrite(scene, table, copies)
    rewrite(scene, "orgs", lambda rows: [*rows, {**rows[1], "sourcedId": "SCH9", "name": "Another School"}])


ALL_SCHOOLS_ONLY = [
    ("enrollments",),
    ("students", "teachers"),
    ("teachers",),
    ("schools", "classes", "students", "teachers", "enrollments"),
]


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("missing", ALL_SCHOOLS_ONLY, ids="+".join)
async def test_a_server_with_lists_of_all_schools_only_gives_the_school(
    scene: OneRosterScene, missing: tuple[str, ...], version: str
) -> None:
    add_another_school(scene)
    scene.server.missing = missing
    read = await scene.read(scene.api(version))
    named = ", ".join(sorted({*missing} - {"schools"}))
    note = (
        f"this server has no list for one school of: {named}; its lists of all schools were read, and the other "
        "schools' records left out"
    )
    assert read == replace(scene.exported(), taken_at=scene.clock.now(), notes=(note,))


async def test_lists_of_all_schools_in_which_no_record_names_the_school_are_refused(scene: OneRosterScene) -> None:
    scene.server.missing = ("students", "teachers")
    scene.server.change = lambda name, records: (
        [{**one, "roles": []} for one in records] if name == "users" else records
    )
    users = len(scene.school.pupils) + len(scene.school.staff)
    with pytest.raises(
        SnapshotRejected, match=f"lists {users} users, but none of school SCH1 — .*check the school's id"
    ):
        await scene.read()


async def test_a_teacher_who_is_in_no_list_of_teachers_is_requested(scene: OneRosterScene) -> None:
    """A head who teaches is an administrator, and no teacher."""
    head = scene.school.groups[-1].staff[0].teacher
    scene.server.unlisted = [head]
    assert (await scene.read()) == replace(scene.exported(), taken_at=scene.clock.now())
    assert sum(f"/users/{head}" in request for request in scene.server.requests) == 1


async def test_many_people_in_no_list_are_found_among_all_users(scene: OneRosterScene) -> None:
    """A pupil whom the school does not list is in their classes, and in their year group."""
    scene.server.unlisted = [pupil.id for pupil in scene.school.pupils[:30]]
    read = await scene.read()
    assert read.people == scene.exported().people
    assert {(group.name, frozenset(group.students)) for group in read.groups} == {
        (group.name, frozenset(group.students)) for group in scene.exported().groups
    }
    assert not any("/users/" in request for request in scene.server.requests)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
async def test_a_guest_pupil_of_another_school_is_in_the_class_and_in_no_year_group(
    scene: OneRosterScene, version: str
) -> None:
    add_another_school(scene)
    guest, group = f"X-{scene.school.pupils[0].id}", scene.school.groups[0].id
    rewrite(
        scene,
        "enrollments",
        lambda rows: [
            *rows,
            {**rows[0], "sourcedId": "G", "classSourcedId": group, "userSourcedId": guest, "role": "student"},
        ],
    )
    groups = (await scene.read(scene.api(version))).groups
    assert [one.id for one in groups if guest in one.students] == [group]


@pytest.mark.parametrize("table", ["users", "classes", "enrollments"])
async def test_deleted_records_whose_enrolments_are_active_are_left_out_as_in_a_csv_set(
    scene: OneRosterScene, table: str
) -> None:
    rewrite(scene, table, lambda rows: [{**rows[0], "status": "tobedeleted"}, *rows[1:]])
    assert await scene.read() == replace(scene.exported(), taken_at=scene.clock.now())


async def test_more_than_the_requested_fields_is_not_kept(scene: OneRosterScene) -> None:
    scene.server.fields, scene.server.page = "ignore", 10
    cache, api = SchoolCache(), scene.api(signed_in=False)
    lists = SharedLists(scene.clock).of(api, scene.clock.now())
    await read_oneroster_api(api, TOKEN, SchoolId(scene.school.id), cache, lists, scene.clock, feeds.TODAY)
    cached = cache.of(api, SchoolId(scene.school.id), scene.clock.now())
    assert cached
    students = cached.collections["students"].unpack(Budget())
    assert {name for user in students.values() for name in (*user.columns, *user.parts)} == {
        *("sourcedId", "status", "dateLastModified", "enabledUser", "role", "roles", "username", "email", "grades")
    }
    assert not any(word in repr(students) for word in ("href", "https://oneroster"))


async def test_each_page_is_requested_with_the_fields(scene: OneRosterScene) -> None:
    scene.server.page, scene.server.bare_links = 10, True
    await scene.read()
    assert all("fields=sourcedId" in request for request in scene.server.requests)
    assert sum("offset=20&limit=10" in request for request in scene.server.requests) == 3


def chosen(scene: OneRosterScene, api: OneRosterApi) -> SchoolSettings:
    return replace(settings(), school=SchoolId(scene.school.id), source=api)


async def count_requests(scene: OneRosterScene, sources: MisSources, api: OneRosterApi) -> int:
    scene.clock.advance(timedelta(seconds=1))
    before = len(scene.server.requests)
    await sources.snapshot(chosen(scene, api))
    return len(scene.server.requests) - before


async def test_a_quirk_is_found_once(scene: OneRosterScene) -> None:
    """The first read tries what OneRoster says, and later reads what the server accepts. A rejection forgets it."""
    behave(scene, {"fields": "refuse", "largest_limit": 100, "missing": ("schools", "enrollments"), "page": 5000})
    sources, api = mis_sources(scene.clock, SECRETS), scene.api(signed_in=False)
    first, second = [await count_requests(scene, sources, api) for _ in range(2)]
    assert (first, second) == (20, 16)
    scene.server.broken = 403
    with pytest.raises(SnapshotRejected):
        await count_requests(scene, sources, api)
    scene.server.broken = 0
    assert await count_requests(scene, sources, api) == first


def answer_of(body: Record) -> Answer:
    lists = {name: [*map(SCHEMAS["users"].read, value)] for name, value in body.items() if isinstance(value, list)}
    return Answer(lists, {name: value for name, value in body.items() if name not in lists})


ERRORS_WITH_STATUS_200 = [
    {"imsx_codeMajor": "failure", "imsx_severity": "error"},
    {"statusInfoSet": [{"imsx_codeMajor": "failure"}]},
    {"errors": []},
    {"students": None},
    {"users": {"sourcedId": "P0001"}},
    {"users": [1]},
    {"a": [{"sourcedId": "1"}], "b": []},
    {},
]


@pytest.mark.parametrize("body", ERRORS_WITH_STATUS_200, ids=str)
def test_a_response_without_the_list_is_not_an_empty_list(body: Record) -> None:
    assert find_list(answer_of(body), ("users", "students")) is None


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"users": []}, 0),
        ({"students": [], "warnings": []}, 0),
        ({"pupils": [{"sourcedId": "1"}, {}], "total": 2}, 2),
        ({"users": [{}], "errors": [{}]}, 1),
    ],
)
def test_the_list_of_a_response_may_have_another_name(body: Record, count: int) -> None:
    assert len(find_list(answer_of(body), ("users", "students")) or ()) == count


CORE, ROSTER = (f"https://purl.imsglobal.org/spec/or/v1p2/scope/{name}.readonly" for name in ("roster-core", "roster"))
IN_FORM = "the token server reads the client's secret from the form only"
LESS_SCOPE = "the token server refuses a scope of OneRoster, so the app does without"
SIGN_INS: dict[str, tuple[Habits, int, tuple[str, ...]]] = {
    "the secret in the header": ({}, 1, ()),
    "in the form, 401": ({"secret_in": "form"}, 2, (IN_FORM,)),
    "in the form, 400": ({"secret_in": "form", "refusal": (400, "invalid_request")}, 2, (IN_FORM,)),
    "one scope unknown": ({"scopes": frozenset({CORE})}, 2, (LESS_SCOPE,)),
    "the other scope unknown": ({"scopes": frozenset({ROSTER})}, 3, (LESS_SCOPE,)),
    "all scopes unknown": ({"scopes": frozenset()}, 4, (LESS_SCOPE,)),
    "in the form, and one scope unknown": (
        {"secret_in": "form", "scopes": frozenset({CORE})},
        3,
        (IN_FORM, LESS_SCOPE),
    ),
}


@pytest.mark.parametrize("habit", SIGN_INS)
async def test_the_client_signs_in_as_the_token_server_wants(scene: OneRosterScene, habit: str) -> None:
    habits, requests, notes = SIGN_INS[habit]
    for name, value in habits.items():
        setattr(scene.server.tokens, name, value)
    sources, api = mis_sources(scene.clock, SECRETS), scene.api()
    assert (await sources.snapshot(chosen(scene, api))).notes == notes
    assert len(scene.server.tokens.requests) == requests
    await sources.snapshot(chosen(scene, api))
    assert len(scene.server.tokens.requests) == requests + 1


@pytest.mark.parametrize("lasts", [1, 7])
async def test_a_token_that_expires_while_a_school_is_read_is_replaced(scene: OneRosterScene, lasts: int) -> None:
    scene.server.tokens.lasts = lasts
    read = await scene.read()
    assert read == replace(scene.exported(), taken_at=scene.clock.now())
    accepted = len(scene.server.requests) - (len(scene.server.tokens.requests) - 1)
    assert len(scene.server.tokens.requests) == -(-accepted // lasts)


async def test_a_new_token_that_is_refused_too_is_about_the_credentials(scene: OneRosterScene) -> None:
    scene.server.tokens.lasts, scene.server.tokens.tokens = 3, 1
    with pytest.raises(SnapshotRejected, match="returned 401 — nothing was changed; check the client and the appl"):
        await scene.read()
    assert (len(scene.server.tokens.requests), len(scene.server.requests)) == (2, 5)


async def test_a_first_token_that_is_refused_is_not_replaced(scene: OneRosterScene) -> None:
    scene.server.tokens.lasts = 0
    with pytest.raises(SnapshotRejected, match="returned 401"):
        await scene.read()
    assert len(scene.server.tokens.requests) == 1


REFUSED_SIGN_INS: list[tuple[dict[str, Any], str]] = [
    (
        {"refusal": (401, "invalid_client"), "description": f"no client@else.org with {SECRET}\n"},
        "the token server 127.0.0.1 returned 401, invalid_client (no  with ***) — nothing was changed; check the",
    ),
    (
        {"refusal": (400, "unauthorized_client")},
        "the token server 127.0.0.1 returned 400, unauthorized_client — nothing was changed; have the vendor allow",
    ),
    ({"refusal": (403, "access_denied")}, "returned 403, access_denied — nothing was changed; check token_url"),
    ({"refusal": (404, "")}, "the token server 127.0.0.1 returned 404 — nothing was changed; check token_url"),
]


@pytest.mark.parametrize(
    ("habits", "message"), REFUSED_SIGN_INS, ids=[str(row[0]["refusal"]) for row in REFUSED_SIGN_INS]
)
async def test_a_refused_sign_in_names_the_token_server_and_its_error(
    scene: OneRosterScene, habits: Habits, message: str
) -> None:
    for name, value in {**habits, "secret_in": "nowhere"}.items():
        setattr(scene.server.tokens, name, value)
    with pytest.raises(SnapshotRejected) as caught:
        await scene.read()
    assert message in str(caught.value.for_admin())
    assert SECRET not in str(caught.value.for_admin())
    assert "(" not in caught.value.message
