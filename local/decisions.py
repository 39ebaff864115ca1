"""What an admin decides after the nights of the demonstration: on a wrong feed, a held change, and a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from local.demonstration import Demonstration, people_of
from local.school.data import SchoolData, SchoolGroup


def tell_of_decisions(demonstration: Demonstration, school: SchoolData) -> None:
    """After a night of `school` that was in step. One hold stays open, for who looks at the console next."""
    _reject_half(demonstration, school)
    approved, open_ = _first_sets(school)
    held = _hold(demonstration, school, approved, open_)
    _approve_and_undo(demonstration, school, held, approved)
    _explain(demonstration, school, held, open_)


def _reject_half(demonstration: Demonstration, school: SchoolData) -> None:
    kept = school.pupils[::2]
    ids = {pupil.id for pupil in kept}
    groups = tuple(_with_pupils(group, [pupil for pupil in group.pupils if pupil in ids]) for group in school.groups)
    before = demonstration.stats()["writes"]
    name = "a feed that lost half its pupils"
    report = demonstration.sync(name, replace(school, pupils=kept, groups=groups), people_of(school))
    untouched = demonstration.stats()["writes"] == before
    demonstration.expect(report.not_planned and untouched, f"{name} was not rejected, or something was written")
    _tell(demonstration, f"{name}: rejected, and nothing was changed.", *report.notes[1:])


def _hold(demonstration: Demonstration, school: SchoolData, *emptied: SchoolGroup) -> Mapping[str, Any]:
    """The hold of the classes of these groups, which lose all their pupils."""
    ids = {group.id for group in emptied}
    groups = tuple(_with_pupils(group, []) if group.id in ids else group for group in school.groups)
    titles = " and ".join(group.title for group in emptied)
    before = demonstration.stats()["writes"]
    report = demonstration.sync(titles, replace(school, groups=groups), people_of(school))
    untouched = demonstration.stats()["writes"] == before
    (result,) = report.schools
    demonstration.expect(result.classes.held == len(emptied) and untouched, f"{titles} were not held")
    hold: dict[str, Any] = next(
        hold for hold in demonstration.ask("GET", f"schools/{school.id}/holds") if hold["status"] == "open"
    )
    _tell(demonstration, f"the pupils of {titles} are gone from the MIS: both classes are held, and nobody left them.")
    return hold


def _approve_and_undo(
    demonstration: Demonstration, school: SchoolData, hold: Mapping[str, Any], group: SchoolGroup
) -> None:
    key = _key(hold, group)
    before = _members(demonstration, school, key)
    run = demonstration.act(f"schools/{school.id}/holds/{hold['digest']}/approve", {"classes": [key]})
    left = len(before - _members(demonstration, school, key))
    demonstration.expect(left == len(group.pupils), f"{left} of {len(group.pupils)} pupils left {group.title}")
    _tell(demonstration, f"an admin approves it for {group.title}: {left} pupils leave, and one class stays held.")
    demonstration.act(f"schools/{school.id}/runs/{run}/undo")
    back = _members(demonstration, school, key) == before
    demonstration.expect(back, f"the undo did not bring the pupils of {group.title} back")
    _tell(demonstration, f"the admin undoes that: {left} pupils are back, and {group.title} is pinned like that.")


def _explain(demonstration: Demonstration, school: SchoolData, hold: Mapping[str, Any], group: SchoolGroup) -> None:
    path = f"schools/{school.id}/classes/{_key(hold, group)}/explain"
    answer = demonstration.ask("POST", path, {"person": group.pupils[0]})
    demonstration.expect(
        answer["member"]["there"], f"a pupil of {group.title}, which is held, is not explained as in it"
    )
    _tell(demonstration, f"why is pupil {group.pupils[0]} in {group.title}?", *answer["lines"])


def _first_sets(school: SchoolData) -> tuple[SchoolGroup, SchoolGroup]:
    first, second, *_ = (group for group in school.groups if group.title.startswith("9") and not group.homeroom)
    return first, second


def _with_pupils(group: SchoolGroup, pupils: list[str]) -> SchoolGroup:
    return replace(group, pupils=tuple(pupils))


def _key(hold: Mapping[str, Any], group: SchoolGroup) -> str:
    """Of the class of this group, as the hold names it."""
    key: str = next(part["key"] for part in hold["classes"] if part["key"].endswith(f".{group.id}"))
    return key


def _members(demonstration: Demonstration, school: SchoolData, key: str) -> frozenset[str]:
    (class_,) = (each for each in demonstration.classes() if each["externalId"] == f"{school.id}|{key}")
    return frozenset(class_["members"])


def _tell(demonstration: Demonstration, headline: str, *lines: str) -> None:
    demonstration.console.print(headline[0].upper() + headline[1:], highlight=False)
    for line in lines:
        demonstration.console.print(f"  {line}", highlight=False)
