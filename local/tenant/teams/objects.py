"""A team and its memberships, and their form in the journal."""

from __future__ import annotations

import base64
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Copy:
    """A change of the group that Teams takes over when it is `due`."""

    due: float
    collection: str
    person: str
    added: bool


@dataclass(slots=True)
class Team:
    """The team of the class `id`. `waiting` are pupils who are not in it until an owner activates it.

    `memberships` are the ids of the memberships by person, `owners` the persons among them who are owners.
    `hidden_until` is when people show who were added a moment ago. `archived_from` is when an archive, or the end of
    one, shows; `archived` is then its value. `used` is whether somebody of the team was active in the client.
    """

    id: str
    shown_from: float
    locked: bool = True
    archived: bool = False
    archived_from: float = 0.0
    memberships: dict[str, str] = field(default_factory=dict)
    owners: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    hidden_until: dict[str, float] = field(default_factory=dict)
    operation: str = ""
    used: bool = False

    def put(self, person: str, *, owner: bool) -> None:
        """Add a person, or give or take the ownership of one who is in the team."""
        self.memberships.setdefault(person, _membership_id())
        if owner != (person in self.owners):
            (self.owners.append if owner else self.owners.remove)(person)
        if person in self.waiting:
            self.waiting.remove(person)

    def wait(self, person: str) -> None:
        if person not in self.memberships and person not in self.waiting:
            self.waiting.append(person)

    def drop(self, person: str) -> None:
        self.memberships.pop(person, None)
        self.hidden_until.pop(person, None)
        for people in (self.owners, self.waiting):
            if person in people:
                people.remove(person)


def stored_team(team: Team) -> dict[str, Any]:
    return asdict(team)


def loaded_team(stored: dict[str, Any]) -> Team:
    return Team(**{**stored, "copies": [Copy(**copy) for copy in stored["copies"]]})


def _membership_id() -> str:
    """Opaque, as in Graph, and another one when the person is added again."""
    return base64.b64encode(f"{secrets.token_hex(18)}##{secrets.token_hex(16)}".encode()).decode()
