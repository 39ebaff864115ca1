"""The turn of the year, as a plan of one day has it: what ends, goes on and begins, and who moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync_core.domain.ids import AccountIds, ClassKey, MisId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import RunOutcome
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.preview.preview import ClassChange, Preview
from sync_core.planning.year.duration import in_words, shortest_time, writes_to_add


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnClass:
    """One class at the turn of the year.

    `name` is its display name, and `address` its mail nickname, both as planned if it begins. `year` is its academic
    year before the turn, and `new_year` the one after it, the same if it does not change. `members` and `owners` count
    those who are wanted then. `joining` and `leaving` are people, as members or as owners: Entra ids.
    """

    key: ClassKey
    name: str
    address: str
    group_name: str
    group_type: GroupType
    year: int
    new_year: int
    members: int
    owners: int
    joining: AccountIds = frozenset()
    leaving: AccountIds = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The plan of a day. `digest` identifies exactly its changes, and is empty if there are none, or no plan.

    `made`: there is a plan; otherwise `notes` say why not. `ends` are the classes whose groups the MIS does not have
    then, which stay as they are. `goes_on` are those that get another academic year, and `begins` those that are made.
    `changes` are the other classes that people join or leave. `ownerless` are class keys, `held` of those classes that
    wait for an admin, and the `people_…` fields are MIS person ids. `leaving` counts the people who leave a class.
    `writes` are the requests to Microsoft Graph that change anything, at least. `what` says the totals in sentences.
    """

    made: bool
    digest: str
    what: tuple[str, ...]
    ends: tuple[TurnClass, ...]
    goes_on: tuple[TurnClass, ...]
    begins: tuple[TurnClass, ...]
    changes: tuple[TurnClass, ...]
    ownerless: tuple[ClassKey, ...]
    held: tuple[ClassKey, ...]
    people_without_account: tuple[MisId, ...]
    people_ambiguous: tuple[MisId, ...]
    leaving: int
    writes: int
    notes: tuple[str, ...]


def turn_of(planned: SchoolPlan, preview: Preview) -> Turn:
    """`preview` is that of the plan."""
    run = planned.run
    by_key = {change.key: change for change in preview.classes}
    wanted = planned.final
    newer = [key for key, each in wanted.items() if key in planned.records and _year(planned, key) < each.academic_year]
    goes_on = _classes(sorted(newer), planned, by_key)
    begins = _classes(run.created, planned, by_key)
    ends = _classes(run.ended, planned, by_key)
    others = sorted(by_key.keys() - {each.key for each in (*goes_on, *begins, *ends)})
    changes = tuple(each for each in _classes(others, planned, by_key) if each.joining or each.leaving)
    writes = sum(map(_writes, preview.classes))
    made = run.outcome is RunOutcome.PLANNED
    return Turn(
        made=made,
        digest=preview.digest,
        what=_totals(preview, ends, goes_on, begins, writes) if made else (),
        ends=ends,
        goes_on=goes_on,
        begins=begins,
        changes=changes,
        ownerless=run.ownerless,
        held=run.held,
        people_without_account=run.people_without_account,
        people_ambiguous=run.people_ambiguous,
        leaving=len(preview.leaving),
        writes=writes,
        notes=run.notes,
    )


def _totals(
    preview: Preview,
    ends: Sequence[TurnClass],
    goes_on: Sequence[TurnClass],
    begins: Sequence[TurnClass],
    writes: int,
) -> tuple[str, ...]:
    run = preview.run
    return (
        f"classes that end, and stay as they are: {len(ends)}",
        f"classes that go on in another year: {len(goes_on)}",
        f"classes that begin: {len(begins)}",
        f"people who join a class: {len(preview.joining)}; people who leave one: {len(preview.leaving)}",
        f"people who find no account: {len(run.people_without_account)}",
        f"classes without an owner: {len(run.ownerless)}",
        f"classes that wait for an admin: {len(run.held)}",
        f"writes to Microsoft Graph: {writes}, which take {in_words(shortest_time(writes))} at its limits",
    )


def _classes(
    keys: Sequence[ClassKey], planned: SchoolPlan, changes: dict[ClassKey, ClassChange]
) -> tuple[TurnClass, ...]:
    return tuple(_class(key, planned, changes.get(key)) for key in keys)


def _class(key: ClassKey, planned: SchoolPlan, change: ClassChange | None) -> TurnClass:
    wanted, record = planned.final[key], planned.records.get(key)
    name = record.actual.name if record and record.actual else wanted.name
    return TurnClass(
        key=key,
        name=name.display_name,
        address=name.mail_nickname,
        group_name=wanted.group_name,
        group_type=wanted.group_type,
        year=_year(planned, key) if record else wanted.academic_year,
        new_year=wanted.academic_year,
        members=len(wanted.members),
        owners=len(wanted.owners),
        joining=change.members_added | change.owners_granted if change else frozenset(),
        leaving=change.members_removed | change.owners_revoked if change else frozenset(),
    )


def _year(planned: SchoolPlan, key: ClassKey) -> int:
    return planned.records[key].desired.academic_year


def _writes(change: ClassChange) -> int:
    """The requests that change something: each owner and each removal is one, and people are added by twenty."""
    owners = len(change.owners_granted) + len(change.owners_revoked)
    # An owner who is granted becomes a member by that.
    members = writes_to_add(len(change.members_added - change.owners_granted))
    return change.create + change.delete + owners + members + len(change.members_removed)
