"""The home of a school: what needs a person, counts, the chart of its nights, its runs, and its first checklist."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.classes.row_error import RowError
from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId
from sync_core.domain.permissions import PERMISSIONS, Grants
from sync_core.domain.roster import FeedStatistics, MatchRate
from sync_core.domain.runs import Cause, HeldClass, Hold, HoldKind, HoldStatus, RunOutcome, RunRecord
from sync_core.http.console.views.runs.nights import chart_of
from tests.builders import NOON, SCHOOL, desired, entra_id, settings, synced
from tests.http.console.memory_console import Console, text_of
from tests.http.memory_api import HEAD, Api

HOSTILE = "<script>alert('x')</script>"


def night(days_ago: int = 0, outcome: RunOutcome = RunOutcome.PLANNED, **values: object) -> RunRecord:
    run = RunRecord(
        school=SCHOOL.id,
        id=RunId(f"night{days_ago}"),
        cause=Cause.NIGHTLY,
        at=NOON - timedelta(hours=10, days=days_ago),
        outcome=outcome,
        whole=True,
    )
    return replace(run, **values)  # type: ignore[arg-type]


def keys(number: int) -> tuple[ClassKey, ...]:
    return tuple(ClassKey(f"K{each}") for each in range(number))


@pytest.fixture
def console(api: Api) -> Console:
    api.app = replace(api.app, settings=replace(api.app.settings, sync_schedule="0 0 2 * * *"))
    return Console(api)


async def add_class(console: Console, **values: object) -> None:
    record = replace(synced(desired("K1", ["amy"], ["main"])), **values)  # type: ignore[arg-type]
    await console.api.state.write_desired(SCHOOL.id, [record.desired])
    saved = await console.api.state.class_record(SCHOOL.id, record.key)
    assert saved
    await console.api.state.write_actual(replace(record, etag=saved.etag))


async def test_what_needs_a_person_comes_first_with_its_place(console: Console) -> None:
    await add_class(console, error=RowError("Denied", "no", "ask"))
    await console.api.state.write_run(
        night(
            1,
            people_without_account=(MisId("a"), MisId("b")),
            people_ambiguous=(MisId("c"),),
            ownerless=keys(1),
            pins_differ=keys(2),
        )
    )
    await console.api.state.write_run(night(outcome=RunOutcome.REJECTED, notes=(f"{HOSTILE} is torn",)))
    hold = Hold(
        digest="abc", kind=HoldKind.LEFT_GROUP, what="as runs say it", remedy="decide", classes=(),
        run=RunId("night1"), at=NOON - timedelta(days=1),
    )  # fmt: skip
    leaving = tuple(map(AccountId, ("amy", "ben", "cleo")))
    parts = [
        HeldClass(
            group_name=name, name="", key=ClassKey(name), what="", lost=3, students=5, digest=name, leaving=leaving
        )
        for name in ("10A", "10B")
    ]
    one, two = (replace(hold, digest=f"f{number}", classes=tuple(parts[:number])) for number in (1, 2))
    new = replace(two, digest="abc", kind=HoldKind.NEW_CLASSES)
    rejected = replace(one, digest="def", status=HoldStatus.REJECTED)
    await console.api.state.replace_holds(SCHOOL.id, (), (new, one, two, rejected))
    page = await console.read("/schools/S1")
    listed = re.findall(
        r'<li><a class="govuk-link" href="([^"]*)">([^<]*)</a>\.(?: <span class="app-detail">([^<]*)</span>)?', page
    )
    assert listed == [
        ("/schools/S1/approvals#abc", "2 classes would be made", "Held since yesterday 13:00."),
        ("/schools/S1/approvals#f1", "3 of 5 pupils would leave 10A", "Held since yesterday 13:00."),
        ("/schools/S1/approvals#f2", "3 pupils would leave 2 classes", "Held since yesterday 13:00."),
        ("/schools/S1/runs/night0", "The last feed was rejected, and no class was changed",
         "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; is torn"),
        ("/schools/S1/groups", "Microsoft 365 refused a change of 1 class", "Each class says why."),
        ("/schools/S1/people", "2 people in the MIS find no account in Microsoft 365", "No sync adds them to a class."),
        ("/schools/S1/people", "1 person in the MIS finds several accounts, or share one",
         "No sync adds them to a class, or removes them from one."),
        ("/schools/S1/settings", "1 class is to have no owner",
         "Name admins in the settings who own every class, or give teaching groups a teacher with an account."),
        ("/schools/S1/groups?state=pinned", "2 pinned classes differ from the MIS",
         "A pin stays until an admin releases it."),
    ]  # fmt: skip
    assert page.index("Needs you") < page.index("Counts") < page.index("30 nights") < page.index("Latest runs")
    assert "Approvals (3)" in text_of(page)


async def test_counts_are_in_words_and_of_people_with_accounts(console: Console) -> None:
    await add_class(console)
    await console.api.state.write_accepted_statistics(
        SCHOOL.id,
        FeedStatistics(
            dfe_code="1", academic_year=2026, groups=1, students=5, staff=1, enrolments=5, domain="", taken_at=NOON,
            students_matched=MatchRate(1040, 6), staff_matched=MatchRate(1, 0),
        ),
    )  # fmt: skip
    page = text_of(await console.read("/schools/S1"))
    assert (
        "Counts 1 class in Microsoft 365 1,034 of 1,040 pupils have an account "
        "1 of 1 member of staff has an account 03:00 tomorrow: the next night begins" in page
    )
    assert "Needs you" not in page
    assert "Until the first classes" not in page
    assert "No run in the last 30 days." in page


async def test_the_latest_runs_say_what_started_them_and_who(console: Console) -> None:
    await add_class(console)
    main = entra_id("main")
    for number in range(16):
        await console.api.state.write_run(night(number))
    asked = replace(night(), cause=Cause.ADMIN, requested_by=main, whole=False)
    await console.api.state.write_run(
        replace(asked, id=RunId("r1"), at=NOON, action="delete", class_key=ClassKey("K1"))
    )
    await console.api.state.write_run(
        replace(
            asked,
            id=RunId("r2"),
            at=NOON + timedelta(hours=1),
            outcome=RunOutcome.REQUESTED,
            requested_by=AccountId("gone"),
        )
    )
    page = await console.read("/schools/S1")
    rows = re.findall(
        r'<tr class="govuk-table__row">\s*<th scope="row".*?</tr>', page.partition("Latest runs")[2], re.DOTALL
    )
    name = (await console.api.tenant.display_names([main]))[main]
    assert len(rows) == 14
    assert text_of(rows[0]) == "today 14:00 Sync gone ● under way 0 0 0"
    assert text_of(rows[1]) == f"today 13:00 Delete class: K1_Class [1234567][2026] {name} ✔ planned 0 0 0"
    assert text_of(rows[2]) == "today 03:00 Night – ✔ planned 0 0 0"


async def test_a_new_school_has_a_checklist_until_its_first_classes(console: Console) -> None:
    console.api.tenant.granted = Grants(frozenset(permission.name for permission in PERMISSIONS[1:]))
    page = text_of(await console.read("/schools/S1"))
    steps = page.partition("Until the first classes")[2].partition("Latest runs")[0]
    assert "Save the settings ✔ Done" in steps
    assert "Grant the permissions in Microsoft 365 The app&#39;s" not in steps
    assert f"lacks {PERMISSIONS[0].name}" in steps
    assert (
        "Have a feed of the MIS accepted No plan has accepted one yet. Tonight shows what the MIS has. ○ To do" in steps
    )
    assert "Decide what is held ○ To do" in steps
    assert "Have the first classes made A night makes them, or Sync now. ○ To do" in steps
    await add_class(console)
    assert "Until the first classes" not in await console.read("/schools/S1")


async def test_the_home_shows_the_name_of_the_school_as_text(console: Console) -> None:
    await console.api.state.save_school(settings(name=HOSTILE, access=[HEAD]))
    page = await console.read("/schools/S1")
    assert HOSTILE not in page
    assert HOSTILE in text_of(page)


# --- the chart


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40), st.integers(0, 2000), st.integers(0, 2000), st.sampled_from(list(RunOutcome)[1:])
        ),
        max_size=40,
    )
)
def test_the_bars_stay_within_the_chart_and_on_one_scale(drawn: list[tuple[int, int, int, RunOutcome]]) -> None:
    runs = [night(days, outcome, changed=keys(changed), held=keys(held)) for days, changed, held, outcome in drawn]
    chart = chart_of(sorted(runs, key=lambda run: run.at), NOON)
    assert len(chart.nights) == 30
    assert [each.day for each in chart.nights] == sorted({each.day for each in chart.nights})
    for each in chart.nights:
        assert 0 <= each.rise <= chart.line
        assert 0 <= each.fall <= chart.height - chart.line
        assert 0 <= each.x <= chart.width - chart.bar
        assert (each.rise > 0, each.fall > 0) == (each.changed > 0, each.held > 0)
    bars = [(each.changed, each.rise) for each in chart.nights] + [(each.held, each.fall) for each in chart.nights]
    assert [height for _, height in sorted(bars)] == sorted(height for _, height in bars)


def test_the_summary_stands_for_the_picture() -> None:
    quiet = chart_of([night(2, changed=keys(3)), night(1)], NOON)
    assert quiet.summary == (
        "Nights on 2 of 30 days; at most 3 classes changed on one; no class held; on each of these days a night made "
        "its plan."
    )
    bad = chart_of([night(2, held=keys(3)), night(1, RunOutcome.REJECTED)], NOON)
    assert bad.summary == (
        "Nights on 2 of 30 days; no class changed; classes held on 1 day; on 1 day no night made its plan, because of "
        "a fault or a pause."
    )
    second_try = chart_of([night(1, RunOutcome.REJECTED), night(1, changed=keys(1))], NOON)
    assert second_try.summary == (
        "Nights on 1 of 30 days; at most 1 class changed on one; no class held; on each of these days a night made "
        "its plan."
    )


def test_several_nights_of_a_day_are_added_up() -> None:
    first = night(1, changed=keys(3), held=keys(2), removals=4)
    again = night(1, changed=keys(2), held=keys(1), removals=1)
    failed = night(1, RunOutcome.REJECTED)
    day = chart_of([first, again, failed], NOON).nights[-2]
    assert (day.changed, day.held, day.removals, day.failed) == (5, 2, 5, False)
    assert day.sign == chart_of([again], NOON).nights[-2].sign
    assert chart_of([failed, failed], NOON).nights[-2].failed


async def test_the_chart_is_a_picture_without_style_attributes_and_a_table(console: Console) -> None:
    await add_class(console)
    await console.api.state.write_run(night(3, changed=keys(4), held=keys(1), removals=7))
    await console.api.state.write_run(night(2, RunOutcome.BLOCKED))
    await console.api.state.write_run(night(1))
    page = await console.read("/schools/S1")
    assert "style=" not in page
    svg = re.search(r"<svg.*?</svg>", page, re.DOTALL)
    assert svg
    picture = ElementTree.fromstring(svg[0])
    assert picture.attrib["role"] == "img"
    ids = picture.attrib["aria-labelledby"].split()
    assert all(f'id="{id_}"' in page for id_ in ids)
    assert [each.tag for each in picture if each.tag in ("rect", "path")] == ["rect", "rect", "path", "rect"]
    table = text_of(page.partition("The nights as a table")[2])
    assert "6 Sep ✔ planned 0 0 0 5 Sep ✖ permission missing 0 0 0 4 Sep ✔ planned 4 1 7 3 Sep no night – – –" in table
