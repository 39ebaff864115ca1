"""A preview announces what the sync then does: the same classes, and the same people come and go in each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sync_core.admin.explain import explain_person
from sync_core.admin.holds import preview_school
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.runs import Cause
from sync_core.errors import Conflict
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.explain.causes import SENTENCES, Why
from sync_core.planning.preview.preview import Preview, preview_of
from sync_core.planning.school_plan import plan_to_show
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL
from tests.properties.decisions_world import (
    A_DECISION,
    A_NEW_YEAR,
    A_NIGHT,
    BY_ADMINS,
    BY_CHOICE,
    BY_HAND,
    IN_THE_MIS,
    OF_ACCOUNTS,
    World,
    upn,
)

RUN = RunId("the announced one")
EVENTS = IN_THE_MIS | OF_ACCOUNTS | BY_ADMINS | BY_CHOICE | BY_HAND | A_NIGHT | A_NEW_YEAR | A_DECISION
SETS = ("owners_granted", "owners_revoked", "members_added", "members_removed")
Moves = dict[tuple[ClassKey, str], frozenset[str]]


def announced(preview: Preview) -> Moves:
    moves = {(change.key, name): getattr(change, name) for change in preview.classes for name in SETS}
    return {move: people for move, people in moves.items() if people}


def done(history: Mapping[ClassKey, tuple[AppliedDelta, ...]]) -> Moves:
    moves: dict[tuple[ClassKey, str], Any] = {}
    for key, deltas in history.items():
        for delta in deltas:
            for name in SETS:
                if delta.run == RUN and getattr(delta, name):
                    moves[key, name] = moves.get((key, name), frozenset()) | getattr(delta, name)
    return moves


async def check_reasons(preview: Preview, world: World) -> None:
    """Of each class, the preview says about a person what an explanation says, which also knows the history."""
    for change in preview.classes:
        if not change.create and change.why:
            account, why = min(change.why.items())
            known = world.tenant.accounts.get(account)
            sought = [name for name in world.names.values() if known and upn(name) == known.values[AccountProperty.UPN]]
            try:
                answer = await explain_person(world.settings, change.key, account, world.services)
            except Conflict:
                assert len(sought) > 1, "only of an account that several people seek it asks which of them is meant"
                continue
            expected = [*answer.lines, *([] if sought else [SENTENCES[Why.NO_PERSON]])]
            assert any(line.startswith(why) for line in expected), (why, answer.lines)


async def check(events: list[tuple[Any, ...]], *, look: bool) -> Counter[str]:
    world = World()
    await world.happen([("night",), *events])
    await world.start_night(RunId("refresh"))
    world.outbox.requests.clear()
    await world.finish()
    planned = await plan_to_show(SCHOOL.id, world.services.reading)
    preview = await preview_school(world.settings, world.services) if look else preview_of(planned, world.settings)
    await check_reasons(preview, world)
    run = await sync_school(SyncSchool(SCHOOL.id, RUN, Cause.ADMIN), world.services)
    await world.finish()
    history = await world.history()
    assert announced(preview) == done(history)
    for name in ("outcome", "groups", "created", "changed", "unchanged", "held", "removals", "gone", "ended"):
        assert getattr(preview.run, name) == getattr(run, name), name
    made = {key for key, deltas in history.items() if any(delta.created and delta.run == RUN for delta in deltas)}
    assert {change.key for change in preview.classes if change.create} == made
    for change in preview.classes:
        assert change.why.keys() == set().union(*(getattr(change, name) for name in SETS))
    deleted = {key for key, wanted in planned.wanted.items() if wanted.deleted}
    of_no_group = set(run.changed) - planned.wanted.keys()
    # The owner whose time is over may be the last one, or have no account any more: then nobody leaves.
    rows = {key: record.desired for key, record in planned.records.items()}
    assert of_no_group <= {key for key, row in rows.items() if row.extra_owners or row.expired_owners}
    counted = {*run.created, *run.changed, *run.held, *run.gone, *deleted} - of_no_group
    assert len(counted) + run.unchanged == run.groups, "each class is counted once"
    return Counter(name for _, name in announced(preview)) + Counter(held=len(run.held), classes=len(preview.classes))


@hypothesis_settings(max_examples=150)
@given(st.lists(EVENTS, max_size=12))
@example([("rename", "a", "t"), ("extra", "G2", "t", 0)])
@example([("extra", "G1", "a", 0), ("night",), ("delete_account", "a"), ("new_year", "reuse")])
def test_a_preview_that_reads_the_classes_announces_what_the_sync_does(events: list[tuple[Any, ...]]) -> None:
    asyncio.run(check(events, look=True))


@hypothesis_settings(max_examples=150)
@given(st.lists(IN_THE_MIS | BY_ADMINS | BY_CHOICE | A_NIGHT | A_NEW_YEAR | A_DECISION, max_size=12))
@example([("extra", "G1", "a", 0), ("night",), ("extra", "G1", "a", -1)])
@example([("extra", "G1", "f", 0), ("night",), ("extra", "G1", "f", -1)])
@example([("set_pupils", "G1", frozenset()), ("extra", "G1", "a", 0), ("night",), ("extra", "G1", "a", -1)])
@example([("extra", "G1", "a", 0), ("night",), ("extra", "G1", "a", -1), ("new_year", "reuse")])
@example([("extra", "R1", "b", 0), ("night",), ("extra", "R1", "b", -1), ("end", "R1")])
def test_a_preview_from_the_rows_announces_what_the_sync_does(events: list[tuple[Any, ...]]) -> None:
    """Nobody changed a class by hand, and every account stays."""
    asyncio.run(check(events, look=False))
