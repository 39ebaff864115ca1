"""The answers of Microsoft 365 that no source confirms, or that differ from tenant to tenant: each can be chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Literal, get_args, get_origin, get_type_hints


@dataclass(slots=True)
class Answers:
    """The chosen answers of one tenant. The service must be right with each value; the first is the default."""

    education_tenant: Annotated[Literal["yes", "no"], "Whether the tenant has the education API."] = "yes"
    class_visibility: Annotated[
        Literal["hidden", "public"], "The visibility of the group of a class: HiddenMembership or Public."
    ] = "hidden"
    hidden_members: Annotated[
        Literal["empty", "omitted", "forbidden"],
        "The members of a class without Member.Read.Hidden: an empty list, an answer without a list, or 403.",
    ] = "empty"
    delta_members: Annotated[
        Literal["told", "omitted"], "Whether groups/delta has the members of classes, with Member.Read.Hidden."
    ] = "told"
    patch_members: Annotated[
        Literal["accepted", "forbidden"],
        "PATCH of members with GroupMember.ReadWrite.All and without Group.ReadWrite.All.",
    ] = "accepted"
    patch_price: Annotated[
        Literal["one", "third"], "Resource units and writes of a PATCH of n members: 1, or n/3 rounded up."
    ] = "one"
    owners_price: Annotated[Literal["two", "one"], "Resource units of a list of owners."] = "two"
    delta_price: Annotated[Literal["five", "one"], "Resource units of a page of a delta."] = "five"
    nickname_of_deleted: Annotated[
        Literal["kept", "free"], "The mail nickname of a deleted group during its 30 days."
    ] = "kept"
    external_id_after_restore: Annotated[
        Literal["kept", "lost"], "The externalId of a class that was deleted and restored."
    ] = "kept"
    teacher_twice: Annotated[
        Literal["known-text", "other-text"], "The message of the 400 for a person who is a teacher already."
    ] = "known-text"
    teacher_not_member: Annotated[
        Literal["accepted", "added", "refused"],
        "A new teacher who is not a member: stays a non-member, becomes a member, or 400.",
    ] = "accepted"
    unlicensed_teacher: Annotated[
        Literal["accepted", "refused", "not-found"], "A new teacher without an education licence: 204, 400 or 404."
    ] = "accepted"
    unknown_member: Annotated[Literal["404", "400"], "A PATCH of members with an id that does not exist."] = "404"
    removal_of_stranger: Annotated[Literal["404", "400"], "The removal of a person who is not a member."] = "404"
    naming_policy: Annotated[
        Literal["none", "changes", "refuses"],
        "A group naming policy: adds its prefix to new names, or refuses those without.",
    ] = "none"
    delta_expiry: Annotated[
        Literal[
            "410-syncStateNotFound",
            "410-resyncRequired",
            "410-Gone",
            "400-Directory_ExpiredPageToken",
            "400-SyncStateNotFound",
            "404-SYNCSTATEINVALID",
        ],
        "Status and code for an expired link of a delta, also between two pages.",
    ] = "410-syncStateNotFound"
    first_delta: Annotated[
        Literal["present", "present-and-removed"], "The people of a group in a first delta; removed ones as @removed."
    ] = "present"
    delta_events: Annotated[
        Literal["last", "each"],
        "A person who was added and removed between two deltas: the last event, or each on a page of its own.",
    ] = "last"
    batch_envelope: Annotated[
        Literal["200", "424"], "The status of a $batch in which a request fails; its responses are complete."
    ] = "200"
    team_lock_told: Annotated[
        Literal["told", "omitted"], "Whether a team of v1.0 has isMembershipLimitedToOwners, which the beta documents."
    ] = "told"
    team_of_unlicensed_owners: Annotated[
        Literal["refused", "accepted"], "A team of a class whose owners all have no licence: 400, or it is made."
    ] = "refused"
    member_of_locked_team: Annotated[
        Literal["refused", "waits"], "A pupil who is added to a locked team: an error for the person, or they wait."
    ] = "refused"
    team_member_again: Annotated[
        Literal["accepted", "error"],
        "A person who is in the team already: no error, and an owner is made; or an error, and nothing changes.",
    ] = "accepted"
    team_people_shown: Annotated[
        Literal["at-once", "later"], "A person whom an app added to a team: in its list at once, or ten seconds later."
    ] = "at-once"
    team_writes_in_group: Annotated[
        Literal["at-once", "never"], "A change of people on the side of Teams: in the group at once, or never."
    ] = "at-once"
    archive_answer: Annotated[
        Literal["202", "404-though-done"], "An archive of a team: 202 and done later, or 404 and done."
    ] = "202"
    team_after_restore: Annotated[Literal["kept", "gone"], "The team of a class that was deleted and restored."] = (
        "kept"
    )
    retry_after: Annotated[
        Literal["given", "sometimes-missing"], "Retry-After of 429: always, or not in every second one."
    ] = "given"

    def choose(self, chosen: Mapping[str, str]) -> None:
        """Choose answers by the names of the table. Raises ValueError, and chooses none, if one is not in it."""
        for name, value in chosen.items():
            check(name, value)
        for name, value in chosen.items():
            setattr(self, name.replace("-", "_"), value)

    def chosen(self) -> dict[str, str]:
        return {choice.name: getattr(self, choice.name.replace("-", "_")) for choice in CHOICES}


@dataclass(frozen=True, slots=True)
class Choice:
    """A row of the table of answers; the first of `values` is the default."""

    name: str
    values: tuple[str, ...]
    meaning: str


def _choices() -> tuple[Choice, ...]:
    hints = get_type_hints(Answers, include_extras=True)
    rows = []
    for field in fields(Answers):
        hint = hints[field.name]
        assert get_origin(hint) is Annotated
        values, meaning = get_args(hint)
        rows.append(Choice(field.name.replace("_", "-"), get_args(values), meaning))
    return tuple(rows)


CHOICES = _choices()
"""The table of answers, in the order of `Answers`."""


def check(name: str, value: str) -> None:
    """Raises ValueError, with the names or values that exist, if the table has no such name or value."""
    choice = next((choice for choice in CHOICES if choice.name == name), None)
    if choice is None:
        raise ValueError(f"unknown answer {name}; the answers are {', '.join(choice.name for choice in CHOICES)}")
    if value not in choice.values:
        raise ValueError(f"{name} is {' or '.join(choice.values)}")
