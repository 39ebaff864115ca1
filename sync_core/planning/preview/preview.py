"""A preview of a sync, as text and as data. It has Entra and MIS person ids only, never a person's name.

Only the list of people without an account, and why somebody goes, have the values that were looked for, for the admins
who read the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from sync_core.domain.classes.desired import DesiredClass, Reason
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId, AccountIds, ClassKey, MisId
from sync_core.domain.roster import LeftOut
from sync_core.domain.runs import Hold, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.planning.diff import ClassDiff
from sync_core.planning.explain.causes import Finding, Why
from sync_core.planning.explain.model import People, Subject
from sync_core.planning.explain.rules import rules_now
from sync_core.planning.explain.subject import matched_people, seeking_people
from sync_core.planning.matching.guard import NOT_MATCHED
from sync_core.planning.matching.unmatched import Unmatched, report_unmatched
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.preview.digest import plan_digest
from sync_core.planning.preview.foresight import Effects, Headcount, foresee, known_people
from sync_core.planning.run_notes import name_some

OF_REAL_RUNS = frozenset({"id", "cause", "action", "requested_by", "scheduled_for"})
"""Fields of a run that mean nothing in a preview."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassChange:
    """What a sync would do to one class. People are Entra ids.

    `group_name` is the name in the MIS, and `name` that of the class. `now` has the people of the class, None if it is
    not made yet, and `wanted` those of the rules within the limits. `seen`: `now` was read from Microsoft 365 for this
    preview. Otherwise it is as the last night found it, at `as_of`, and as the app has changed it since; None if there
    was no night within a week. `why` says, for each person who comes or goes, what the rules say, `causes` names that,
    and `reasons` has why the rules want the person in the class.
    `by_hand`: somebody changed the class, and the sync reverts that. `recalled`: a change that may be under way is
    reversed. `year_end`: what an admin decided at the end of its year is carried out, which was lost or is under way.
    """

    key: ClassKey
    group_name: str
    name: str
    create: bool
    delete: bool
    by_hand: bool
    recalled: bool
    year_end: bool
    owners_granted: AccountIds = frozenset()
    owners_revoked: AccountIds = frozenset()
    members_added: AccountIds = frozenset()
    members_removed: AccountIds = frozenset()
    why: Mapping[AccountId, str]
    causes: Mapping[AccountId, Why]
    reasons: Mapping[AccountId, Reason]
    now: Headcount | None
    wanted: Headcount
    seen: bool
    as_of: datetime | None

    @property
    def moment(self) -> str:
        """When `now` was so."""
        if self.seen:
            return "now"
        night = f"{self.as_of:%d %b %Y %H:%M} UTC" if self.as_of else ""
        return f"as of the night of {night} and the changes of the sync since" if night else "as recorded"


@dataclass(frozen=True, slots=True)
class Preview:
    """The whole plan of a school at one moment. `run` is the result of the plan; `lines` are the plan as text.

    `digest` identifies exactly these changes; it is empty if there are none.
    `unmatched` says of each person without an account what was looked for, and which accounts are nearest.
    `left_out_rows` are the first rows of the feed that could not be read.
    """

    run: RunRecord
    digest: str
    classes: tuple[ClassChange, ...]
    holds: tuple[Hold, ...]
    unmatched: tuple[Unmatched, ...]
    left_out_rows: tuple[LeftOut, ...]
    lines: tuple[str, ...]

    @property
    def leaving(self) -> frozenset[AccountId]:
        """Everybody who leaves a class, or is no longer its owner."""
        return frozenset().union(*(change.members_removed | change.owners_revoked for change in self.classes))

    @property
    def joining(self) -> frozenset[AccountId]:
        """Everybody who joins a class, or becomes its owner."""
        return frozenset().union(*(change.members_added | change.owners_granted for change in self.classes))

    def as_data(self) -> dict[str, object]:
        """The preview as one flat mapping: the fields of the run, then its own other fields."""
        run = {field.name: getattr(self.run, field.name) for field in fields(RunRecord)}
        shown = {name: value for name, value in run.items() if name not in OF_REAL_RUNS}
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "run"}
        return {**shown, **own}


def preview_of(planned: SchoolPlan, settings: SchoolSettings, seen: Mapping[ClassKey, People] | None = None) -> Preview:
    """`seen` are the people of classes as read from Microsoft 365; of other classes, those that the rows know count."""
    context = _Context(
        planned=planned,
        final=planned.final,
        settings=settings,
        accounts=frozenset(account.id for account in planned.ruled.matching.accounts) if planned.ruled else None,
        matched=matched_people(planned),
        seekers=seeking_people(planned, settings),
    )
    classes = tuple(_class_change(diff, (seen or {}).get(diff.key), context) for diff in planned.plan.diffs)
    matching = planned.ruled.matching if planned.ruled else NOT_MATCHED
    unmatched = report_unmatched(matching.tried, matching.accounts)
    rows = tuple(row for _, row in sorted(planned.left_out.rows.items())) if planned.left_out else ()
    lines = (*_lines(planned.run, classes, planned.open_holds), *(f"! left out: {row} — {row.remedy}" for row in rows))
    return Preview(planned.run, plan_digest(planned), classes, planned.holds, unmatched, rows, lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What all classes of a preview share: `accounts` are those that exist, None if they were not read.

    `final` are the classes as the plan leaves them, `matched` the MIS people of accounts, and `seekers` people who look
    for an account, matched or not.
    """

    planned: SchoolPlan
    final: Mapping[ClassKey, DesiredClass]
    settings: SchoolSettings
    accounts: frozenset[AccountId] | None
    matched: Mapping[AccountId, MisId]
    seekers: Mapping[AccountId, MisId]


def _class_change(diff: ClassDiff, seen: People | None, context: _Context) -> ClassChange:
    planned = context.planned
    record = planned.records.get(diff.key)
    wanted = context.final[diff.key]
    people = seen or known_people(diff, record)
    effects = Effects() if diff.delete else foresee(diff, record, wanted, people, context.accounts)
    moved = effects.owners_granted | effects.owners_revoked | effects.members_added | effects.members_removed
    findings = {person: _why(person, wanted, record, context) for person in sorted(moved)}
    return ClassChange(
        key=diff.key,
        group_name=wanted.group_name,
        name=diff.name,
        create=diff.create,
        delete=diff.delete,
        by_hand=diff.read,
        recalled=diff.recalled,
        year_end=bool(diff.year_end),
        owners_granted=effects.owners_granted,
        owners_revoked=effects.owners_revoked,
        members_added=effects.members_added,
        members_removed=effects.members_removed,
        why={person: finding.text for person, finding in findings.items()},
        causes={person: finding.why for person, finding in findings.items()},
        reasons={person: wanted.reasons[person] for person in sorted(moved & wanted.reasons.keys())},
        now=None if diff.create else Headcount.of(people.members, people.owners),
        wanted=Headcount.of(wanted.members, wanted.owners),
        seen=seen is not None,
        as_of=None if seen else planned.known_at,
    )


def _why(account: AccountId, wanted: DesiredClass, record: ClassRecord | None, context: _Context) -> Finding:
    """What the rules say about the person of an account: the one who is matched, was on record, or looks for it."""
    reason = wanted.reasons.get(account) or (record.desired.reasons.get(account) if record else None)
    recorded = reason.person if reason else None
    person = context.matched.get(account) or recorded or context.seekers.get(account, MisId(""))
    before = record.desired if record else wanted
    return rules_now(Subject(account, person), before, context.planned, context.settings)


# --- text


def _lines(run: RunRecord, classes: tuple[ClassChange, ...], holds: Iterable[Hold]) -> Iterable[str]:
    if run.outcome is not RunOutcome.PLANNED:
        yield f"school {run.school}: {run.outcome}, nothing would be done"
    else:
        partly = len({*run.created, *run.changed} & {*run.held})
        yield (
            f"school {run.school}: {run.groups} groups; classes: {len(run.created)} to create, {len(run.changed)} to "
            f"change{f' ({partly} of them held in part)' if partly else ''}, {run.unchanged} as they are, "
            f"{len(run.held) - partly} held, {len(run.ended)} ended, {len(run.gone)} gone"
        )
        if run.teams_made or run.teams_opened:
            yield f"teams: {len(run.teams_made)} to make, {len(run.teams_opened)} to activate"
    for change in classes:
        yield from _class_lines(change)
    if run.outcome is RunOutcome.PLANNED and run.waiting:
        yield f"! not in step after the sync ({'; '.join(run.waiting)})"
    for note in run.notes:
        yield f"! {note}"
    for hold in holds:
        yield from _hold_lines(hold)
    for ids, who in (
        (run.people_without_account, "people who find no account"),
        (run.people_disabled, "people whose account is disabled"),
    ):
        if ids:
            yield f"! {who} ({len(ids)}), by MIS id: {name_some(ids)}"


def _hold_lines(hold: Hold) -> Iterable[str]:
    yield f"! hold {hold.digest} ({hold.kind}), class by class:"
    for part in hold.classes:
        people = f"; by MIS id: {name_some(part.people)}" if part.people else ""
        yield f"    {_title(part.group_name, part.name, part.key)}: {part.what}{people}"


def _title(group_name: str, name: str, key: ClassKey) -> str:
    return f"{', '.join(filter(None, (group_name, name)))} ({key})"


def _class_lines(change: ClassChange) -> Iterable[str]:
    title = _title(change.group_name, change.name, change.key)
    if change.delete:
        yield f"- {title}: deleted, as an admin requested"
        return
    people = (
        ("owners", "+", change.owners_granted),
        ("owners", "-", change.owners_revoked),
        ("members", "+", change.members_added),
        ("members", "-", change.members_removed),
    )
    counts = ", ".join(f"{role} {sign}{len(ids)}" for role, sign, ids in people if ids)
    read = "changes by hand in Microsoft 365 are reverted" if change.by_hand else ""
    recalled = "a change that may be under way is reversed" if change.recalled else ""
    year_end = "its year end is carried out" if change.year_end else ""
    nobody = "nobody comes or goes" if change.now else "no members yet"
    summary = "; ".join(filter(None, (counts or nobody, read, recalled, year_end)))
    yield f"{'~' if change.now else '+'} {title}: {summary}"
    if change.now:
        yield f"    {change.moment}: {change.now.text}; wanted {change.wanted.text}"
        for role, sign, ids in people:
            yield from (f"    {sign} {role[:-1]} {id_}: {change.why[id_]}" for id_ in sorted(ids))
