"""What a class follows, its extra owners, and the owner rules of a school, over the admin API."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from sync_core.domain.classes.choices import ClassChoice, Follow, Grant
from sync_core.domain.classes.desired import Pin, Rule
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import RunId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import SyncSchool
from sync_core.sync.school import sync_school
from tests.builders import NOON, SCHOOL, entra_id, entra_ids, mis_ids, settings
from tests.http.memory_api import ALL_SCHOOLS, DEPUTY, HEAD, Api
from tests.http.test_undo_api import KEY, S1, add_night

CHOICE = f"{S1}/classes/{KEY}/choice"
COVER = {"account": entra_id("eve"), "until": "18/12/2026", "reason": "cover for a long illness"}
RULE = {"prefix": "ma", "account": entra_id("amy"), "until": None, "reason": "head of department"}


async def choose(api: Api, body: object, method: str = "PUT") -> ClassRecord:
    """Make the choice, sync as it requested, and return the class."""
    accepted = await api.call(method, CHOICE, body, caller=HEAD)
    assert accepted.status_code == 202, accepted.text
    run = await sync_school(
        SyncSchool(SCHOOL.id, RunId(accepted.json()["run"]), Cause.ADMIN, mis_ids("G1")), api.app.services
    )
    assert (run.requested_by, run.outcome) == (HEAD, "planned")
    return await row(api)


async def row(api: Api) -> ClassRecord:
    record = await api.state.class_record(SCHOOL.id, KEY)
    assert record
    return record


async def test_a_class_follows_the_mis_until_something_else_is_chosen(api: Api) -> None:
    await add_night(api)
    assert await api.answer("GET", CHOICE, caller=HEAD) == {"key": KEY, "follow": "mis", "goes_into": 0, "owners": []}
    assert (await api.call("GET", CHOICE, caller=DEPUTY)).status_code == 403
    assert (await api.call("GET", f"{S1}/classes/2026.teaching.NONE/choice")).status_code == 404


async def test_an_extra_owner_is_given_kept_and_taken_back(api: Api) -> None:
    await add_night(api)
    record = await choose(api, {"owners": [COVER]})
    assert record.desired.owners == entra_ids(["main", "eve"])
    assert record.desired.reasons[entra_id("eve")].rule is Rule.EXTRA_OWNER
    (listed,) = (await api.answer("GET", CHOICE))["owners"]
    assert listed == {
        "account": entra_id("eve"),
        "until": "2026-12-18",
        "reason": "cover for a long illness",
        "given_by": HEAD,
        "given_at": "2026-09-07T12:00:00Z",
        "rule": "",
        "over": False,
    }
    other = {"account": entra_id("amy"), "reason": "second teacher"}
    assert (await api.call("PUT", CHOICE, {"owners": [COVER, other]}, caller=ALL_SCHOOLS)).status_code == 202
    given = {owner["account"]: owner["given_by"] for owner in (await api.answer("GET", CHOICE))["owners"]}
    assert given == {entra_id("eve"): HEAD, entra_id("amy"): ALL_SCHOOLS}
    record = await choose(api, None, "DELETE")
    assert (record.desired.owners, record.desired.expired_owners) == (entra_ids(["main"]), entra_ids(["eve"]))
    assert (await api.state.choices(SCHOOL.id)).classes == {}


async def test_a_class_that_ended_stays_as_it_is_and_follows_again(api: Api) -> None:
    await add_night(api)
    before = (await row(api)).desired
    record = await choose(api, {"follow": "ended"})
    assert record.desired == replace(before, ended=True)
    assert (await api.answer("GET", CHOICE))["follow"] == "ended"
    assert not (await choose(api, {"follow": "mis"})).desired.ended


async def test_a_class_is_pinned_as_it_is_by_a_pin_and_released_by_any_other_choice(api: Api) -> None:
    await add_night(api)
    await choose(api, {"follow": "pinned", "owners": [COVER]})
    pin = (await api.state.pins(SCHOOL.id))[KEY]
    assert (pin.members, pin.owners, pin.undone) == (
        entra_ids(["ben", "cleo", "dora", "main"]),
        entra_ids(["main"]),
        "",
    )
    assert (await api.answer("GET", CHOICE))["follow"] == "pinned"
    await choose(api, {"follow": "pinned"})
    assert (await api.state.pins(SCHOOL.id))[KEY] == pin
    await choose(api, {"follow": "two_years"})
    assert await api.state.pins(SCHOOL.id) == {}


async def test_the_pin_of_an_undo_is_what_the_class_follows(api: Api) -> None:
    await add_night(api)
    await api.state.write_pins(
        SCHOOL.id,
        [Pin(key=KEY, members=frozenset(), owners=frozenset(), undone=RunId("night"), run=RunId("undo"))],
    )
    assert (await api.answer("GET", CHOICE))["follow"] == "pinned"


async def test_a_class_for_two_years_goes_into_the_next_year_once(api: Api) -> None:
    await add_night(api)
    await choose(api, {"follow": "two_years"})
    assert (await api.answer("GET", CHOICE))["goes_into"] == 2027
    record = await row(api)
    await api.state.write_desired(SCHOOL.id, [replace(record.desired, academic_year=2027)])
    assert await api.answer("GET", CHOICE) == {"key": KEY, "follow": "mis", "goes_into": 0, "owners": []}
    expected = ClassChoice(key=KEY, follow=Follow.TWO_YEARS, goes_into=2027)
    assert (await api.state.choices(SCHOOL.id)).classes == {KEY: expected}


async def test_what_cannot_be_chosen_is_refused_and_changes_nothing(api: Api) -> None:
    await add_night(api)
    wrong: list[tuple[int, Any, str]] = [
        (422, {"follow": "nothing"}, "follow"),
        (422, {"owners": [COVER, COVER]}, "twice"),
        (422, {"owners": [COVER | {"account": "amy@school.org"}]}, "Entra id"),
        (422, {"owners": [COVER | {"reason": ""}]}, "reason"),
        (422, {"owners": [COVER | {"reason": "two\nlines"}]}, "on one line"),
        (422, {"owners": [COVER | {"until": "31/02/2027"}]}, "no such day"),
        (422, {"owners": [COVER | {"name": "Eve"}]}, "name"),
        (409, {"owners": [COVER | {"until": "06/09/2026"}]}, "has passed already"),
    ]
    for status, body, part in wrong:
        assert part in await api.refusal(status, "PUT", CHOICE, body)
        assert (await api.state.choices(SCHOOL.id)).classes == {}
    await api.state.save_school(settings(enabled=False))
    assert "is paused" in await api.refusal(409, "PUT", CHOICE, {"follow": "ended"})


async def test_a_grant_that_is_over_may_stay_in_the_list(api: Api) -> None:
    await add_night(api)
    grant = Grant(until=date(2026, 9, 6), reason="cover", given_by=HEAD, given_at=NOON)
    await api.state.write_choice(SCHOOL.id, ClassChoice(key=KEY, owners={entra_id("eve"): grant}))
    (listed,) = (await api.answer("GET", CHOICE))["owners"]
    assert (listed["over"], listed["until"]) == (True, "2026-09-06")
    record = await choose(api, {"owners": [COVER | {"until": "2026-09-06", "reason": "cover"}]})
    assert record.desired.owners == entra_ids(["main"])
    assert (await api.state.choices(SCHOOL.id)).classes[KEY].owners == {entra_id("eve"): grant}


async def test_an_owner_rule_counts_from_the_next_sync(api: Api) -> None:
    await add_night(api)
    saved = await api.answer("PUT", f"{S1}/owner-rules/maths-head", RULE, caller=HEAD)
    assert (saved["id"], saved["prefix"], saved["grant"]["given_by"]) == ("maths-head", "ma", HEAD)
    assert await api.answer("GET", f"{S1}/owner-rules") == [saved]
    await sync_school(SyncSchool(SCHOOL.id, RunId("next"), Cause.NIGHTLY), api.app.services)
    assert entra_id("amy") in (await row(api)).desired.owners
    (listed,) = (await api.answer("GET", CHOICE))["owners"]
    assert (listed["rule"], listed["account"]) == ("maths-head", entra_id("amy"))
    unchanged = await api.answer("PUT", f"{S1}/owner-rules/maths-head", RULE, caller=ALL_SCHOOLS)
    assert unchanged == saved
    other = RULE | {"account": entra_id("eve")}
    assert (await api.answer("PUT", f"{S1}/owner-rules/maths-head", other))["grant"]["given_by"] == ALL_SCHOOLS
    assert (await api.call("DELETE", f"{S1}/owner-rules/maths-head", caller=HEAD)).status_code == 204
    assert await api.answer("GET", f"{S1}/owner-rules") == []
    assert "no owner rule" in await api.refusal(404, "DELETE", f"{S1}/owner-rules/maths-head")
    await sync_school(SyncSchool(SCHOOL.id, RunId("then"), Cause.NIGHTLY), api.app.services)
    assert (await row(api)).desired.expired_owners == entra_ids(["amy"])


async def test_an_explanation_says_who_gave_the_ownership_and_until_when(api: Api) -> None:
    await add_night(api)
    await choose(api, {"owners": [COVER]})
    explained = await api.answer("POST", f"{S1}/classes/{KEY}/explain", {"person": entra_id("eve")}, caller=HEAD)
    assert explained["rules"]["text"] == (
        f"the rules want them in it: they are an extra owner until 18 Dec 2026, given by admin {HEAD}"
    )
