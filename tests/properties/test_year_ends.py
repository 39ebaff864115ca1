"""Whatever the MIS has and whoever is edited by hand: no night changes a class whose year an admin ended.

And wherever its run is interrupted, a redelivery and the next night carry out the whole of it, once.
"""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.admin.year.year_end import end_year
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.classes.year_end import NameChoice, PupilChoice, YearEndChoice, YearEndFilter, YearEndOrder
from sync_core.domain.ids import ClassKey
from sync_core.domain.roster import MisGroup
from tests.admin.year_end_scene import ART_KEY, MUSIC_KEY, PUPILS, Scene
from tests.builders import SCHOOL, entra_id, teaching
from tests.fakes.memory_tenant import MemoryGroup

ENDED = (ART_KEY, MUSIC_KEY)
STAFF = ("main", "second")
_Edit = tuple[ClassKey, str, bool, bool]
_Night = tuple[list[MisGroup], list[_Edit]]
_pupils = st.lists(st.sampled_from(PUPILS), unique=True).map(tuple)
groups = st.lists(
    st.builds(
        teaching,
        st.sampled_from(["A1", "M1", "G1"]),
        st.sampled_from(["10x/Art", "11x/Art", "10x/Music"]),
        _pupils,
        st.lists(st.sampled_from(STAFF), unique=True),
        st.sampled_from([2025, 2026, 2027]),
    ),
    max_size=4,
    unique_by=lambda group: (group.id, group.academic_year),
)
edits = st.tuples(st.sampled_from(ENDED), st.sampled_from([*PUPILS, "hand"]), st.booleans(), st.booleans())
nights = st.lists(st.tuples(groups, st.lists(edits, max_size=3)), min_size=1, max_size=4)
choices = st.builds(
    YearEndChoice, rename=st.sampled_from([NameChoice.KEEP, NameChoice.YEAR]), pupils=st.sampled_from(PupilChoice)
)
rollovers = st.sampled_from(["new", "reuse"])


@given(rollovers, choices, nights)
@settings(max_examples=150, deadline=None)
def test_no_night_changes_a_class_whose_year_ended(rollover: str, choice: YearEndChoice, after: list[_Night]) -> None:
    asyncio.run(_check(rollover, choice, after))


async def _check(rollover: str, choice: YearEndChoice, after: list[_Night]) -> None:
    scene = Scene(chosen={"rollover": rollover})
    await scene.begin()
    await scene.end(YearEndOrder(YearEndFilter(years=(2025,)), choice))
    wanted = {key: (await scene.row(key)).desired for key in ENDED}
    assert all(each.retired for each in wanted.values())
    for feed, by_hand in after:
        scene.mis.groups = tuple(feed)
        for key, person, present, renamed in by_hand:
            await _edit(scene, key, person, present=present, renamed=renamed)
        before = await _groups(scene)
        await scene.night()
        assert await _groups(scene) == before
        assert {key: (await scene.row(key)).desired for key in ENDED} == wanted


async def _edit(scene: Scene, key: ClassKey, person: str, *, present: bool, renamed: bool) -> None:
    """Somebody changes the class, and the night's delta tells it."""
    group = await scene.group(key)
    scene.tenant.hand_member(group.id, entra_id(person), present)
    if renamed:
        scene.tenant.hand_rename(group.id, f"{person}'s own", group.name.mail_nickname)
    await scene.state.write_drift(SCHOOL.id, [Drift(key, stale=True)])


async def _groups(scene: Scene) -> dict[ClassKey, MemoryGroup]:
    return deepcopy({key: await scene.group(key) for key in ENDED})


class Killed(BaseException):
    """The process ends here: no code of the app catches it."""


@dataclass
class Bomb:
    """A step of the fakes that kills the process after so many further steps. None: it never does."""

    left: int | None = None

    async def __call__(self, _: str) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


async def test_a_year_end_that_is_killed_at_any_step_is_done_whole_and_once() -> None:
    order = YearEndOrder(YearEndFilter(years=(2025,)), YearEndChoice(rename=NameChoice.YEAR, pupils=PupilChoice.REMOVE))
    steps, killed = 0, True
    while killed:
        bomb = Bomb()
        scene = Scene(step=bomb)
        await scene.begin()
        request = await scene.request_end(order)
        bomb.left, killed = steps, False
        try:
            await end_year(request, scene.services)
            await scene.deliver()
        except Killed:
            killed = True
        bomb.left = None
        await end_year(request, scene.services)
        await scene.deliver()
        await scene.night()
        for key in ENDED:
            group, row = await scene.group(key), await scene.row(key)
            assert group.members == group.owners, f"killed at step {steps}"
            assert group.name.display_name.count("(2025/26)") == 1
            assert (row.desired.retired, row.year_end_waits) == (True, False)
        writes = scene.tenant.writes
        await scene.night()
        assert scene.tenant.writes == writes
        steps += 1
    assert steps > 40
