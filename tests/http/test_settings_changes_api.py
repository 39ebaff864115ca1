"""Who saved which settings of a school, over the admin API."""

from __future__ import annotations

from dataclasses import replace

from sync_core.domain.runs import Changed, SettingsChange, values_by_place
from sync_core.domain.school.limits import Limits
from tests.builders import NOON, SCHOOL, entra_id, settings
from tests.http.memory_api import ALL_SCHOOLS, DEPUTY, HEAD, Api

S1 = f"schools/{SCHOOL.id}"
CHANGES = f"{S1}/settings-changes"


async def test_each_save_is_listed_with_who_did_it_and_what_changed(api: Api) -> None:
    await api.answer("PATCH", S1, {"limits": {"turnover": 0.9}, "types": ["year"]}, caller=HEAD)
    await api.answer("POST", f"{S1}/pause", {"reason": "new MIS in May"})
    await api.answer("PATCH", S1, {"limits": {"turnover": 0.9}}, caller=HEAD)  # it is so already
    answer = await api.answer("GET", CHANGES, caller=HEAD)
    assert (answer["number"], answer["pages"], answer["total"]) == (1, 1, 2)
    assert [(each["by"], each["settings"]) for each in answer["changes"]] == [
        (
            ALL_SCHOOLS,
            {
                "enabled": {"before": "true", "after": "false"},
                "pause_reason": {"before": "", "after": "new MIS in May"},
            },
        ),
        (
            HEAD,
            {
                "limits.turnover": {"before": "0.8", "after": "0.9"},
                "types": {"before": "registration, teaching, year", "after": "year"},
            },
        ),
    ]


async def test_a_change_that_was_refused_is_not_listed(api: Api) -> None:
    await api.refusal(422, "PATCH", S1, {"limits": {"turnover": 2}})
    assert (await api.answer("GET", CHANGES))["changes"] == []


async def test_a_list_has_fifty_changes_on_a_page(api: Api) -> None:
    for number in range(60):
        await api.answer("PATCH", S1, {"name": f"Oak {number}"})
    answer = await api.answer("GET", f"{CHANGES}?page=2")
    assert (answer["pages"], answer["total"], len(answer["changes"])) == (2, 60, 10)
    assert answer["changes"][-1]["settings"] == {"name": {"before": "", "after": "Oak 0"}}


async def test_who_administers_another_school_learns_nothing(api: Api) -> None:
    await api.refusal(403, "GET", CHANGES, caller=DEPUTY)


def test_owners_are_counted_in_a_record_and_another_one_in_place_of_one_still_shows() -> None:
    before, after = settings(admin_owners=["head@oak.org"]), settings(admin_owners=["deputy@oak.org"])
    change = SettingsChange.between(before, after, entra_id("head"), NOON)
    assert change.settings == {"admin_owners": Changed("1", "1")}
    assert SettingsChange.between(before, before, entra_id("head"), NOON).settings == {}
    fewer = replace(before, admin_owners=())
    assert SettingsChange.between(before, fewer, entra_id("head"), NOON).settings == {"admin_owners": Changed("1", "0")}


def test_the_first_save_lists_what_is_not_empty() -> None:
    change = SettingsChange.between(None, settings(), entra_id("head"), NOON)
    assert change.settings["mis"] == Changed("", "other")
    assert change.settings["limits.turnover"] == Changed("", "0.8")
    assert "pause_reason" not in change.settings


def test_each_setting_has_its_place() -> None:
    values = values_by_place(settings(limits={"class_loss": 0.25}))
    assert values["limits.class_loss"] == "0.25"
    assert {f"limits.{name}" for name in Limits.__dataclass_fields__} <= values.keys()
    assert (values["source.kind"], values["source.path"], values["enabled"]) == ("folder", "feed", "true")
