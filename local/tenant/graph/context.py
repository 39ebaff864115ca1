"""What every call of Graph is answered from: the request, the tenant's directory, and how the tenant behaves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.tenant import permissions
from local.tenant.answers import Answers
from local.tenant.directory.directory import Directory
from local.tenant.directory.objects import Group
from local.tenant.directory.refusals import bad_request, not_found
from local.tenant.teams.service import TeamsService

Entity = dict[str, Any]
# "Listings lag more" than reads of one group.
_LISTING_LAG = 2.0


@dataclass(frozen=True, slots=True)
class Request:
    """One call; `base` is the URL up to /v1.0, `path` the rest, and `roles` the permissions in the caller's token."""

    method: str
    path: str
    query: dict[str, str]
    body: Entity
    base: str
    roles: frozenset[str]

    @property
    def url(self) -> str:
        """The URL without its query."""
        return f"{self.base}{self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0: the work is done and the answer is lost. `note` is for the request log."""

    status: int
    body: Entity | None = None
    headers: dict[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(slots=True)
class DeltaHabits:
    """How difficult the delta is: objects on a page, people in one object of a group, events repeated each time."""

    objects_per_page: int = 100
    people_per_object: int = 1000
    replayed_events: int = 0


class Graph:
    """One tenant's Graph. A new class is not visible to reads and references for `lag` seconds, to lists for longer."""

    def __init__(self, directory: Directory, teams: TeamsService, answers: Answers, now: Callable[[], float]) -> None:
        self.directory = directory
        self.teams = teams
        self.answers = answers
        self.now = now
        self.lag = 0.0
        self.habits = DeltaHabits()
        self.forbidden_deletes = 0

    def visible(self, id_: str, *, only_classes: bool = False) -> Group:
        group = self.directory.group(id_)
        if self.now() < group.created_at + self.lag or (only_classes and not group.is_class):
            raise not_found(id_)
        return group

    def listed(self, *, only_classes: bool = False) -> list[Group]:
        return [
            group
            for group in self.directory.groups.values()
            if group.deleted_at is None
            and self.now() >= group.created_at + self.lag * _LISTING_LAG
            and (group.is_class or not only_classes)
        ]

    def has_hidden_members(self, group: Group) -> bool:
        return group.is_class and self.answers.class_visibility == "hidden"

    def shows_members(self, group: Group, roles: frozenset[str]) -> bool:
        return permissions.HIDDEN_MEMBERS in roles or not self.has_hidden_members(group)


Handler = Callable[[Graph, Request, "re.Match[str]"], Answer]
Route = tuple[str, str, Handler]
"""Method, pattern of the path, handler."""


def decode_body(raw: bytes) -> Entity:
    """The JSON object of a request. Raises Refusal if the body is anything else."""
    if not raw:
        return {}
    try:
        body: Any = json.loads(raw)
    except ValueError:
        raise bad_request("Unable to read JSON request payload.") from None
    if not isinstance(body, dict):
        raise bad_request("Unable to read JSON request payload.")
    return body
