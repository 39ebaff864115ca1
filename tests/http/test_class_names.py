"""A class over the admin API by its key, or by a name that only it has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.domain.classes.desired import ClassName, DesiredClass
from sync_core.domain.ids import ClassKey, MisId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.naming.names import class_name
from tests.builders import SCHOOL, desired, synced, teaching
from tests.http.memory_api import HEAD, Api

YEAR = MisGroup(id=MisId("grade:7"), type=GroupType.YEAR, name="Year 7", academic_year=2026)
SET = teaching("T/1!", "2S/DT1")
REUSED = "2025.teaching.old~3A1"
"""The key of a class that was made last year, and is used again this year."""
S1 = f"schools/{SCHOOL.id}"


def wanted(group: MisGroup, key: str = "") -> DesiredClass:
    return replace(
        desired(key or class_key(group)),
        group_id=group.id,
        group_type=group.type,
        group_name=group.name,
        academic_year=group.academic_year,
        name=class_name(group, "1234567"),
    )


async def save(api: Api, *classes: DesiredClass) -> None:
    for each in classes:
        await api.state.write_desired(SCHOOL.id, [each])
        record = await api.state.class_record(SCHOOL.id, each.key)
        assert record
        await api.state.write_actual(replace(record, actual=synced(each).actual))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("2026.year.grade~3A7", "2026.year.grade~3A7"),
        ("Year 7", "2026.year.grade~3A7"),
        (" year  7 ", "2026.year.grade~3A7"),
        ("Year-7_Class [1234567][2026]", "2026.year.grade~3A7"),
        ("year-7.class.1234567.2026", "2026.year.grade~3A7"),
        ("2SDT1", "2026.teaching.T~2F1~21"),
        (REUSED, REUSED),
        ("Old", REUSED),
    ],
)
async def test_a_class_is_found_by_each_of_its_names(api: Api, name: str, key: str) -> None:
    old = teaching("old:1", "Old")
    await save(api, wanted(YEAR), wanted(SET), wanted(old, REUSED))
    assert (await api.answer("GET", f"{S1}/classes/{name}", caller=HEAD))["key"] == key
    assert (await api.call("POST", f"{S1}/classes/{name}/resync")).status_code == 202


async def test_a_class_that_was_renamed_in_microsoft_365_is_found_by_both_names(api: Api) -> None:
    await save(api, wanted(YEAR))
    record = await api.state.class_record(SCHOOL.id, class_key(YEAR))
    assert record
    assert record.actual
    renamed = replace(record.actual, name=ClassName("Sevens", "sevens"))
    await api.state.write_actual(replace(record, actual=renamed))
    for name in ("Sevens", "sevens", "Year 7", "year-7.class.1234567.2026"):
        assert (await api.answer("GET", f"{S1}/classes/{name}"))["key"] == class_key(YEAR)


async def test_a_name_of_two_classes_is_refused_with_their_keys(api: Api) -> None:
    last_year = replace(YEAR, academic_year=2025)
    await save(api, wanted(YEAR), wanted(last_year))
    detail = await api.refusal(409, "DELETE", f"{S1}/classes/Year 7")
    assert detail == (
        "school S1 has 2 classes with this name: 2025.year.grade~3A7, 2026.year.grade~3A7 — give one of these keys"
    )
    assert (await api.answer("GET", f"{S1}/classes/2025.year.grade~3A7"))["key"] == "2025.year.grade~3A7"


async def test_a_name_that_no_class_has_is_not_repeated(api: Api) -> None:
    await save(api, wanted(YEAR))
    detail = await api.refusal(404, "GET", f"{S1}/classes/Amy Pupil")
    assert detail == (
        "school S1 has no class or group with this name — "
        "list the school's classes or groups to see their names and keys"
    )


@pytest.mark.parametrize("name", ["2026.teaching.T~2F1~21", "2SDT1", "2sdt1"])
async def test_the_group_of_a_new_class_may_be_named_too(api: Api, name: str) -> None:
    api.mis.groups += [SET, teaching("T2", "Art")]
    response = await api.call("POST", f"{S1}/groups/{name}/class", {"required_until": "31/07/2027"})
    assert response.status_code == 202, response.text
    (request,) = (await api.state.class_requests(SCHOOL.id)).values()
    assert (request.key, str(request.required_until)) == (ClassKey("2026.teaching.T~2F1~21"), "2027-07-31")


async def test_a_name_of_two_groups_is_refused_with_their_keys(api: Api) -> None:
    api.mis.groups += [teaching("T1", "Art"), teaching("T2", "Art")]
    detail = await api.refusal(409, "POST", f"{S1}/groups/Art/class")
    assert "2 classes with this name: 2026.teaching.T1, 2026.teaching.T2" in detail
    assert await api.state.class_requests(SCHOOL.id) == {}


PLAIN = teaching("T/2!", "2SDT1")
"""A group whose name is that of SET without the slash."""


@pytest.mark.parametrize("name", ["2S/DT1", "2S%2FDT1", "2s/dt1", "2026.teaching.T~2F1~21"])
async def test_a_name_with_a_slash_is_found_by_the_lists(api: Api, name: str) -> None:
    """In a path, `2S/DT1` is no name, and `2SDT1` is that of two."""
    await save(api, wanted(YEAR), wanted(SET), wanted(PLAIN))
    api.mis.groups += [SET, PLAIN]
    for found in ("classes", "groups"):
        (listed,) = await api.answer("GET", f"{S1}/{found}?name={name}", caller=HEAD)
        assert (listed["key"], listed["name"]) == {
            "classes": (class_key(SET), wanted(SET).name.display_name),
            "groups": (class_key(SET), SET.name),
        }[found]
    assert len(await api.answer("GET", f"{S1}/classes")) == 3
    assert len(await api.answer("GET", f"{S1}/groups")) == 3


@pytest.mark.parametrize("listed", ["classes", "groups"])
async def test_a_list_refuses_a_name_of_none_or_several_like_a_path(api: Api, listed: str) -> None:
    await save(api, wanted(SET), wanted(PLAIN))
    api.mis.groups += [SET, PLAIN]
    several = await api.refusal(409, "GET", f"{S1}/{listed}?name=2SDT1")
    assert several == (
        "school S1 has 2 classes with this name: 2026.teaching.T~2F1~21, 2026.teaching.T~2F2~21 — "
        "give one of these keys"
    )
    detail = await api.refusal(404, "GET", f"{S1}/{listed}?name=Amy/Pupil")
    assert detail.startswith("school S1 has no class or group with this name — list the school's classes or groups")
    assert "2026.teaching.NONE" in await api.refusal(404, "GET", f"{S1}/{listed}?name=2026.teaching.NONE")
    await api.refusal(422, "GET", f"{S1}/{listed}?name=")
    assert (await api.call("GET", "schools/S9/classes?name=2SDT1", caller=HEAD)).status_code == 403


@pytest.mark.parametrize("school", ["a$b", "a!b", "a'b", "a b", "a;b", "a&b", "a`b", "a*b"])
async def test_an_id_of_a_school_that_a_shell_would_change_is_refused(api: Api, school: str) -> None:
    response = await api.call("GET", f"schools/{school}")
    assert response.status_code == 422
    assert response.json()["what"] == "path.school: has characters that are not allowed here"
