"""The end of the year: what an admin is shown, what is then carried out, and what later nights leave alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from sync_core.admin.requests import Requester
from sync_core.admin.year.year_end import (
    YearEndDiffers,
    end_year,
    preview_taking_back,
    preview_year_end,
    request_year_end,
)
from sync_core.domain.classes.outcomes import AlreadySo
from sync_core.domain.classes.record import ClassState
from sync_core.domain.classes.teams import ActualTeam, DesiredTeam, TeamState
from sync_core.domain.classes.year_end import (
    NameChoice,
    PupilChoice,
    TeamChoice,
    YearEndChoice,
    YearEndFilter,
    YearEndOrder,
    YearState,
)
from sync_core.domain.runs import RunOutcome
from sync_core.errors import Unreadable
from sync_core.messaging.messages import ChangeForYearEnd, ChangeTeam
from sync_core.planning.preview.preview import preview_of
from sync_core.planning.school_plan import plan_to_show
from tests.admin.year_end_scene import ADMIN, ART, ART_KEY, MATHS, MATHS_KEY, MUSIC, MUSIC_KEY, PUPILS, Scene
from tests.builders import SCHOOL, entra_id, entra_ids, teaching

LAST_YEAR = YearEndFilter(years=(2025,))
EMPTY = YearEndChoice(rename=NameChoice.YEAR, pupils=PupilChoice.REMOVE, keep_years=2)
ALL_OF_IT = YearEndOrder(LAST_YEAR, EMPTY)


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.begin()
    return scene


async def test_the_preview_says_of_each_class_what_happens_and_what_is_known(scene: Scene) -> None:
    writes = scene.tenant.writes
    shown = await preview_year_end(scene.settings, YearEndOrder(choice=EMPTY), scene.services)
    art, music, maths = shown.classes
    assert (art.key, art.in_mis, art.pupils, art.kept_until) == (ART_KEY, False, 5, date(2028, 8, 31))
    assert art.new_name == f"{art.name} (2025/26)"
    assert art.use == "no team that the sync knows of; one that somebody made by hand would not show here"
    assert music.refused == ""
    assert maths.refused == "it is a class of 2026, and the MIS still has its group — end the group in the MIS first"
    assert shown.what == (
        "classes that end their year: 2",
        "teams that are archived: 0",
        "classes that get another display name: 2; their addresses stay",
        "memberships of pupils that end: 10",
        "this takes less than a minute at the limits of Microsoft Graph",
        "classes that are chosen, and left as they are: 1",
    )
    assert (scene.tenant.writes, scene.outbox.changes) == (writes, [])


async def test_what_was_confirmed_is_carried_out_as_one_run(scene: Scene) -> None:
    names = {key: (await scene.group(key)).name for key in (ART_KEY, MUSIC_KEY, MATHS_KEY)}
    run = await scene.end(ALL_OF_IT)
    assert (run.outcome, run.requested_by, run.changed) == (RunOutcome.PLANNED, ADMIN, (ART_KEY, MUSIC_KEY))
    assert run == await scene.state.run(SCHOOL.id, run.id)
    for key, owner in ((ART_KEY, "main"), (MUSIC_KEY, "second")):
        group, row = await scene.group(key), await scene.row(key)
        assert group.members == group.owners == entra_ids([owner])
        assert group.name.display_name == f"{names[key].display_name} (2025/26)"
        assert group.name.mail_nickname == names[key].mail_nickname
        assert (row.state, row.desired.retired, row.year_end_waits) == (ClassState.ENDED, True, False)
        *_, delta = await scene.state.history(SCHOOL.id, key)
        assert (delta.run, delta.renamed, delta.members_removed) == (run.id, True, entra_ids(PUPILS))
    assert (await scene.group(MATHS_KEY)).name == names[MATHS_KEY]


async def test_the_default_leaves_names_and_pupils(scene: Scene) -> None:
    writes = scene.tenant.writes
    await scene.end(YearEndOrder(LAST_YEAR))
    assert scene.tenant.writes == writes
    assert (await scene.row(ART_KEY)).desired.retired


async def test_no_later_night_changes_such_a_class_even_if_the_mis_has_its_group_again(scene: Scene) -> None:
    await scene.end(ALL_OF_IT)
    group, before = await scene.group(ART_KEY), scene.tenant.writes
    scene.tenant.hand_rename(group.id, "Our art", group.name.mail_nickname)
    scene.tenant.hand_member(group.id, entra_id("hand"), present=True)
    scene.mis.groups = (ART, MUSIC, MATHS)
    run = await scene.night()
    assert scene.tenant.writes == before
    assert group.name.display_name == "Our art"
    assert group.members == entra_ids(["main", "hand"])
    assert run.ended == ()
    assert any("whose year an admin ended, and whose groups the MIS still has: 2" in note for note in run.notes)


async def test_a_school_that_reuses_classes_makes_new_ones_beside_those_that_ended(scene: Scene) -> None:
    scene.chosen = {"rollover": "reuse"}
    await scene.state.save_school(scene.settings)
    await scene.end(ALL_OF_IT)
    scene.mis.groups = (MATHS, teaching("A1", "11x/Art", PUPILS, ["main"], year=2026))
    run = await scene.night()
    assert run.created == ("2026.teaching.A1",)
    assert (await scene.group(ART_KEY)).members == entra_ids(["main"])


async def test_a_class_that_changed_since_it_was_shown_is_left_with_all_others(scene: Scene) -> None:
    shown = await preview_year_end(scene.settings, ALL_OF_IT, scene.services)
    request = await scene.request_end(ALL_OF_IT)
    group = await scene.group(ART_KEY)
    scene.tenant.hand_rename(group.id, "Our art", group.name.mail_nickname)
    run = await end_year(request, scene.services)
    assert (run.outcome, scene.outbox.changes) == (RunOutcome.REFUSED, [])
    assert "the year end has changed since it was shown, so nothing was changed" in run.notes[0]
    with pytest.raises(YearEndDiffers) as differs:
        await request_year_end(
            scene.settings, ALL_OF_IT, shown.digest, Requester(ADMIN, scene.new_run()), scene.services
        )
    assert differs.value.plan.classes[0].new_name == "Our art (2025/26)"
    assert not (await scene.row(MUSIC_KEY)).desired.retired


async def test_who_renames_a_class_between_the_run_and_the_change_keeps_the_name(scene: Scene) -> None:
    request = await scene.request_end(ALL_OF_IT)
    await end_year(request, scene.services)
    group = await scene.group(ART_KEY)
    scene.tenant.hand_rename(group.id, "Our art", group.name.mail_nickname)
    await scene.deliver()
    assert group.name.display_name == "Our art"
    assert not (await scene.row(ART_KEY)).year_end_waits


async def test_a_lost_change_is_sent_again_by_the_next_night(scene: Scene) -> None:
    await end_year(await scene.request_end(ALL_OF_IT), scene.services)
    scene.outbox.changes = []
    planned = await plan_to_show(SCHOOL.id, scene.services.reading)
    shown = preview_of(planned, scene.settings)
    assert "nobody comes or goes; its year end is carried out" in "\n".join(shown.lines)
    assert shown.digest
    run = await scene.night()
    assert run.changed == (ART_KEY, MUSIC_KEY)
    assert (await scene.group(ART_KEY)).members == entra_ids(["main"])
    assert (await scene.night()).changed == ()


async def test_a_redelivery_does_the_rest_and_a_later_duplicate_does_nothing(scene: Scene) -> None:
    request = await scene.request_end(ALL_OF_IT)
    run = await scene.state.run(SCHOOL.id, request.run)
    assert run
    done = await end_year(request, scene.services)
    # As after a crash: the run lists its classes, and only the first has its row.
    await scene.state.write_run(replace(run, changed=done.changed))
    music = (await scene.row(MUSIC_KEY)).desired
    await scene.state.write_desired(SCHOOL.id, [replace(music, year_end=None, members=music.members)])
    scene.outbox.changes = []
    again = await end_year(request, scene.services)
    assert (again.outcome, again.changed) == (RunOutcome.PLANNED, (ART_KEY, MUSIC_KEY))
    assert [change.key for change in scene.outbox.changes] == [ART_KEY, MUSIC_KEY]
    scene.outbox.changes = []
    assert await end_year(request, scene.services) == again
    assert scene.outbox.changes == []


async def test_taking_it_back_restores_names_and_exactly_the_pupils_who_were_removed(scene: Scene) -> None:
    group = await scene.group(ART_KEY)
    name = group.name
    scene.tenant.hand_member(group.id, entra_id("amy"), present=False)
    await scene.end(ALL_OF_IT)
    run = await scene.take_back(LAST_YEAR)
    assert run.changed == (ART_KEY, MUSIC_KEY)
    assert group.name == name
    assert group.members == entra_ids(["ben", "cleo", "dora", "eve", "main"])
    row = await scene.row(ART_KEY)
    assert (row.state, row.desired.retired, row.year_end_waits) == (ClassState.ENDED, False, False)
    writes = scene.tenant.writes
    await scene.night()
    assert scene.tenant.writes == writes
    scene.mis.groups = (ART, MATHS)
    await scene.night()
    assert (await scene.row(ART_KEY)).state is ClassState.LIVE


async def test_taking_back_leaves_a_name_that_somebody_gave_since(scene: Scene) -> None:
    await scene.end(ALL_OF_IT)
    group = await scene.group(ART_KEY)
    scene.tenant.hand_rename(group.id, "Our art", group.name.mail_nickname)
    shown = await preview_taking_back(scene.settings, LAST_YEAR, scene.services)
    assert "somebody renamed it since" in shown.classes[0].note
    await scene.take_back(LAST_YEAR)
    assert group.name.display_name == "Our art"


async def test_what_is_taken_back_before_it_is_carried_out_changes_nothing(scene: Scene) -> None:
    group = await scene.group(ART_KEY)
    name, members = group.name, set(group.members)
    await end_year(await scene.request_end(ALL_OF_IT), scene.services)
    (late, _) = scene.outbox.changes
    scene.outbox.changes = []
    await scene.take_back(LAST_YEAR)
    assert await scene.apply(late) == AlreadySo()
    assert (group.name, group.members) == (name, members)


async def test_an_undo_gives_the_pupils_back_and_leaves_the_name_and_the_year_end(scene: Scene) -> None:
    run = await scene.end(ALL_OF_IT)
    undone = await scene.undo(run.id)
    assert any("classes whose year that run ended, or took back: 2 — only" in note for note in undone.notes)
    group, row = await scene.group(ART_KEY), await scene.row(ART_KEY)
    assert group.members == entra_ids([*PUPILS, "main"])
    assert (row.state, row.desired.retired) == (ClassState.PINNED, True)
    assert group.name.display_name.endswith(" (2025/26)")
    await scene.release(ART_KEY)
    row = await scene.row(ART_KEY)
    assert (row.state, row.desired.retired) == (ClassState.ENDED, True)
    assert group.members == entra_ids([*PUPILS, "main"])


async def test_a_class_is_reported_once_the_day_until_which_it_is_kept_is_over(scene: Scene) -> None:
    await scene.end(ALL_OF_IT)
    assert (await scene.night()).expired == ()
    scene.clock.advance(timedelta(days=800))
    run = await scene.night()
    assert run.expired == (ART_KEY, MUSIC_KEY)
    assert not (await scene.group(ART_KEY)).deleted


@pytest.mark.parametrize(
    ("state", "use", "archives"),
    [
        (TeamState.LOCKED, "its team was never activated", True),
        (TeamState.OPEN, "its team is activated; whether anybody uses it is not known", True),
        (TeamState.ASKED, "a team was requested, and Teams has not shown it yet", True),
        (TeamState.ARCHIVED, "its team is archived", False),
        (TeamState.GONE, "its team was deleted by hand; whether anybody used it is not known", False),
    ],
)
async def test_a_team_is_archived_and_what_is_known_of_it_is_said(
    scene: Scene, state: TeamState, use: str, archives: bool
) -> None:
    await scene.give_team(ART_KEY, ActualTeam(state=state))
    order = YearEndOrder(YearEndFilter(classes=("10x/art",)))
    shown = (await preview_year_end(scene.settings, order, scene.services)).classes[0]
    assert (shown.use, shown.archives) == (use, archives)
    await end_year(await scene.request_end(order), scene.services)
    kinds = [type(change) for change in scene.outbox.changes]
    assert kinds == [ChangeForYearEnd, *[ChangeTeam] * archives]
    wanted = (await scene.row(ART_KEY)).desired
    assert wanted.team is (DesiredTeam.ARCHIVED if archives else DesiredTeam.NONE)


async def test_a_team_that_was_archived_is_used_again_when_it_is_taken_back(scene: Scene) -> None:
    await scene.give_team(ART_KEY, ActualTeam(state=TeamState.OPEN))
    await scene.end(YearEndOrder(LAST_YEAR))
    assert (await preview_taking_back(scene.settings, LAST_YEAR, scene.services)).classes[0].archives
    await scene.take_back(LAST_YEAR)
    assert (await scene.row(ART_KEY)).desired.team is DesiredTeam.OPEN


async def test_a_team_is_left_if_the_admin_chooses_that(scene: Scene) -> None:
    await scene.give_team(ART_KEY, ActualTeam(state=TeamState.OPEN))
    await scene.end(YearEndOrder(LAST_YEAR, YearEndChoice(team=TeamChoice.LEAVE)))
    wanted = (await scene.row(ART_KEY)).desired
    assert (wanted.team, wanted.retired) == (DesiredTeam.NONE, True)


FILTERS = [
    (YearEndFilter(), [ART_KEY, MUSIC_KEY, MATHS_KEY]),
    (YearEndFilter(years=(2026,)), [MATHS_KEY]),
    (YearEndFilter(states=(YearState.LIVE,)), [MATHS_KEY]),
    (YearEndFilter(states=(YearState.ENDED,)), [ART_KEY, MUSIC_KEY]),
    (YearEndFilter(name="MUSIC"), [MUSIC_KEY]),
    (YearEndFilter(classes=(ART_KEY, "10X/Music")), [ART_KEY, MUSIC_KEY]),
    (YearEndFilter(never_used=True), [MUSIC_KEY, MATHS_KEY]),
]


@pytest.mark.parametrize(("filter_", "keys"), FILTERS, ids=lambda value: str(value)[:60])
async def test_a_filter_chooses_classes(scene: Scene, filter_: YearEndFilter, keys: list[str]) -> None:
    await scene.give_team(ART_KEY, ActualTeam(state=TeamState.OPEN))
    shown = await preview_year_end(scene.settings, YearEndOrder(filter_), scene.services)
    assert [each.key for each in shown.classes] == keys


async def test_a_class_that_does_not_exist_and_a_missing_suffix_are_refused(scene: Scene) -> None:
    with pytest.raises(Unreadable, match="number 2"):
        order = YearEndOrder(YearEndFilter(classes=(ART_KEY, "amy smith")))
        await preview_year_end(scene.settings, order, scene.services)
    with pytest.raises(Unreadable, match="has no suffix"):
        order = YearEndOrder(choice=YearEndChoice(rename=NameChoice.SUFFIX, suffix=" "))
        await preview_year_end(scene.settings, order, scene.services)


async def test_a_class_is_not_ended_twice_and_its_own_suffix_is_not_repeated(scene: Scene) -> None:
    await scene.end(YearEndOrder(LAST_YEAR, YearEndChoice(rename=NameChoice.SUFFIX, suffix="old")))
    again = await preview_year_end(scene.settings, YearEndOrder(LAST_YEAR), scene.services)
    assert (again.digest, [each.refused[:27] for each in again.classes]) == ("", ["its year has ended already "] * 2)
    group = await scene.group(ART_KEY)
    assert group.name.display_name.endswith(" old")
    await scene.take_back(LAST_YEAR)
    scene.tenant.hand_rename(group.id, "Art old", group.name.mail_nickname)
    order = YearEndOrder(LAST_YEAR, YearEndChoice(rename=NameChoice.SUFFIX, suffix="old"))
    assert (await preview_year_end(scene.settings, order, scene.services)).classes[0].new_name == ""


async def test_a_school_whose_year_starts_in_january_keeps_classes_to_the_end_of_december(scene: Scene) -> None:
    scene.chosen = {"year_starts_in": 1}
    shown = await preview_year_end(scene.settings, ALL_OF_IT, scene.services)
    assert shown.classes[0].kept_until == date(2027, 12, 31)


async def test_a_reversal_of_what_was_not_carried_out_adds_nobody_who_was_never_in_the_class(scene: Scene) -> None:
    row = await scene.row(ART_KEY)
    assert row.actual and row.actual.members
    never = entra_ids(["eve"])
    await scene.state.write_actual(replace(row, actual=replace(row.actual, members=row.actual.members - never)))
    (await scene.group(ART_KEY)).members -= never
    shown = await preview_year_end(scene.settings, ALL_OF_IT, scene.services)
    await scene.state.write_desired(SCHOOL.id, shown.writes)
    await scene.take_back(LAST_YEAR)
    await scene.night()
    assert (await scene.group(ART_KEY)).members & entra_ids(PUPILS) == entra_ids(PUPILS) - never


async def test_a_year_does_not_end_again_before_its_reversal_is_carried_out(scene: Scene) -> None:
    """Otherwise nobody would know which pupils the first of them removed."""
    await scene.end(ALL_OF_IT)
    shown = await preview_taking_back(scene.settings, LAST_YEAR, scene.services)
    await scene.state.write_desired(SCHOOL.id, shown.writes)
    again = await preview_year_end(scene.settings, ALL_OF_IT, scene.services)
    assert again.digest == ""
    assert {each.refused for each in again.classes} == {
        "its year end was taken back a moment ago, which is not carried out yet — wait until the next night"
    }
    await scene.night()
    assert (await preview_year_end(scene.settings, ALL_OF_IT, scene.services)).digest
