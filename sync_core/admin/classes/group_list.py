"""The groups of a school in one list: as recorded at the last plan, or as the MIS has them now."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sync_core.admin.classes.groups import GroupState, read_groups
from sync_core.admin.classes.objections import ClassAction, ClassFacts, objection
from sync_core.domain.classes.record import ClassOutline, ClassState, outline_of
from sync_core.domain.ids import ClassKey
from sync_core.domain.roster import GroupType
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict
from sync_core.services import Services

NO_CLASS = "none"
"""The state to filter by for groups that have no class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedGroup:
    """A group with the facts of its class.

    `people` and `staff` are the students and the staff of the group in the MIS, or, as recorded, the members and the
    owners of its class.
    """

    name: str
    type: GroupType
    academic_year: int
    people: int
    staff: int
    facts: ClassFacts

    @property
    def key(self) -> ClassKey:
        return self.facts.key

    @property
    def record(self) -> ClassOutline | None:
        return self.facts.record

    @property
    def state(self) -> ClassState | None:
        return self.record.state if self.record else None

    def objection(self, action: ClassAction) -> Conflict | None:
        return objection(action, self.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFilter:
    """What to list: groups of a type, with a class in a state or NO_CLASS, with a part of a name. Empty is any."""

    type: str = ""
    state: str = ""
    name: str = ""

    def fits(self, group: ListedGroup) -> bool:
        state = group.state or NO_CLASS
        named = " ".join(self.name.casefold().split())
        return (
            self.type in ("", group.type)
            and self.state in ("", state)
            and named in " ".join(group.name.casefold().split())
        )


async def list_recorded(settings: SchoolSettings, services: Services) -> tuple[ListedGroup, ...]:
    """The groups that have a class, or had one, by type and name. Does not read the MIS."""
    outlines, pinned = await asyncio.gather(
        services.classes.class_outlines(settings.school), services.classes.pinned(settings.school)
    )
    return _sorted(
        ListedGroup(
            name=outline.group_name or outline.display_name,
            type=outline.group_type,
            academic_year=outline.academic_year,
            people=outline.members,
            staff=outline.owners,
            facts=ClassFacts(settings=settings, key=outline.key, record=outline, pinned=outline.key in pinned),
        )
        for outline in outlines
    )


async def list_in_mis(settings: SchoolSettings, services: Services) -> tuple[ListedGroup, ...]:
    """The groups as the MIS has them now, by type and name. Raises SnapshotRejected, Transient."""
    pinned = await services.classes.pinned(settings.school)
    return _sorted(_of_mis(state, settings, state.key in pinned) for state in await read_groups(settings, services))


async def list_chosen(
    settings: SchoolSettings, action: ClassAction, keys: Sequence[ClassKey], services: Services
) -> tuple[ListedGroup, ...]:
    """The groups with these keys, without those that are not there. Only to create classes, the MIS is read."""
    read = list_in_mis if action is ClassAction.CREATE else list_recorded
    chosen = frozenset(keys)
    return tuple(group for group in await read(settings, services) if group.key in chosen)


def _of_mis(state: GroupState, settings: SchoolSettings, pinned: bool) -> ListedGroup:
    group = state.group
    return ListedGroup(
        name=group.name,
        type=group.type,
        academic_year=group.academic_year,
        people=len(group.students),
        staff=len(group.teachers),
        facts=ClassFacts(
            settings=settings,
            key=state.key,
            record=outline_of(state.record),
            pinned=pinned,
            extracted=not state.not_extracted,
            made_from=state.made_from,
        ),
    )


def _sorted(groups: Iterable[ListedGroup]) -> tuple[ListedGroup, ...]:
    types = list(GroupType)
    return tuple(sorted(groups, key=lambda group: (types.index(group.type), in_reading_order(group.name), group.key)))


def in_reading_order(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts names as people do: 7A before 10A."""
    parts = re.findall(r"(\d{1,18})|(\D+)", name, re.ASCII)
    return tuple((int(number or 0), text.casefold()) for number, text in parts)
