"""A preview of a sync, as text and as data. It has Entra and MIS person ids only, never a person's name.

Only the list of people without an account has the values that were looked for, for the admins who read the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from sync_core.domain.runs import Hold, RunOutcome, RunRecord
from sync_core.planning.diff import ClassDiff
from sync_core.planning.matching.guard import NOT_MATCHED
from sync_core.planning.matching.unmatched import Unmatched, report_unmatched
from sync_core.planning.school_plan import SchoolPlan

OF_REAL_RUNS = frozenset({"id", "cause", "action", "requested_by"})
"""Fields of a run that mean nothing in a preview."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The whole plan of a school at one moment. `run` is the result of the plan; `lines` are the plan as text.

    `unmatched` says of each person without an account what was looked for, and which accounts are nearest.
    """

    run: RunRecord
    classes: tuple[ClassDiff, ...]
    holds: tuple[Hold, ...]
    unmatched: tuple[Unmatched, ...]
    lines: tuple[str, ...]

    def as_data(self) -> dict[str, object]:
        """The preview as one flat mapping: the fields of the run, then its own other fields."""
        run = {field.name: getattr(self.run, field.name) for field in fields(RunRecord)}
        shown = {name: value for name, value in run.items() if name not in OF_REAL_RUNS}
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "run"}
        return {**shown, **own}


def preview_of(planned: SchoolPlan) -> Preview:
    classes = planned.plan.diffs
    matching = planned.ruled.matching if planned.ruled else NOT_MATCHED
    unmatched = report_unmatched(matching.tried, matching.accounts)
    return Preview(planned.run, classes, planned.holds, unmatched, tuple(_lines(planned.run, classes)))


def _lines(run: RunRecord, classes: tuple[ClassDiff, ...]) -> Iterable[str]:
    if run.outcome is not RunOutcome.PLANNED:
        yield f"school {run.school}: {run.outcome}, nothing would be done"
    else:
        yield (
            f"school {run.school}: {run.groups} groups; classes: {len(run.created)} to create, {len(run.changed)} to "
            f"change, {run.unchanged} as they are, {len(run.held)} held, {len(run.ended)} ended, {len(run.gone)} gone"
        )
    for diff in classes:
        yield from _class_lines(diff)
    for note in run.notes:
        yield f"! {note}"
    for ids, problem in (
        (run.people_without_account, "without an account"),
        (run.people_disabled, "whose account is disabled"),
        (run.people_ambiguous, "with an ambiguous account: existing members stay, others are not added"),
    ):
        if ids:
            yield f"! {len(ids)} people {problem}, by MIS id: {' '.join(ids)}"


def _class_lines(diff: ClassDiff) -> Iterable[str]:
    if diff.delete:
        yield f"- {diff.key} ({diff.name}): deleted, as an admin requested"
        return
    people = (
        ("owners", "+", diff.owners_granted),
        ("owners", "-", diff.owners_revoked),
        ("members", "+", diff.members_added),
        ("members", "-", diff.members_removed),
    )
    counts = ", ".join(f"{role} {sign}{len(ids)}" for role, sign, ids in people if ids)
    read = "changes by hand in Microsoft 365 are reverted" if diff.read else ""
    recalled = "a change that may be under way is reversed" if diff.recalled else ""
    summary = "; ".join(filter(None, (counts, read, recalled)))
    yield f"{'+' if diff.create else '~'} {diff.key} ({diff.name}): {summary or 'no members yet'}"
    if not diff.create:
        yield from (f"    {sign} {role[:-1]} {id_}" for role, sign, ids in people for id_ in sorted(ids))
