"""Days in the life of a small school, each unlike the day before, and the facts that its snapshots share."""

from __future__ import annotations

import random
from dataclasses import replace

from local.school.data import SchoolData, SchoolGroup, SchoolPerson, Staffing
from sync_core.domain.roster import Snapshot


def mark_main(staff: tuple[Staffing, ...]) -> tuple[Staffing, ...]:
    """The first teacher is marked as the main one, because a delta does not show the order."""
    return tuple(Staffing(one.teacher, place == 0) for place, one in enumerate(staff))


def next_day(school: SchoolData, day: int) -> SchoolData:
    """The school a day later: one pupil left, one joined, some moved, one group ended, and one is new."""
    rng = random.Random(day)
    left, joined = rng.choice(school.pupils).id, SchoolPerson(f"N{day}", "New", "Pupil", f"new{day}", "", "7")
    stay = tuple(pupil for pupil in school.pupils if pupil.id != left)
    groups = [
        replace(
            group,
            pupils=tuple(pupil for pupil in group.pupils if pupil != left and rng.random() > 0.1)
            + ((joined.id,) if rng.random() < 0.2 else ()),
            staff=mark_main(group.staff[::-1] if rng.random() < 0.1 else group.staff),
        )
        for group in school.groups
        if rng.random() > 0.02
    ]
    new = SchoolGroup(f"NEW{day}", f"New {day}", False, school.groups[-1].staff, (joined.id, stay[0].id))
    return replace(school, pupils=(*stay, joined), groups=(*groups, new))


def comparable(snapshot: Snapshot) -> object:
    """The groups without the order of their people, except that the main teacher comes first."""
    groups = {
        group.id: (group.name, group.type, set(group.students), group.teachers[:1], set(group.teachers))
        for group in snapshot.groups
    }
    return groups, snapshot.people
