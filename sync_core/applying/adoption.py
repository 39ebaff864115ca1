"""Takes a class that somebody made in Microsoft 365 for that of a row, as an admin approved, in place of a create."""

from __future__ import annotations

from dataclasses import replace

from sync_core.applying.attempt import Attempt
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.classes.record import ActualClass, ClassRecord
from sync_core.domain.ids import ClassId
from sync_core.errors import GraphRefused, NotThere
from sync_core.planning.naming.class_keys import is_made_by_hand

_AGAIN = "nothing was created; the next night proposes what it finds then, or makes a class"


async def adopt_class(record: ClassRecord, attempt: Attempt) -> ClassRecord:
    """Write the class on the row, unless it is gone or somebody else's by now. Nothing of it changes in Microsoft 365.

    The row is stale then: the next change reads the people, whom nobody knows yet. Raises EtagConflict, and
    GraphRefused for a class that cannot be taken.
    """
    class_id = record.desired.adopts
    try:
        shown = await attempt.tenant.shown_class(class_id)
    except NotThere:
        raise GraphRefused("TeamGone", f"class {class_id}, which was to be taken, is gone; {_AGAIN}", _REMEDY) from None
    if not is_made_by_hand(shown) or await _is_another_rows(class_id, record, attempt):
        message = f"class {class_id}, which was to be taken, is that of another product or of another group by now"
        raise GraphRefused("TeamTaken", f"{message}; {_AGAIN}", _REMEDY)
    name = ClassName(shown.display_name, shown.mail_nickname)
    actual = ActualClass(class_id=class_id, name=name, created_at=attempt.clock.now())
    attempt.note("adopted")
    return await attempt.write(
        replace(record, actual=actual, generation=record.desired.generation, stale=True, error=None)
    )


_REMEDY = "to have a class before that, sync the school now"


async def _is_another_rows(class_id: ClassId, record: ClassRecord, attempt: Attempt) -> bool:
    """Whether the class is that of another row in the tenant, was it before, or is to become it."""
    for settings in await attempt.schools.schools(attempt.tenant_id):
        for other in await attempt.classes.class_records(settings.school):
            if (other.school, other.key) == (record.school, record.key):
                continue
            if class_id in other.class_ids | {other.adopts}:
                return True
    return False
