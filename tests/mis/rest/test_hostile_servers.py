"""Servers that stall, flood or never end: each costs its school one rejection, some seconds and little memory."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from local.world import REPOSITORY
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import MisLocation, OneRosterApi, WondeApi
from sync_core.errors import SnapshotRejected, SyncError
from sync_core.mis import budget
from sync_core.mis.budget import MAX_ANSWERS, MAX_HEADER, MAX_REQUESTS, ServerBudget
from sync_core.mis.rest.quirks import Quirks
from sync_core.mis.rest.sign_in import TokenServer
from sync_core.mis.sources import MisSources
from tests.builders import mis_sources, settings
from tests.fakes.fixed_clock import FixedClock
from tests.mis.rest.hostile import Parts, head, serve_bytes, whole

SECRETS = {"MIS_SECRET_S": "secret"}
SCHOOL = SchoolId("S1")
MOST_MEGABYTES = 200
ORG = {"sourcedId": "S1", "status": "active", "name": "A School", "type": "school", "identifier": "1234567"}


def at(url: str, *, wonde: bool = False, signed_in: bool = False) -> SchoolSettings:
    token_url = f"{url}/token" if signed_in else ""
    source: MisLocation = OneRosterApi(
        url=url, secret="MIS_SECRET_S", token_url=token_url, client="client" if signed_in else ""
    )
    if wonde:
        source = WondeApi(url=url, school="A1", secret="MIS_SECRET_S")
    return replace(settings(), school=SCHOOL, source=source)


def sources(longest: timedelta = budget.LONGEST_READING) -> MisSources:
    return mis_sources(FixedClock(), SECRETS, longest)


async def refusal(answer: Callable[[str], Parts], sources: MisSources, **kind: bool) -> str:
    async with serve_bytes(answer) as url:
        with pytest.raises(SyncError) as caught:
            await sources.snapshot(at(url, **kind))
    return str(caught.value)


def stalls_before_its_head() -> Parts:
    return [None]


def stalls_within_its_head() -> Parts:
    return [b"HTTP/1.1 200 OK\r\nContent-Ty", None]


def stalls_before_its_body() -> Parts:
    return [head(1_000), None]


def stalls_within_its_body() -> Parts:
    return [head(1_000), b'{"access_token": "', None]


def never_ends() -> Parts:
    """One byte at a time, in chunks, without end."""
    return itertools.chain([head(None)], itertools.repeat(b" "))


STALLS = [stalls_before_its_head, stalls_within_its_head, stalls_before_its_body, stalls_within_its_body, never_ends]
KINDS: Mapping[str, dict[str, bool]] = {
    "OneRoster": {},
    "its token server": {"signed_in": True},
    "Wonde": {"wonde": True},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stall", STALLS)
async def test_a_server_that_never_ends_is_left_in_time(stall: Callable[[], Parts], kind: str) -> None:
    """The limit of this reading is small by construction."""
    message = await refusal(lambda _: stall(), sources(timedelta(seconds=0.2)), **KINDS[kind])
    assert message == (
        "the server was not read to its end in 0 seconds — nothing was changed; the next night tries again; "
        "if this stays, tell the vendor how slowly its server answers"
    )


def test_a_reading_of_a_server_has_so_many_requests_and_bytes() -> None:
    left = ServerBudget()
    for _ in range(MAX_REQUESTS):
        left.request()
    left.receive(MAX_ANSWERS)
    with pytest.raises(SnapshotRejected, match="one reading of the server takes more than 10,000 requests"):
        left.request()
    with pytest.raises(SnapshotRejected, match="in one reading have more than 4,000,000,000 bytes"):
        left.receive(1)


async def test_each_request_and_each_byte_counts() -> None:
    """The limits of these readings are small by construction."""
    scopes = [f"scope {number}" for number in range(9)]

    async def sign_in(left: ServerBudget) -> None:
        body = json.dumps({"error": "invalid_scope"})
        requests: list[str] = []
        async with (
            serve_bytes(lambda _: whole(body, status="400 Bad Request"), requests) as url,
            TokenServer(url, "client", "secret", scopes, left, FixedClock()) as server,
        ):
            with pytest.raises(SnapshotRejected, match="one reading"):
                await server.token(Quirks())
        assert len(requests) == 3

    await sign_in(ServerBudget(requests=3))
    await sign_in(ServerBudget(answers=60))


async def test_a_long_link_is_refused() -> None:
    def answer(path: str) -> Parts:
        length = MAX_HEADER - len("<>; rel=next") + 1
        return whole(json.dumps({"org": ORG, "data": []}), f"Link: <{'x' * length}>; rel=next")

    message = await refusal(answer, sources())
    assert message.startswith("the server returned a link to the next page of more than 16,000 characters — nothing")
    page = {"data": [], "meta": {"pagination": {"more": True, "next": "x" * (MAX_HEADER + 1)}}}

    def wonde(path: str) -> Parts:
        return whole(json.dumps({"data": {"id": "A1"}} if path.endswith("/A1") else page))

    assert "more than 16,000 characters" in await refusal(wonde, sources(), wonde=True)


@pytest.mark.parametrize(("length", "signed_in"), [(MAX_HEADER, True), (MAX_HEADER + 1, False)])
async def test_an_access_token_has_a_limit(length: int, signed_in: bool) -> None:
    def answer(path: str) -> Parts:
        return whole(json.dumps({"access_token": "x" * length})) if path == "/token" else whole("{}")

    message = await refusal(answer, sources(), signed_in=True)
    assert ("returned no school S1" in message) is signed_in
    assert ("the token server 127.0.0.1 returned no access token that a request can carry" in message) is not signed_in


@pytest.mark.parametrize("token", ["a\nb", "\u00e9", "\ud800", 5_000 * "9", None, [], {"a": 1}])
async def test_a_token_of_any_type_is_sent_or_refused(token: object) -> None:
    def answer(path: str) -> Parts:
        return whole(json.dumps({"access_token": token})) if path == "/token" else whole("[]")

    message = await refusal(answer, sources(), signed_in=True)
    assert "returned no access token" in message or "returned no JSON object" in message


def list_of(items: Iterator[bytes]) -> Callable[[str], Parts]:
    """A OneRoster server whose first list has these items, or is cut off after them."""

    def answer(path: str) -> Parts:
        if path.split("?")[0].endswith("/schools/S1"):
            return whole(json.dumps({"org": ORG}))
        return itertools.chain([head(None), b'{"academicSessions":['], items)

    return answer


_WIDE = "\U0001f600" + "x" * 250
_PAGE = json.dumps(
    {
        "users": [
            {"sourcedId": f"@{number}", **dict.fromkeys(("username", "email", "grades", "role"), _WIDE)}
            for number in range(1_000)
        ]
    }
).encode()


def pages(path: str) -> Parts:
    """People with texts as wide as they can be, page after page."""
    name = path.split("?")[0].rsplit("/", 1)[-1]
    if name in ("academicSessions", "classes"):
        return whole(json.dumps({name: []}))
    if name != "students":
        return whole(json.dumps({"org": ORG}))
    return whole(_PAGE.replace(b"@", path.split("offset=")[1].split("&")[0].encode() + b"-"))


def bomb(path: str) -> Parts:
    """Ten kilobytes of gzip for each ten megabytes."""
    packed = gzip.compress(b'{"a": "' + b" " * 3_000_000, 9)
    return whole(packed, "Content-Encoding: gzip")


FULL = "more people, groups and memberships than fit into 120,000,000 bytes"
FLOODS: list[tuple[str, Callable[[str], Parts], str]] = [
    (
        "records without an id, without end",
        list_of(itertools.repeat(b'{"type":"\xf0\x9f\x98\x80%b"},' % (b"x" * 250) * 200)),
        FULL,
    ),
    (
        "a record without end",
        list_of(itertools.chain([b'{"title":"\xf0\x9f\x98\x80'], itertools.repeat(b"x" * 60_000))),
        "returned a record of more than 2,000,000 characters",
    ),
    (
        "values without end",
        list_of(itertools.chain([b'{"terms":['], itertools.repeat(b"[]," * 20_000))),
        "returned a record of more than 100,000 values",
    ),
    (
        "objects without end",
        list_of(itertools.chain([b'{"terms":['], itertools.repeat(b'{"":0},' * 9_000))),
        "returned a record of more than 100,000 values",
    ),
    ("nests without end", list_of(itertools.repeat(b"[" * 60_000)), "more than 20 lists or objects within each other"),
    ("blanks without end", list_of(itertools.repeat(b" " * 60_000)), "returned more than 64 MB at once"),
    ("pages without end", pages, FULL),
    ("a bomb", bomb, "returned a record of more than 2,000,000 characters"),
]
_READ = """
import asyncio, sys
from datetime import date
from sync_core.clock import SystemClock
from sync_core.domain.school.sources import OneRosterApi
from sync_core.errors import SyncError
from sync_core.mis.academic_years import Calendar
from sync_core.mis.rest.cache import SchoolCache
from sync_core.mis.rest.oneroster import read_oneroster_api
from sync_core.mis.rest.shared_lists import SharedLists
from tests.mis.peak_memory import print_peak

async def read(urls):
    clock = SystemClock()
    for url in urls:
        api = OneRosterApi(url=url, secret="MIS_SECRET_S")
        lists = SharedLists(clock).of(api, clock.now())
        try:
            await read_oneroster_api(api, "secret", "S1", SchoolCache(), lists, clock, Calendar(date(2026, 9, 7)))
        except SyncError as error:
            print(error.message)
        else:
            print("read")
    print_peak()

asyncio.run(read(sys.argv[1:]))
"""


async def test_no_server_takes_more_memory_than_a_reading_may() -> None:
    async with AsyncExitStack() as servers:
        urls = [await servers.enter_async_context(serve_bytes(flood[1])) for flood in FLOODS]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _READ, *urls), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    *messages, peak = output.decode().splitlines()
    for message, flood in zip(messages, FLOODS, strict=True):
        assert flood[2] in message, flood[0]
    assert int(peak) <= MOST_MEGABYTES
