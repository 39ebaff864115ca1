"""The page about the app's health over HTTP: who sees what, its forms, and what happens when something is away."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.errors import Transient
from sync_core.messaging.messages import CLASS_CHANGES, SYNC_REQUESTS, RefreshTenant, SyncSchool, encode
from sync_core.messaging.port import DeadLetter
from tests.admin.health_scene import Tables
from tests.builders import NOON, TENANT, settings
from tests.fakes.memory_dead_letters import MemoryDeadLetters
from tests.http.console.memory_console import Console, text_of
from tests.http.memory_api import ALL_SCHOOLS, HEAD, Api

HOSTILE = "<script>alert(1)</script>"


class Away(MemoryDeadLetters):
    """Queues that do not answer."""

    async def listed(self, queue: str) -> tuple[DeadLetter, ...]:
        raise Transient("the queue does not answer", "check the role of the app's identity")


def dead(queue: str, number: int, body: bytes, reason: str = "") -> DeadLetter:
    return DeadLetter(
        queue=queue,
        number=number,
        message_id=str(number),
        session="s",
        body=body,
        reason=reason,
        deliveries=10,
        at=NOON,
    )


@pytest.fixture
def letters(api: Api) -> MemoryDeadLetters:
    """One of S1, one of S2, one of no school, and one that is not readable."""
    letters = MemoryDeadLetters()
    letters.dead = [
        dead(SYNC_REQUESTS, 1, encode(SyncSchool(SchoolId("S1"), RunId("R1"), Cause.NIGHTLY))),
        dead(SYNC_REQUESTS, 2, encode(SyncSchool(SchoolId("S2"), RunId("R2"), Cause.NIGHTLY))),
        dead(SYNC_REQUESTS, 3, encode(RefreshTenant(TENANT, RunId("R3"), Cause.NIGHTLY)), HOSTILE),
        dead(CLASS_CHANGES, 1, b"{", HOSTILE),
    ]
    api.app = replace(api.app, services=replace(api.app.services, dead_letters=letters))
    return letters


@pytest.fixture
async def console(api: Api, letters: MemoryDeadLetters) -> Console:
    """The console of two schools, of which the head has access to S1."""
    await api.state.save_school(replace(settings(), school=SchoolId("S2"), name_identifier="S2"))
    return Console(api)


def replayed(letters: MemoryDeadLetters) -> list[tuple[str, int]]:
    return [(letter.queue, letter.number) for letter in letters.replayed]


# --- what is shown


async def test_an_admin_of_all_schools_sees_every_dead_letter_and_a_head_those_of_their_school(
    console: Console,
) -> None:
    page = text_of(await console.read("/health/dead-letters"))
    assert "1 from class-changes 3 from sync-requests 0 from urgent-changes" in page
    assert "2 schools are not paused." in text_of(await console.read("/health"))
    page = await console.read("/health/dead-letters", caller=HEAD)
    assert "0 from class-changes 1 from sync-requests 0 from urgent-changes" in text_of(page)
    assert "S2" not in page
    page = await console.read("/health", caller=HEAD)
    assert "1 school is not paused." in text_of(page)
    assert "S2" not in page


async def test_who_is_no_admin_sees_none_of_it(console: Console) -> None:
    for path in ("/health", "/health/checks", "/health/dead-letters", "/health/pause"):
        response = await console.call("GET", path, role="GroupSync.Teacher")
        assert (response.status_code, "S1" in response.text) == (403, False)


async def test_what_a_queue_says_is_shown_as_text(console: Console) -> None:
    page = await console.read("/health/dead-letters")
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


async def test_the_checks_have_a_page_of_their_own_with_those_that_failed_first(console: Console) -> None:
    page = text_of(await console.read("/health/checks"))
    assert "5 of 16 checks failed" in page
    assert "Dead letters of sync-requests : 3, the oldest of 2026-09-07 12:00 UTC" in page
    assert page.index("What helps:") < page.index("checks passed")
    page = text_of(await console.read("/health/checks", caller=HEAD))
    assert "Last sync of school S1" in page
    assert "S2" not in page


async def test_the_page_shows_what_it_can_while_the_queues_are_away(api: Api) -> None:
    api.app = replace(api.app, services=replace(api.app.services, dead_letters=Away()))
    page = text_of(await Console(api).read("/health/dead-letters"))
    assert "They cannot be read: the queue does not answer What helps: check the role of the app's identity" in page
    assert "1 school is not paused." in text_of(await Console(api).read("/health"))


async def test_the_page_leads_to_the_checks_while_the_tables_are_away(api: Api) -> None:
    away = Tables()
    away.schools_away = Transient("the tables do not answer", "check the storage account")
    api.app = replace(api.app, services=replace(api.app.services, schools=away))
    page = await Console(api).read("/health")
    assert "The schools cannot be read: the tables do not answer What helps: check the storage account" in text_of(page)
    assert 'href="/health/checks"' in page
    assert "Schools: the tables do not answer" in text_of(await Console(api).read("/health/checks")).replace(" :", ":")


# --- replaying


async def test_the_ticked_messages_are_replayed_once(console: Console, letters: MemoryDeadLetters) -> None:
    page = await console.read("/health/dead-letters")
    for count in (1, 0):
        response = await console.send(page, "/health/dead-letters/replay", letter="sync-requests/2", which="chosen")
        assert response.headers["location"] == f"/health/dead-letters?replayed={count}"
    assert replayed(letters) == [(SYNC_REQUESTS, 2)]
    assert "1 message was put back on the queues." in text_of(await console.read("/health/dead-letters?replayed=1"))


async def test_a_head_replays_those_of_their_school_whatever_they_send(
    console: Console, letters: MemoryDeadLetters
) -> None:
    page = await console.read("/health/dead-letters", caller=HEAD)
    await console.send(page, "/health/dead-letters/replay", caller=HEAD, letter="sync-requests/2", which="chosen")
    assert replayed(letters) == []
    await console.send(page, "/health/dead-letters/replay", caller=HEAD, which="all")
    assert replayed(letters) == [(SYNC_REQUESTS, 1)]


@pytest.mark.parametrize("letter", ["", "sync-requests", "other/1", "sync-requests/x", "sync-requests/1/2"])
async def test_without_a_message_nothing_is_replayed_and_the_page_says_so(
    console: Console, letters: MemoryDeadLetters, letter: str
) -> None:
    page = await console.read("/health/dead-letters")
    response = await console.send(page, "/health/dead-letters/replay", 422, letter=letter, which="chosen")
    assert '<a href="#letter-1">Dead letters: choose at least one' in response.text
    assert 'id="letter-1"' in response.text
    assert replayed(letters) == []


# --- pausing everything


async def test_everything_is_paused_and_what_was_paused_for_that_reason_is_resumed(
    console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    state = console.api.state
    await state.save_school(replace(settings(), school=SchoolId("S3"), name_identifier="S3", enabled=False))
    page = await console.read("/health/pause")
    assert "2 schools will be paused: S1, S2" in text_of(page)
    caplog.set_level(logging.INFO)
    response = await console.send(page, "/health/pause", reason=" storage outage ")
    assert response.headers["location"] == "/health?paused=2"
    (event,) = (vars(record) for record in caplog.records if record.getMessage() == "admin.requested")
    assert (event["sync.action"], event["sync.reason"]) == ("pause all schools", "storage outage")
    page = await console.read("/health")
    assert "2 schools are paused : “storage outage”" in text_of(page)
    assert "Pause everything" not in text_of(page)
    again = await console.send(page, "/health/pause", reason="another reason")
    assert again.headers["location"] == "/health?paused=0"
    response = await console.send(page, "/health/resume", reason="storage outage")
    assert response.headers["location"] == "/health?resumed=2"
    assert {school.school: school.enabled for school in await state.schools()} == {"S1": True, "S2": True, "S3": False}


async def test_a_head_pauses_and_resumes_their_school_alone(console: Console) -> None:
    state = console.api.state
    page = await console.read("/health/pause", caller=HEAD)
    await console.send(page, "/health/pause", caller=HEAD, reason="outage")
    assert [(school.school, school.enabled) for school in await state.schools()] == [("S1", False), ("S2", True)]
    page = await console.read("/health/pause")
    await console.send(page, "/health/pause", reason="outage")
    await console.send(page, "/health/resume", 403, caller=HEAD, reason="outage")
    page = await console.read("/health", caller=HEAD)
    await console.send(page, "/health/resume", caller=HEAD, reason="outage")
    assert [(school.school, school.enabled) for school in await state.schools()] == [("S1", True), ("S2", False)]


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "a\nb"], ids=["none", "spaces", "long", "two lines"])
async def test_without_a_reason_nothing_is_paused_and_the_form_is_as_it_was_sent(console: Console, reason: str) -> None:
    page = await console.read("/health/pause")
    response = await console.send(page, "/health/pause", 422, reason=reason)
    assert '<a href="#reason">Reason: give one in at most 200 printable characters' in response.text
    assert f'value="{reason}"' in response.text
    assert all(school.enabled for school in await console.api.state.schools())


async def test_a_reason_that_is_html_is_shown_as_text(console: Console) -> None:
    page = await console.read("/health/pause")
    await console.send(page, "/health/pause", reason=HOSTILE)
    page = await console.read("/health")
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


async def test_all_schools_includes_none_whose_caller_has_no_token(console: Console) -> None:
    response = await console.call("POST", "/health/pause", {"reason": "outage"}, ALL_SCHOOLS)
    assert response.status_code == 403
    assert all(school.enabled for school in await console.api.state.schools())
