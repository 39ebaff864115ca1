"""What of a plan is too destructive to run by itself: it is held, and the class stays as it is."""

from __future__ import annotations

from dataclasses import replace

from sync_core.model import DesiredClass


def hold_removals(now: DesiredClass, wanted: DesiredClass) -> DesiredClass | None:
    """`wanted` with its removals held back, if it would leave a class that has students without any; else None.

    Owners do not count as students: a class whose list comes back with the teacher alone has been blanked as well.
    """
    students = now.members - now.owners
    if not students or wanted.members - wanted.owners:
        return None
    return replace(wanted, members=wanted.members | students)
