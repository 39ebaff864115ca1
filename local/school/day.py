"""A day at the school: pupils change sets, join and leave, teachers change, and a group is added."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from local.school.data import SchoolData, SchoolGroup, SchoolPerson, Staffing


@dataclass(frozen=True, slots=True)
class DayStory:
    """Counts of the changes of a day."""

    moved: int
    joined: int
    left: int
    teachers_changed: int
    new_groups: int


def next_day(data: SchoolData, seed: int = 1) -> tuple[SchoolData, DayStory]:
    """The school on the next evening, and the changes of the day."""
    rng = random.Random(seed)
    groups = {group.id: group for group in data.groups}
    sets = [group.id for group in data.groups if not group.homeroom]
    year_of = {pupil.id: pupil.year for pupil in data.pupils}
    moved = _move(rng, groups, sets, year_of, wanted=30)

    leavers = {pupil.id for pupil in rng.sample(data.pupils, 4)}
    joiners = [
        SchoolPerson(f"N{n:04}", "New", "Pupil", f"NPupil{n}", "", data.pupils[n * 50].year) for n in range(1, 6)
    ]
    for id_, group in groups.items():
        groups[id_] = replace(group, pupils=tuple(pupil for pupil in group.pupils if pupil not in leavers))
    for joiner in joiners:
        forms = [group for group in groups.values() if group.homeroom and year_of[group.pupils[0]] == joiner.year]
        groups[forms[0].id] = replace(forms[0], pupils=(*forms[0].pupils, joiner.id))

    for id_ in sets[20:22]:
        others = [teacher.id for teacher in data.staff if teacher.id not in {s.teacher for s in groups[id_].staff}]
        groups[id_] = replace(groups[id_], staff=(Staffing(rng.choice(others), True),))
    added = SchoolGroup(
        "C900", "10A/Ma1 extra", False, (Staffing(data.staff[0].id, True),), groups[sets[3]].pupils[:12]
    )
    groups[added.id] = added

    pupils = (*(pupil for pupil in data.pupils if pupil.id not in leavers), *joiners)
    story = DayStory(moved=moved, joined=len(joiners), left=len(leavers), teachers_changed=2, new_groups=1)
    return replace(data, pupils=pupils, groups=tuple(groups.values())), story


def _move(
    rng: random.Random, groups: dict[str, SchoolGroup], sets: list[str], year_of: dict[str, str], wanted: int
) -> int:
    """Move pupils from one set to another of their year. Returns how many were moved."""
    moved = 0
    for _ in range(wanted * 20):
        source, target = groups[rng.choice(sets)], groups[rng.choice(sets)]
        pupil = rng.choice(source.pupils)
        same_year = year_of[target.pupils[0]] == year_of[pupil]
        if source.id != target.id and same_year and pupil not in target.pupils and len(source.pupils) > 5:
            groups[source.id] = replace(source, pupils=tuple(one for one in source.pupils if one != pupil))
            groups[target.id] = replace(target, pupils=(*target.pupils, pupil))
            moved += 1
        if moved == wanted:
            break
    return moved
