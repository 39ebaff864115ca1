"""A webhook of one group: the processor's time of its plan, from the groups read alone and from the whole school."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import pstats
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from bench.planning import make_large_school, synced
from local.known_school import KnownSchool, not_checked
from local.school_settings import parse_school_settings
from local.tenant.names import DOMAIN
from sync_core.clock import SystemClock
from sync_core.domain.ids import RunId
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedFolder
from sync_core.graph.port import TenantReaders
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.membership import desired_classes
from sync_core.planning.school_plan import plan_school
from sync_core.services import Reading

_EVENTS = 40
_MOST_GROWTH = 1.2
"""How much more work the plan of an event may be in the largest school than in the smallest."""


@dataclass(frozen=True, slots=True)
class Event:
    """The plans of events in one school, in seconds of the processor.

    `whole` is one after a reading of the whole school, `first` the next one, which reads its group alone, and `alone`
    the least of those after it. `calls` is the number of functions that such a plan calls.
    """

    classes: int
    whole: float
    first: float
    alone: float
    calls: int


def run(sizes: Sequence[int] = (200, 2_000, 20_000)) -> tuple[Event, ...]:
    """Plan events in schools with these numbers of classes, the smallest first.

    Raises RuntimeError if the plan of a group that is read alone grows with its school.
    """
    events = tuple(asyncio.run(_plan_events(classes)) for classes in sizes)
    calls = [event.calls for event in events]
    if max(calls) > _MOST_GROWTH * min(calls):
        raise RuntimeError(f"the plan of one group grows with the school: {events}")
    return events


def section(events: Sequence[Event]) -> str:
    """The results as Markdown."""
    rows = [
        f"| {event.classes:,} | {_ms(event.whole)} | {_ms(event.first)} | {_ms(event.alone)} | {event.calls:,} |"
        for event in events
    ]
    return "\n".join(
        [
            "A webhook names one group of 30 pupils, of whom one left or came back. Milliseconds of the processor for "
            "its plan, without the requests: of the tables nine, and of the MIS the lists of the school, or the group "
            "alone (three at a OneRoster server, one at Wonde). The first group that is read alone after a reading of "
            "the whole school counts in how many groups everybody is, and those after it do not: of their functions "
            f"called, {_MOST_GROWTH:g} times as many are allowed in the largest school as in the smallest.",
            "",
            "| classes | the whole school | the first group alone | each group after it | functions called for it |",
            "| ---: | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.2f} ms"


@dataclass(slots=True)
class _Mis:
    """Implements MisSource and ReadAgain: a school in memory, whose first group changes."""

    whole: Snapshot
    group: MisGroup

    async def snapshot(self, settings: SchoolSettings, since: object = None) -> Snapshot:
        return replace(self.whole, groups=(self.group, *self.whole.groups[1:]))

    async def again(
        self, settings: SchoolSettings, whole: Snapshot, groups: Sequence[MisGroup]
    ) -> tuple[MisGroup, ...] | None:
        return (self.group,)

    def change(self) -> None:
        """The first pupil leaves the group, or comes back."""
        first = self.whole.groups[0]
        self.group = replace(first, students=first.students[1:]) if self.group is first else first


async def _plan_events(classes: int) -> Event:
    snapshot, accounts = make_large_school(classes)
    snapshot = replace(snapshot, origin="this bench")
    settings = parse_school_settings(
        {"account_domain": DOMAIN}, school=snapshot.school.id, tenant="T", source=FeedFolder("memory")
    )
    wanted = desired_classes(snapshot, settings, accounts, {}, {}).classes
    known = KnownSchool(settings, tuple(accounts), tuple(map(synced, wanted)))
    mis = _Mis(snapshot, snapshot.groups[0])
    reading = Reading(known, mis, SystemClock(), not_checked, cast("TenantReaders", None), again=mis.again)
    event = SyncSchool(snapshot.school.id, RunId("run"), Cause.WEBHOOK, (mis.group.id,))

    async def plan() -> float:
        mis.change()
        began = time.process_time()
        planned = await plan_school(event, reading)
        taken = time.process_time() - began
        if len(planned.plan.diffs) != (mis.group is not snapshot.groups[0]):
            raise RuntimeError(f"the event led to {planned.plan.diffs}")
        return taken

    gc.collect()
    whole, first = await plan(), await plan()
    gc.collect()
    alone = min([await plan() for _ in range(_EVENTS)])
    profile = cProfile.Profile()
    mis.change()
    profile.enable()
    await plan_school(event, reading)
    profile.disable()
    calls = int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # typeshed does not know it
    return Event(classes, whole, first, alone, calls)
