"""What a sync would do, shown before it does it: as text and as data. Entra and MIS person ids only, never a name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from sync_core.domain.runs import Hold, RunOutcome, RunRecord
from sync_core.planning.diff import ClassDiff
from sync_core.planning.school_plan import SchoolPlan

OF_REAL_RUNS = frozenset({"id", "cause", "action", "requested_by"})
"""Fields of a run that say nothing in a preview."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The whole plan of a school at one moment. `run` is what it would come to; `lines` say all of it as text."""

    run: RunRecord
    classes: tuple[ClassDiff, ...]
    holds: tuple[Hold, ...]
    lines: tuple[str, ...]

    def as_data(self) -> dict[str, object]:
        """One flat mapping: the fields of the run, then the classes, holds and lines."""
        run = {field.name: getattr(self.run, field.name) for field in fields(RunRecord)}
        shown = {name: value for name, value in run.items() if name not in OF_REAL_RUNS}
        return {**shown, "classes": self.classes, "holds": self.holds, "lines": self.lines}


def preview_of(planned: SchoolPlan) -> Preview:
    classes = planned.plan.diffs
    return Preview(planned.run, classes, planned.holds, tuple(_lines(planned.run, classes)))


def _lines(run: RunRecord, classes: tuple[ClassDiff, ...]) -> Iterable[str]:
    if run.outcome is not RunOutcome.PLANNED:
        yield f"school {run.school}: {run.outcome}, nothing would be done"
    else:
        yield (
            f"school {run.school}: {run.groups} groups; classes: {len(run.created)} to make, {len(run.changed)} to "
            f"change, {run.unchanged} as they are, {len(run.held)} held, {len(run.ended)} ended, {len(run.gone)} gone"
        )
    for diff in classes:
        yield from _class_lines(diff)
    for note in run.notes:
        yield f"! {note}"
    for ids, what in (
        (run.people_without_account, "without an account"),
        (run.people_disabled, "whose account is disabled"),
        (run.people_ambiguous, "without an account of their own: who is in stays, who is not does not come"),
    ):
        if ids:
            yield f"! {len(ids)} people {what}, by MIS id: {' '.join(ids)}"


def _class_lines(diff: ClassDiff) -> Iterable[str]:
    if diff.delete:
        yield f"- {diff.key} ({diff.name}): deleted, as an admin said"
        return
    people = (
        ("owners", "+", diff.owners_granted),
        ("owners", "-", diff.owners_revoked),
        ("members", "+", diff.members_added),
        ("members", "-", diff.members_removed),
    )
    counts = ", ".join(f"{role} {sign}{len(ids)}" for role, sign, ids in people if ids)
    read = "what somebody changed in Microsoft 365 is put right" if diff.read else ""
    recalled = "a change that may be under way is called back" if diff.recalled else ""
    told = "; ".join(filter(None, (counts, read, recalled)))
    yield f"{'+' if diff.create else '~'} {diff.key} ({diff.name}): {told or 'nobody in it yet'}"
    if not diff.create:
        yield from (f"    {sign} {role[:-1]} {id_}" for role, sign, ids in people for id_ in sorted(ids))
