"""The digest of a plan: an admin applies exactly what they were shown."""

from __future__ import annotations

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.ids import ClassKey
from sync_core.planning.diff import ClassDiff
from sync_core.planning.limits.holds import digest_of
from sync_core.planning.planned import SchoolPlan


def plan_digest(planned: SchoolPlan) -> str:
    """Identifies what the plan changes in Microsoft 365, and the people whom it wants there; empty if nothing changes.

    What the plan only records is no part of it: holds, notes, and the groups that ended.
    """
    shown = list(_all_shown(planned).values())
    return digest_of(shown) if shown else ""


def class_digests(planned: SchoolPlan) -> dict[ClassKey, str]:
    """What identifies the part of the plan in each class that it changes: eight hexadecimal digits."""
    return {key: digest_of(shown)[:8] for key, shown in _all_shown(planned).items()}


def _all_shown(planned: SchoolPlan) -> dict[ClassKey, list[object]]:
    """By class, in order of key."""
    final = planned.final
    shown = {diff.key: _shown(diff, final[diff.key]) for diff in planned.plan.diffs}
    for team in planned.teams:
        if team.changes:
            shown.setdefault(team.key, [team.key]).extend(["team", team.create, team.open, team.unarchive])
    return dict(sorted(shown.items()))


def _shown(diff: ClassDiff, wanted: DesiredClass) -> list[object]:
    name = [wanted.name.display_name, wanted.name.mail_nickname, wanted.description] if diff.create else []
    effects = [diff.create, diff.delete, diff.read, diff.recalled, wanted.revoke]
    effects += [True] if diff.year_end else []
    moved = (diff.owners_granted, diff.owners_revoked, diff.members_added, diff.members_removed)
    return [diff.key, name, effects, *(sorted(people) for people in (*moved, wanted.owners, wanted.members))]
