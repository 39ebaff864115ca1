"""What the page of a school's groups shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sync_core.admin.classes.group_list import NO_CLASS, GroupFilter, ListedGroup
from sync_core.admin.classes.objections import ClassAction
from sync_core.admin.overview.schools import Sign
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import ClassKey
from sync_core.domain.roster import GroupType
from sync_core.http.console.paging import Paged, page_of
from sync_core.http.console.views.classes import states

TYPES: Mapping[str, str] = {
    GroupType.YEAR: "Year",
    GroupType.REGISTRATION: "Registration",
    GroupType.TEACHING: "Teaching",
}
ACTIONS = {
    ClassAction.CREATE: "Create class",
    ClassAction.RESYNC: "Resync members",
    ClassAction.RESTORE: "Restore class",
    ClassAction.RELEASE: "Release pin",
    ClassAction.DELETE: "Delete class",
}
OF_SEVERAL = {
    ClassAction.CREATE: "Create classes",
    ClassAction.RESYNC: "Resync members",
    ClassAction.RESTORE: "Restore classes",
    ClassAction.RELEASE: "Release pins",
    ClassAction.DELETE: "Delete classes",
}
_EFFECTS = {
    ClassAction.CREATE: "Each class is made in Microsoft 365 with the members that the MIS gives its group.",
    ClassAction.RESYNC: "Each class is read from Microsoft 365 and made to match the MIS. Members who were added by "
    "hand leave it, unless they are owners.",
    ClassAction.RESTORE: "Microsoft 365 restores each class, and a sync brings its members up to date.",
    ClassAction.RELEASE: "Each class follows the MIS again. People whom the MIS does not list in its group leave it.",
    ClassAction.DELETE: "A class is deleted on its own page, which asks for its name.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """A group in the table. `has_class`: its page exists. `creatable`: its class can be created now."""

    key: ClassKey
    name: str
    type: str
    academic_year: int
    people: int
    staff: int
    sign: Sign
    has_class: bool
    creatable: bool


def group_row(group: ListedGroup) -> GroupRow:
    record = group.record
    without = states.NO_CLASS if group.facts.extracted else states.NOT_EXTRACTED
    return GroupRow(
        key=group.key,
        name=group.name,
        type=TYPES[group.type],
        academic_year=group.academic_year,
        people=group.people,
        staff=group.staff,
        sign=states.sign_of(record) if record else without,
        has_class=record is not None,
        creatable=group.objection(ClassAction.CREATE) is None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupList:
    """The table of groups: the rows of one page, and how many groups there are of each type before the filter."""

    rows: Paged[GroupRow]
    all: int
    by_type: Mapping[str, int]


def group_list(
    groups: Sequence[ListedGroup], chosen: GroupFilter, page: int, path: str, query: Mapping[str, str]
) -> GroupList:
    """`query` says where the groups are from; the addresses of other pages keep it, and the filter."""
    fitting = [group_row(group) for group in groups if chosen.fits(group)]
    kept = {**query, "type": chosen.type, "state": chosen.state, "name": chosen.name}
    return GroupList(
        rows=page_of(fitting, page, path, kept),
        all=len(groups),
        by_type={words: sum(group.type is type_ for group in groups) for type_, words in TYPES.items()},
    )


def state_choices(in_mis: bool) -> Mapping[str, str]:
    """The states to filter by. Only the MIS has groups that never had a class."""
    without = {NO_CLASS: "no class"} if in_mis else {}
    return {"": "any"} | without | {state.value: words for state, words in states.WORDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A class that an action is about: what it is called, its address if it is to be made, and why it is impossible."""

    key: ClassKey
    name: str
    address: str = ""
    why_not: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What an action does to the chosen classes, before it is confirmed."""

    action: ClassAction
    title: str
    effect: str
    possible: tuple[Chosen, ...]
    impossible: tuple[Chosen, ...]


def review(action: ClassAction, groups: Iterable[ListedGroup], names: Mapping[ClassKey, ClassName]) -> Review:
    """`names` are those of classes to create."""
    chosen = [_chosen(action, group, names.get(group.key)) for group in groups]
    possible = tuple(each for each in chosen if not each.why_not)
    words = ACTIONS if len(possible) == 1 else OF_SEVERAL
    return Review(
        action=action,
        title=words[action],
        effect=_EFFECTS[action],
        possible=possible,
        impossible=tuple(each for each in chosen if each.why_not),
    )


def _chosen(action: ClassAction, group: ListedGroup, name: ClassName | None) -> Chosen:
    refusal = group.objection(action)
    return Chosen(
        key=group.key,
        name=group.name,
        address=name.mail_nickname if name else "",
        why_not=refusal.message if refusal else "",
        remedy=refusal.remedy if refusal else "",
    )
