"""The digest of a plan: an admin applies exactly what they were shown."""

from __future__ import annotations

from sync_core.domain.classes.desired import DesiredClass
from sync_core.planning.diff import ClassDiff
from sync_core.planning.limits.holds import digest_of
from sync_core.planning.planned import SchoolPlan


def plan_digest(planned: SchoolPlan) -> str:
    """Identifies what the plan changes in Microsoft 365, and the people whom it wants there; empty if nothing changes.

    What the plan only records is no part of it: holds, notes, and the groups that ended.
    """
    final = planned.final
    shown = [_shown(diff, final[diff.key]) for diff in sorted(planned.plan.diffs, key=lambda diff: diff.key)]
    teams = [[diff.key, diff.create, diff.open, diff.unarchive] for diff in planned.teams if diff.changes]
    shown += [["team", *team] for team in teams]
    return digest_of(shown) if shown else ""


def _shown(diff: ClassDiff, wanted: DesiredClass) -> list[object]:
    name = [wanted.name.display_name, wanted.name.mail_nickname, wanted.description] if diff.create else []
    effects = [diff.create, diff.delete, diff.read, diff.recalled, wanted.revoke]
    effects += [diff.year_end] if diff.year_end else []
    moved = (diff.owners_granted, diff.owners_revoked, diff.members_added, diff.members_removed)
    return [diff.key, name, effects, *(sorted(people) for people in (*moved, wanted.owners, wanted.members))]
