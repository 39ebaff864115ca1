"""Whatever the dates, feeds and plans: no pupil comes in before the day, and nobody leaves during a pause."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import chain
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync_core.domain.ids import AccountId, ClassKey, RunId
from sync_core.domain.runs import Cause
from sync_core.domain.school.year import Pause
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.year.calendar import SchoolDay, school_day
from sync_core.sync.school import sync_school
from tests.builders import NOON, SCHOOL, entra_ids
from tests.properties.decisions_world import (
    A_DECISION,
    A_RESTORE,
    BY_ADMINS,
    GROUPS,
    IN_THE_MIS,
    OF_ACCOUNTS,
    PUPILS,
    TEACHERS,
    World,
    upn,
)

TODAY = NOON.date()
_offsets = st.integers(-2, 4)
_Event = tuple[Any, ...]
_Roles = Mapping[str, frozenset[AccountId]]


def _on(offset: int) -> str:
    return str(TODAY + timedelta(days=offset))


@st.composite
def calendars(draw: st.DrawFn) -> _Event:
    """Dates around the first days of a world: its classes (of 2026) are of the coming year, or of the ended one."""
    first = draw(st.integers(-3, 5))
    starts = {"first_day": _on(first), "last_day": _on(first - draw(st.integers(1, 6)))}
    ends = {"first_day": "2027-09-02", "last_day": _on(draw(_offsets))}
    dates = draw(st.sampled_from([starts, ends, {}]))
    if "first_day" in dates:
        teachers, pupils = sorted((draw(_offsets), draw(_offsets)))
        dates |= draw(st.sampled_from([{}, {"teachers_in_from": _on(teachers)}]))
        dates |= draw(st.sampled_from([{}, {"pupils_in_from": _on(pupils)}]))
    begins, until = sorted((draw(_offsets), draw(_offsets)))
    pause = {"pause_from": _on(begins), "pause_until": _on(until)}
    dates |= draw(st.sampled_from([{}, pause, {**pause, "pause": "nothing"}]))
    return ("choose", "calendar", dates)


ENDS = st.integers(-2, 1).map(lambda last: ("choose", "calendar", {"first_day": "2027-09-02", "last_day": _on(last)}))
A_DAY = st.tuples(st.just("wait"), st.integers(1, 3))
PLANS = st.sampled_from([("night",), ("webhook", "G1"), ("webhook", "R1"), ("lost_night",)])
FEEDS = st.tuples(st.just("new_year"), st.sampled_from(["reuse", "new"])) | IN_THE_MIS | OF_ACCOUNTS
DECISIONS = BY_ADMINS | A_DECISION | A_RESTORE
EVENTS = calendars() | A_DAY | PLANS | PLANS | FEEDS | DECISIONS


class YearWorld(World):
    """A world whose days pass, and that webhooks reach."""

    async def _wait(self, days: int) -> None:
        self.clock.advance(timedelta(days=days))

    async def _webhook(self, group: str) -> None:
        self.nights += 1
        await self.state.save_school(self.settings)
        scope = (self._known_groups[group].id,)
        await sync_school(SyncSchool(SCHOOL.id, RunId(f"night {self.nights}"), Cause.WEBHOOK, scope), self.services)
        await self.finish()

    @property
    def day(self) -> SchoolDay:
        return school_day(self.settings, self.clock.now())

    def roles(self) -> _Roles:
        """Everybody who is in a class of the tenant, by class, and every owner, who has a key of their own.

        A deleted class still has its people: Microsoft 365 restores them with it.
        """
        classes = self.tenant.groups.values()
        members = {str(each.id): frozenset(each.members) for each in classes}
        return {**members, **{f"{each.id} owner": frozenset(each.owners) for each in classes}}

    def pupils(self) -> frozenset[AccountId]:
        """Accounts that were pupils' in the beginning and are not a teacher's by now."""
        teachers = {upn(self.names[teacher]) for teacher in TEACHERS}
        return entra_ids(PUPILS) - {
            id for id, account in self.tenant.accounts.items() if teachers & set(account.values.values())
        }

    async def years(self) -> Mapping[str, tuple[ClassKey, int]]:
        records = await self.state.class_records(SCHOOL.id)
        return {each.actual.class_id: (each.key, each.desired.academic_year) for each in records if each.actual}


def _came(before: _Roles, after: _Roles, class_: str) -> frozenset[AccountId]:
    return after[class_] - before.get(class_, frozenset())


def _left(before: _Roles, after: _Roles) -> dict[str, frozenset[AccountId]]:
    return {key: left for key in before if (left := before[key] - after.get(key, frozenset()))}


@example(
    ("choose", "calendar", {"first_day": _on(0), "last_day": _on(-1), "pupils_in_from": _on(1)}),
    # A pupil's account is the teacher's afterwards, and comes in with the teachers.
    [("delete_account", "t"), ("move_account", "a", "t")],
)
@example(
    ("choose", "calendar", {"first_day": _on(0), "last_day": _on(-1)}),
    # The class comes back with the pupils that it had, and with nobody else.
    [
        ("delete", "G1"),
        ("choose", "calendar", {"first_day": _on(0), "last_day": _on(-1), "pupils_in_from": _on(1)}),
        ("set_pupils", "G1", frozenset("abcdef")),
        ("restore", "G1"),
    ],
)
@settings(max_examples=150)
@given(calendars(), st.lists(EVENTS, max_size=12))
async def test_no_pupil_comes_into_a_class_of_the_coming_year_before_the_day(
    calendar: _Event, events: list[_Event]
) -> None:
    """Also if the calendar is set or changed when pupils are in already."""
    world = YearWorld()
    for event in (calendar, ("night",), *events, ("night",)):
        before = world.roles()
        await world.happen([event])
        after = world.roles()
        for class_, (key, year) in (await world.years()).items():
            if class_ in after and not world.day.pupils_are_in(year):
                assert not _came(before, after, class_) & world.pupils(), (event, key, world.day)


@settings(max_examples=100)
@given(calendars(), st.lists(calendars() | A_DAY | PLANS | PLANS | FEEDS, max_size=12))
async def test_a_plan_during_a_pause_removes_nobody(calendar: _Event, events: list[_Event]) -> None:
    """Admins undo nothing here and delete no class, and accounts stay."""
    world = YearWorld()
    await world.happen([("choose", "departed_owners", "revoke"), ("night",), calendar])
    for event in (*events, ("night",)):
        before = world.roles()
        await world.happen([event])
        if world.day.pause is Pause.ADDITIONS_ONLY and event[0] != "delete_account":
            assert _left(before, world.roles()) == {}, (event, world.day)
        if world.day.pause is Pause.NOTHING and event[0] != "delete_account":
            assert before == world.roles(), (event, world.day)


@example(
    ("choose", "calendar", {"first_day": "2027-09-02", "last_day": "2026-09-07"}),
    # The lost plan made an owner of a member.
    [
        (("set_pupils", "G1", frozenset()), ("night",)),
        (("rename", "t", "a"), ("night",)),
        (("end", "R1"), ("lost_night",)),
    ],
)
@settings(max_examples=100)
@given(ENDS, st.lists(st.tuples(FEEDS, PLANS), max_size=6))
async def test_a_class_of_a_year_that_is_over_keeps_exactly_its_people(
    calendar: _Event, changes: list[tuple[_Event, _Event]]
) -> None:
    """Also if the changes of a plan of the last day were lost."""
    world = YearWorld()
    await world.happen([("night",), calendar])
    for event in chain(*changes, [("wait", 2), ("night",)]):
        before = world.roles()
        await world.happen([event])
        after = world.roles()
        for class_, (key, year) in (await world.years()).items():
            if class_ in before and world.day.is_over(year) and event[0] != "delete_account":
                assert (before[class_], before[f"{class_} owner"]) == (after[class_], after[f"{class_} owner"]), (
                    event,
                    key,
                )


@given(st.dates(date(2026, 1, 1), date(2028, 12, 31)), st.integers(1, 12), st.integers(2024, 2029))
def test_a_year_is_never_over_and_coming(first: date, month: int, year: int) -> None:
    dates: dict[str, Any] = {"first_day": first, "last_day": first - timedelta(days=1)}
    world = YearWorld()
    world.chosen |= {"calendar": {name: str(day) for name, day in dates.items()}, "year_starts_in": month}
    day = SchoolDay(first, world.settings.calendar, month)
    assert day.coming is not None and day.ended == day.coming - 1
    assert day.is_over(year) is (year < day.coming)


async def test_the_feed_of_the_coming_year_leaks_without_the_rule() -> None:
    """The property can fail: the same events without dates let pupils in."""
    world = YearWorld()
    await world.happen([("choose", "calendar", {}), ("night",)])
    assert any(world.pupils() & people for people in world.roles().values())
    assert set(GROUPS) == set(world.groups)
