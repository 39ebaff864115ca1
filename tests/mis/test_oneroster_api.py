"""OneRoster over REST: the same school as in its CSV set, read page by page, in full or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sync_core.errors import SnapshotRejected, Transient
from tests.mis.vendor_scenes import SECRETS, no_total, oneroster_scene
from tests.mis.vendor_scenes import OneRosterScene as Scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with oneroster_scene(tmp_path) as scene:
        yield scene


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("signed_in", [True, False])
async def test_the_school_equals_the_csv_set(scene: Scene, version: str, signed_in: bool) -> None:
    assert await scene.read(scene.api(version, signed_in=signed_in)) == replace(
        scene.exported(), taken_at=scene.clock.now()
    )
    assert not any(name in request for request in scene.server.requests for name in ("givenName", "birthDate", "phone"))


@pytest.mark.parametrize(("links", "totals"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("page", [7, 100, 5000])
async def test_every_page_is_read_with_and_without_links_and_totals(
    scene: Scene, links: bool, totals: bool, page: int
) -> None:
    scene.server.links, scene.server.page = links, page
    if not totals:
        scene.server.total = no_total
    assert (await scene.read()).groups == scene.exported().groups


async def test_a_school_that_changes_during_a_read_is_read_again(scene: Scene) -> None:
    scene.server.page, scene.server.tears = 50, 2
    assert (await scene.read()).groups == scene.exported().groups
    assert sum(f"/schools/{scene.school.id}?" in request for request in scene.server.requests) == 3


async def test_a_school_that_keeps_changing_is_rejected_after_three_reads(scene: Scene) -> None:
    scene.server.page, scene.server.tears = 50, 1000
    with pytest.raises(SnapshotRejected, match="was inconsistent in 3 reads"):
        await scene.read()


@pytest.mark.parametrize("url", ["https://.", "https://-", "https://a..b"])
async def test_an_invalid_address_is_rejected_or_transient(scene: Scene, url: str) -> None:
    with pytest.raises((SnapshotRejected, Transient)):
        await scene.read(replace(scene.api(signed_in=False), url=url))


REFUSED = [
    (
        "a wrong secret",
        "MIS_SECRET_WRONG",
        "",
        "the token server 127.0.0.1 returned 401, invalid_client — nothing was changed; check the client and",
    ),
    ("a secret that is not set", "MIS_SECRET_NONE", "", "MIS_SECRET_NONE, which the school's source names, is not set"),
    (
        "a school that is not there",
        "",
        "NONE",
        "lists no school NONE, but TRUST1, SCH1 — nothing was changed; check the id under which the school is saved",
    ),
]


@pytest.mark.parametrize(("secret", "school", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_rejected_read_says_what_to_do(scene: Scene, secret: str, school: str, message: str) -> None:
    with pytest.raises(SnapshotRejected) as caught:
        await scene.read(scene.api(secret=secret), school)
    assert message in str(caught.value.for_admin())
    assert not any(value in str(caught.value.for_admin()) for value in SECRETS.values())


BAD_RECORDS = [
    ("empty", "enrollments", lambda records: [], None),
    ("unknown role", "enrollments", lambda records: [{**records[0], "role": "aide"}, *records[1:]], None),
    ("twice the same id", "students", lambda records: [records[0], *records], "was inconsistent in 3"),
    (
        "a session in a circle",
        "academicSessions",
        lambda r: [{**one, "parent": {"sourcedId": one["sourcedId"]}, "type": "term"} for one in r],
        None,
    ),
    ("no list", "classes", lambda records: [1], "without a list of classes"),
]


@pytest.mark.parametrize(
    ("collection", "change", "message"), [row[1:] for row in BAD_RECORDS], ids=[row[0] for row in BAD_RECORDS]
)
async def test_inconsistent_records_are_rejected(
    scene: Scene, collection: str, change: object, message: str | None
) -> None:
    """Valid records are read and left to the limits. Others are rejected, without people's names."""
    scene.server.change = lambda name, records: change(records) if name == collection else records  # type: ignore[operator]
    if message is None:
        assert (await scene.read()).school.id == scene.school.id
        return
    with pytest.raises(SnapshotRejected, match=message) as caught:
        await scene.read()
    for person in (*scene.school.pupils, *scene.school.staff):
        assert person.family not in str(caught.value)


@pytest.mark.parametrize("switched_off", ["false", False])
async def test_a_user_whom_the_mis_switched_off_is_read_as_disabled(scene: Scene, switched_off: object) -> None:
    first = scene.school.pupils[0].id
    scene.server.change = lambda name, records: [
        {**one, "enabledUser": switched_off} if one["sourcedId"] == first else one for one in records
    ]
    assert [id_ for id_, one in (await scene.read()).people.items() if not one.enabled] == [first]


async def test_a_link_to_another_server_is_not_followed(scene: Scene) -> None:
    """Only the query of a link is used."""
    scene.server.page, scene.server.links_to = 20, "https://evil.example"
    assert (await scene.read()).groups == scene.exported().groups
