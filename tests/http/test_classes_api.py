"""The people and the history of a class, the preview of a new one, and requests for several, over the admin API."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.runs import Cause
from tests.builders import NOON, SCHOOL, desired, entra_id, entra_ids, synced, teaching
from tests.fakes.memory_tenant import MemoryGroup
from tests.http.memory_api import DEPUTY, HEAD, Api

S1 = f"schools/{SCHOOL.id}"
MATHS, ART = "2026.teaching.G1", "2026.teaching.G2"


async def add_class(api: Api, key: str) -> MemoryGroup:
    wanted = desired(key, ["amy", "ben"], ["main"])
    await api.state.write_desired(SCHOOL.id, [wanted])
    record = await api.state.class_record(SCHOOL.id, wanted.key)
    actual = synced(wanted).actual
    assert record and actual
    await api.state.write_actual(replace(record, actual=actual))
    group = MemoryGroup(actual.class_id, actual.name, record.external_id, NOON, set(wanted.members), set(wanted.owners))
    api.tenant.groups[group.id] = group
    return group


async def test_people_are_those_who_are_wanted_and_those_who_are_there(api: Api) -> None:
    group = await add_class(api, MATHS)
    group.members -= entra_ids(["amy"])
    answer = await api.answer("GET", f"{S1}/classes/{MATHS}/people", caller=HEAD)
    assert (answer["found"], answer["shown"], answer["unread"]) == (True, True, "")
    assert [(person["account"], person["wanted"], person["there"], person["seen"]) for person in answer["people"]] == [
        (entra_id("amy"), "member", None, "missing"),
        (entra_id("main"), "owner", "owner", "same"),
        (entra_id("ben"), "member", "member", "same"),
    ]


async def test_people_of_a_class_that_microsoft_365_does_not_have(api: Api) -> None:
    (await add_class(api, MATHS)).deleted = True
    answer = await api.answer("GET", f"{S1}/classes/{MATHS}/people")
    assert (answer["found"], {person["seen"] for person in answer["people"]}) == (False, {"no_class"})


async def test_the_history_has_the_newest_change_first_and_pages(api: Api) -> None:
    await add_class(api, MATHS)
    for number in range(3):
        record = await api.state.class_record(SCHOOL.id, ClassKey(MATHS))
        assert record
        delta = AppliedDelta(
            run=RunId(f"run{number}"), cause=Cause.NIGHTLY, at=NOON + timedelta(days=number), created=True
        )
        await api.state.write_actual(record, delta)
    listed = await api.answer("GET", f"{S1}/classes/{MATHS}/history?limit=2")
    assert [change["run"] for change in listed] == ["run2", "run1"]
    rest = await api.answer("GET", f"{S1}/classes/{MATHS}/history?limit=2&offset=2")
    assert [change["run"] for change in rest] == ["run0"]
    assert (await api.call("GET", f"{S1}/classes/{ART}/history")).status_code == 404


async def test_a_new_class_is_previewed_with_its_address(api: Api) -> None:
    preview = await api.answer("POST", f"{S1}/groups/{MATHS}/class/plan", caller=HEAD)
    assert preview == {
        "key": MATHS,
        "display_name": "Maths_Class [1234567][2026]",
        "mail_nickname": "Maths.class.1234567.2026",
    }
    assert await api.state.class_requests(SCHOOL.id) == {}


async def test_several_classes_are_created_by_one_run(api: Api) -> None:
    api.mis.groups = [teaching("G1", "Maths"), teaching("G2", "Art")]
    body = {"action": "create", "classes": [MATHS, ART]}
    answer = await api.call("POST", f"{S1}/classes/requests", body, caller=HEAD)
    assert (answer.status_code, len(answer.json()["runs"])) == (202, 1)
    assert set(await api.state.class_requests(SCHOOL.id)) == {MATHS, ART}


async def test_if_one_class_is_refused_nothing_is_requested(api: Api) -> None:
    await add_class(api, MATHS)
    api.mis.groups = [teaching("G1", "Maths"), teaching("G2", "Art")]
    what = await api.refusal(409, "POST", f"{S1}/classes/requests", {"action": "create", "classes": [ART, MATHS]})
    assert what.startswith(f"group {MATHS} has a class already")
    assert await api.state.class_requests(SCHOOL.id) == {}


async def test_nobody_deletes_several_classes_or_those_of_another_school(api: Api) -> None:
    await add_class(api, MATHS)
    await api.refusal(422, "POST", f"{S1}/classes/requests", {"action": "delete", "classes": [MATHS]})
    await api.refusal(422, "POST", f"{S1}/classes/requests", {"action": "resync", "classes": []})
    await api.refusal(403, "POST", f"{S1}/classes/requests", {"action": "resync", "classes": [MATHS]}, caller=DEPUTY)
