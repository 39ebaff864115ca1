"""What a sync would do, told before it does it: to read, and as data. Entra and MIS person ids only, never a name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sync_core.domain.runs import Hold, RunOutcome, RunRecord
from sync_core.planning.diff import ClassDiff
from sync_core.planning.school_plan import SchoolPlan


@dataclass(frozen=True, slots=True)
class Preview:
    """The whole plan of a school at one moment; `lines` say the same for a person to read.

    `outcome` is what the run would come to. Of people, MIS person ids; `gone` and `ended` are class keys.
    """

    school: str
    at: datetime
    outcome: RunOutcome
    groups: int
    unchanged: int
    classes: tuple[ClassDiff, ...]
    holds: tuple[Hold, ...]
    gone: tuple[str, ...]
    ended: tuple[str, ...]
    people_without_account: tuple[str, ...]
    people_disabled: tuple[str, ...]
    people_ambiguous: tuple[str, ...]
    notes: tuple[str, ...]
    lines: tuple[str, ...]


def preview_of(planned: SchoolPlan | RunRecord) -> Preview:
    """`planned` is a run's record where nothing can be planned."""
    run = planned if isinstance(planned, RunRecord) else planned.run
    classes = () if isinstance(planned, RunRecord) else planned.plan.diffs
    return Preview(
        school=run.school,
        at=run.at,
        outcome=run.outcome,
        groups=run.groups,
        unchanged=run.unchanged,
        classes=classes,
        holds=() if isinstance(planned, RunRecord) else planned.holds,
        gone=run.gone,
        ended=run.ended,
        people_without_account=run.people_without_account,
        people_disabled=run.people_disabled,
        people_ambiguous=run.people_ambiguous,
        notes=run.notes,
        lines=tuple(_lines(run, classes)),
    )


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
