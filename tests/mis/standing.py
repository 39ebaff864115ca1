"""What stands of a school whose feed has bad records: everything that is not in doubt."""

from __future__ import annotations

from sync_core.domain.ids import MisId
from sync_core.domain.roster import Doubt, GroupType, Snapshot

Pair = tuple[MisId, MisId]


def memberships(snapshot: Snapshot) -> set[Pair]:
    """Who is in which group, as group and person."""
    return {(group.id, person) for group in snapshot.groups for person in (*group.students, *group.teachers)}


def lost(whole: Snapshot, read: Snapshot) -> set[Pair]:
    """The memberships that the bad records cost. Nobody joined, and whoever is missing is in doubt."""
    assert memberships(read) <= memberships(whole)
    assert all(person in read.people for _, person in memberships(read))
    pairs = memberships(whole) - memberships(read)
    years = {group.id for group in whole.groups if group.type is GroupType.YEAR}
    assert all(_in_doubt(read.doubt, pair, whole.people.keys() - read.people.keys(), years) for pair in pairs), pairs
    return pairs


def _in_doubt(doubt: Doubt, pair: Pair, absent: set[MisId], years: set[MisId]) -> bool:
    group, person = pair
    unnamed = MisId("")
    known = group in doubt.groups or (unnamed in doubt.groups and group not in years)
    known = known or (GroupType.YEAR in doubt.types and group in years)
    known = known or person in doubt.people or (unnamed in doubt.people and person in absent)
    return known or bool(doubt.memberships & {pair, (group, unnamed), (unnamed, person), (unnamed, unnamed)})


def doubt(text: str) -> Doubt:
    """Doubts as `group C1; person p1; member C1 p1; type year`. A question mark is an id that is not known."""
    groups: set[MisId] = set()
    people: set[MisId] = set()
    members: set[Pair] = set()
    types: set[GroupType] = set()
    for part in filter(None, text.split("; ")):
        kind, *named = part.split()
        ids = [MisId("" if id_ == "?" else id_) for id_ in named]
        match kind:
            case "group":
                groups.update(ids)
            case "person":
                people.update(ids)
            case "member":
                group, person = ids
                members.add((group, person))
            case "type":
                types.update(map(GroupType, named))
            case _:
                raise ValueError(part)
    return Doubt(frozenset(groups), frozenset(people), frozenset(members), frozenset(types))
