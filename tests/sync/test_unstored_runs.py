"""A run says so itself if what it has to record does not fit into its tables, or is too long for a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.ids import RunId, SchoolId, digest_of
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.webhooks import WebhookEvent
from sync_core.errors import LONGEST_LINE, RowTooLarge, SnapshotRejected, SyncError, one_line
from sync_core.messaging.messages import SyncSchool, SyncWebhookEvents
from sync_core.planning.run_notes import notes_of
from sync_core.state.store import TableState
from tests.builders import NOON, TENANT, accounts, mis_ids, snapshot, teaching
from tests.builders import settings as school_settings
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_webhook_inbox import MemoryWebhookInbox
from tests.fakes.services import services
from tests.http.memory_api import ENVIRONMENT

RUN = RunId("run")
MIB = 1_200_000


@dataclass(frozen=True, slots=True)
class _Mis:
    groups: Sequence[MisGroup] = ()
    refusal: str = ""

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        if self.refusal:
            raise SnapshotRejected(self.refusal, "correct the feed")
        return snapshot(self.groups)


class _Narrow(MemoryState):
    """Tables without room for a run that was planned."""

    async def write_run(self, run: RunRecord) -> None:
        if run.outcome is RunOutcome.PLANNED:
            raise RowTooLarge("the row is too large", "split the group")
        await super().write_run(run)


async def _sync(mis: _Mis, state: MemoryState | TableState, school: SchoolId) -> RunRecord | None:
    outbox = MemoryOutbox()
    chosen = school_settings(limits={"unmatched": 1, "unmatched_people": 1_000_000})
    await state.save_school(replace(chosen, school=school))
    known = tuple(AccountChange(each.id, each.values) for each in accounts(["amy"]))
    await state.write_accounts(TENANT, AccountChanges(True, known, frozenset(), "token"))
    app = App(parse_settings(ENVIRONMENT), services(state, mis=mis, outbox=outbox))
    await app.handle_request(SyncSchool(school, RUN, Cause.NIGHTLY))
    return await state.run(school, RUN)


async def test_a_run_whose_lists_do_not_fit_into_a_row_ends_with_the_remedy(shared_storage: str) -> None:
    tables, school = TableState.from_connection_string(shared_storage), SchoolId(f"S{uuid4().hex}")
    strangers = [f"{number:02}{'x' * 40_000}" for number in range(13)]
    try:
        await tables.ensure_tables()
        run = await _sync(_Mis([teaching("G1", "Maths", ["amy", *strangers])]), tables, school)
    finally:
        await tables.close()
    assert run
    assert run.outcome is RunOutcome.REFUSED
    stored, applied = run.notes
    assert stored.startswith(f"a record of this run cannot be stored: row run of {school} has ")
    assert stored.endswith(
        "shorten an id that is too long, or split the group in the MIS, or leave its type out of the school's types"
    )
    assert applied == "what the run wrote and sent before is applied; the next sync plans the rest"


async def test_the_events_of_a_webhook_plan_that_is_not_stored_stop_waiting() -> None:
    state, inbox = _Narrow(), MemoryWebhookInbox()
    school = school_settings()
    await state.save_school(school)
    await state.write_accounts(TENANT, AccountChanges(True, (), frozenset(), "token"))
    await inbox.add(school.school, WebhookEvent(id="msg_1", at=NOON))
    app = App(parse_settings(ENVIRONMENT), services(state, mis=_Mis([teaching("G1", "Maths", [])]), inbox=inbox))

    await app.handle_request(SyncWebhookEvents(school.school, RUN))

    run = await state.run(school.school, RUN)
    assert run
    assert (run.outcome, run.cause) == (RunOutcome.REFUSED, Cause.WEBHOOK)
    assert run.notes[0] == "a record of this run cannot be stored: the row is too large — split the group"
    assert await inbox.waiting(school.school) == ()
    assert not await inbox.add(school.school, WebhookEvent(id="msg_1", at=NOON))


async def test_a_refusal_of_a_million_characters_is_cut_with_the_count_of_what_was_left_out() -> None:
    run = await _sync(_Mis(refusal="x" * MIB), MemoryState(), SchoolId("S1"))
    assert run
    assert run.outcome is RunOutcome.REJECTED
    kept = LONGEST_LINE - len("… (1,200,000 more characters)")
    assert run.notes == (f"{'x' * kept}… ({MIB - kept:,} more characters)", "correct the feed")


def test_notes_that_are_too_many_are_counted() -> None:
    run = RunRecord(
        school=SchoolId("S1"),
        id=RUN,
        cause=Cause.NIGHTLY,
        at=NOON,
        outcome=RunOutcome.PLANNED,
        notes=("x" * 1000,) * 1000,
    )
    assert run.notes == (*("x" * 1000,) * 99, "901 more notes are left out")


def test_an_id_forges_no_note_and_hides_none() -> None:
    forged = "p1\nall is well"
    run = RunRecord(
        school=SchoolId("S1"),
        id=RUN,
        cause=Cause.NIGHTLY,
        at=NOON,
        outcome=RunOutcome.PLANNED,
        people_ambiguous=mis_ids(forged, "x" * 40_000),
    )
    (note,) = notes_of(run)
    assert f"2 (by MIS id: {digest_of(forged)}, xxx" in note
    assert f"{'x' * 74}… (39,926 more characters)) — correct the accounts or the MIS" in note


def test_each_error_is_one_line_of_what_happened_and_one_of_the_remedy() -> None:
    error = SyncError("a\u2028b\ud800", "c\nd")
    assert (error.message, error.remedy, str(error)) == ("a\\u2028b\\ud800", "c\\nd", "a\\u2028b\\ud800 — c\\nd")
    assert one_line(error.message) == error.message
