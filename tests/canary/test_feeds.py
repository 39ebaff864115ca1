"""Marks in every field of every feed: files of each format, MIS servers, and the errors of these."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from local.mis.oneroster_api import OneRosterServer
from local.mis.wonde_api import SCHOOL, WondeServer
from local.school.generate import generate
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.domain.school.sources import AfterSync, FeedFolder, MisLocation, WondeApi
from sync_core.errors import SyncError
from sync_core.messaging.messages import SyncSchool
from tests.builders import mis_sources, settings
from tests.canary.conftest import app_of, write_accounts
from tests.canary.outside import ADDRESS, BORN, MARKS, NAME, Outside
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.mis import feeds
from tests.mis.vendor_scenes import SECRETS, OneRosterScene, WondeScene
from tests.serving import serve

FORMATS = {
    "OneRoster 1.1": (feeds.oneroster, "S1"),
    "OneRoster 1.2": (feeds.oneroster_1_2, "S1"),
    "SDS v2": (feeds.sds_v2, "O1"),
    "SDS v1": (feeds.sds_v1, "1234567"),
}
ECHO: dict[str, Any] = {
    "error": NAME,
    "error_description": f"{NAME} ({ADDRESS}) is unknown",
    "message": ADDRESS,
    "imsx_description": f"no user {NAME}",
    NAME: [{"sourcedId": ADDRESS}],
}


async def sync(outside: Outside, source: MisLocation, school: str) -> None:
    """Sync a school from the source, and look at all that it leaves."""
    state, outbox, id_ = MemoryState(), MemoryOutbox(), SchoolId(school)
    await state.save_school(replace(settings(), school=id_, source=source))
    await write_accounts(state, ["APupil", "First", "Second", "teacher", "other", ADDRESS])
    app = app_of(state, mis=mis_sources(FixedClock(), SECRETS), outbox=outbox)
    try:
        await app.handle_request(SyncSchool(id_, RunId("night"), Cause.NIGHTLY))
    except SyncError as error:
        outside.raised("exception", error)
    await outside.stored(state, id_)
    outside.queued(outbox)


def bad_cells(name: str, feed: feeds.Feed) -> Iterator[tuple[str, str, str]]:
    """What is marked, its file and the text of it: a cell of a row, a header, or the shifted cells of all rows."""
    for file, text in feed.items():
        if name == "OneRoster 1.1" and file != "users.csv":  # the others are those of 1.2
            continue
        header, *rows = csv.reader(io.StringIO(text))
        for place, column in enumerate(header):
            for marked_rows in ({0: NAME}, {len(rows) // 2: BORN, len(rows) - 1: ADDRESS}):
                changed = [
                    [*row[:place], marked_rows.get(number, row[place]), *row[place + 1 :]]
                    for number, row in enumerate(rows)
                ]
                yield column, file, _text([header, *changed])
            yield f"header {column}", file, _text([[*header[:place], NAME, *header[place + 1 :]], *rows])
        for shift in {1, len(header) // 2, len(header) - 1}:
            people = [[*MARKS, *row][shift:] + [*MARKS, *row][:shift] for row in rows]
            yield "shifted", file, _text([header, *(row[: len(header)] for row in people)])
        yield "quotation", file, text + f'{NAME},"{ADDRESS}"x,{BORN}\n'
        yield "cut off", file, text + f"{NAME},{ADDRESS}"


def _text(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("name", FORMATS)
async def test_no_cell_of_a_feed_leaves(outside: Outside, name: str, tmp_path: Path) -> None:
    make, school = FORMATS[name]
    feed = make()
    feeds.write(feed, tmp_path)
    for where, file, bad in bad_cells(name, feed):
        outside.putting(name, f"{file} {where}")
        feeds.write({file: bad}, tmp_path)
        await sync(outside, FeedFolder(str(tmp_path)), school)
        feeds.write({file: feed[file]}, tmp_path)
    assert outside.report() == ""


def _zip(folder: Path, members: dict[str, str]) -> None:
    with zipfile.ZipFile(folder / f"{NAME}.zip", "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


def _damaged(folder: Path) -> None:
    (folder / f"{NAME}.zip").write_bytes(b"PK\x03\x04" + NAME.encode())


FILES: dict[str, Callable[[Path], object]] = {
    "a file beside": lambda folder: feeds.write(feeds.oneroster() | {f"{NAME}.csv": BORN}, folder),
    "a missing file": lambda folder: feeds.write(
        {f"{NAME}.csv": "a\n", "manifest.csv": feeds.oneroster()["manifest.csv"]}, folder
    ),
    "an unknown format": lambda folder: feeds.write({f"{NAME}.csv": f"{ADDRESS}\n"}, folder),
    "a folder": lambda folder: feeds.write({"orgs.csv": f"{NAME}\n"}, folder / NAME),
    "a damaged zip file": _damaged,
    "a zip file": lambda folder: _zip(folder, feeds.sds_v2()),
    "a member": lambda folder: _zip(folder, {f"{NAME}.csv": "a\n"}),
    "a member twice": lambda folder: _zip(folder, {f"{NAME}.csv": "a\n", f"{NAME.upper()}.csv": "a\n"}),
    "a member elsewhere": lambda folder: _zip(folder, {f"../{NAME}.csv": "a\n"}),
    "members in folders": lambda folder: _zip(folder, {f"{NAME}/a.csv": "a\n", "b/b.csv": "a\n"}),
}


@pytest.mark.parametrize("where", FILES)
async def test_no_name_of_a_file_leaves(outside: Outside, where: str, tmp_path: Path) -> None:
    outside.putting("file drop", where)
    drop = FeedFolder(str(tmp_path), AfterSync.ARCHIVE)
    FILES[where](tmp_path)
    await sync(outside, drop, "S1")
    state = MemoryState()
    await state.save_school(replace(settings(), source=drop))
    await app_of(state, mis=mis_sources(FixedClock(), {})).check_file_drops()
    assert outside.report() == ""
    assert outside.read


Records = list[dict[str, Any]]
FieldPath = tuple[str, ...]
_EACH = "*"
"""In a path of fields, any item of a list."""
_BESIDE = (NAME, "givenName", "surname", "birth_date")
"""Fields that servers send without being asked."""


def paths_in(value: object) -> Iterator[FieldPath]:
    """The paths of all fields within a record, also of its objects and lists."""
    listed = [(_EACH, value[0])] if isinstance(value, list) and value else ()
    for name, member in value.items() if isinstance(value, dict) else listed:
        yield (name,)
        yield from ((name, *path) for path in paths_in(member))


def with_mark(value: Any, path: FieldPath, mark: object) -> Any:
    """A copy of the record with the mark in the field at the path, in the first item of each list on the way."""
    if not path:
        return mark
    if isinstance(value, list):
        return [with_mark(value[0], path[1:], mark), *value[1:]] if value else value
    return {**value, path[0]: with_mark(value.get(path[0]), path[1:], mark)} if isinstance(value, dict) else value


def marked(collection: str, path: FieldPath, values: Sequence[object]) -> Callable[[str, Records], Records]:
    """Puts these values into the field of the first records of the collection, one into each."""

    def change(listed: str, records: Records) -> Records:
        if listed != collection:
            return records
        first = [with_mark(record, path, value) for record, value in zip(records, values, strict=False)]
        return [*first, *records[len(first) :]]

    return change


class Seen:
    """The paths of all fields of a server's records, by collection."""

    def __init__(self) -> None:
        self.paths: dict[str, set[FieldPath]] = defaultdict(set)

    def note(self, collection: str, records: Records) -> Records:
        for record in records:
            self.paths[collection].update(paths_in(record))
        return records

    def fields(self) -> Iterator[tuple[str, FieldPath]]:
        for collection, paths in sorted(self.paths.items()):
            yield from ((collection, path) for path in sorted(paths))
            yield from ((collection, (name,)) for name in _BESIDE)


@asynccontextmanager
async def small_oneroster(folder: Path) -> AsyncIterator[OneRosterScene]:
    server = OneRosterServer(feeds.write(feeds.oneroster(), folder))
    async with serve(server.app()) as url:
        yield OneRosterScene(server, url, replace(generate(pupils=5), id="S1"), FixedClock())


@asynccontextmanager
async def small_wonde(folder: Path) -> AsyncIterator[WondeScene]:
    school = generate(pupils=5)
    server = WondeServer(school)
    async with serve(server.app()) as url:
        yield WondeScene(
            server, WondeApi(url=url, school=SCHOOL, secret="MIS_SECRET_WONDE"), school, folder, FixedClock()
        )


VALUES = (*MARKS, [NAME, ADDRESS, BORN], {"id": NAME, "sourcedId": ADDRESS, NAME: BORN})


def mark_each(outside: Outside, server: str, seen: Seen) -> Iterator[Callable[[str, Records], Records]]:
    """The changes that put marks into each field, and, where it is an id, the same name into several records."""
    for collection, path in [*seen.fields()]:
        for kind, values in (("", VALUES), ("twice ", (NAME, NAME))):
            if not kind or path[-1].casefold().endswith("id"):
                outside.putting(server, f"{collection} {kind}{'.'.join(path)}")
                yield marked(collection, path, values)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
async def test_no_record_of_a_oneroster_server_leaves(outside: Outside, version: str, tmp_path: Path) -> None:
    async with small_oneroster(tmp_path) as scene:
        seen, api = Seen(), replace(scene.api(version, signed_in=False))
        scene.server.change = seen.note
        await sync(outside, api, scene.school.id)
        for scene.server.change in mark_each(outside, f"OneRoster {version}", seen):
            await sync(outside, api, scene.school.id)
        scene.server.change = lambda _, records: records
        outside.putting("OneRoster", "a school that is not there")
        orgs = scene.server.folder / "orgs.csv"
        orgs.write_text(orgs.read_text().replace("D1,", f"{ADDRESS},", 1))
        await sync(outside, api, "NONE")
        assert ADDRESS in orgs.read_text()
    assert outside.report() == ""
    assert len(seen.paths["students"]) >= len(MARKS)


async def test_no_record_of_wonde_leaves(outside: Outside, tmp_path: Path) -> None:
    async with small_wonde(tmp_path) as wonde:
        seen = Seen()
        wonde.server.change = seen.note
        await sync(outside, wonde.api, wonde.school.id)
        for wonde.server.change in mark_each(outside, "Wonde", seen):
            await sync(outside, wonde.api, wonde.school.id)
    assert outside.report() == ""
    assert len(seen.paths["classes"]) >= len(MARKS)


async def test_no_answer_of_a_server_leaves(outside: Outside, tmp_path: Path) -> None:
    """A server that echoes people in its errors, headers and lists, for each status."""
    status, body = 200, dict[str, Any]()

    async def answer(_: web.Request) -> web.Response:
        headers = {"Link": f'<http://x/{NAME}?a={ADDRESS}>; rel="next"', "X-Total-Count": NAME, "Retry-After": NAME}
        return web.json_response(body, status=status, headers=headers, reason=NAME)

    application = web.Application()
    application.router.add_route("*", "/{any:.*}", answer)
    async with (
        small_oneroster(tmp_path / "1") as scene,
        small_wonde(tmp_path / "2") as wonde,
        serve(application) as url,
    ):
        sources: dict[str, MisLocation] = {
            "OneRoster": replace(scene.api(signed_in=False), url=url),
            "token server": scene.elsewhere(url),
            "Wonde": wonde.elsewhere(url),
        }
        for status in (200, 201, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503):
            for key in ("users", "orgs", "data", "access_token"):
                body = {**ECHO, key: {"sourcedId": ADDRESS, NAME: [NAME]}}
                for kind, source in sources.items():
                    if status < 429 or key == "data":
                        outside.putting(kind, f"{status} {key}")
                        await sync(outside, source, "S1")
    assert outside.report() == ""
