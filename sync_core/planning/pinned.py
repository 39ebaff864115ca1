"""The classes that an admin pinned: as they were before a run that was undone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sync_core.domain.classes.desired import DesiredClass, Pin, Reason, Rule
from sync_core.domain.classes.record import Records
from sync_core.planning.extra_owners import ExtraOwners


def pinned_classes(pins: Iterable[Pin], records: Records, extra: ExtraOwners) -> tuple[DesiredClass, ...]:
    """The classes as their pins keep them, independent of the MIS, with their extra owners of today.

    Classes that are gone are left out. Nobody is in a class because of a grant that was over before.
    """
    classes: list[DesiredClass] = []
    for pin in sorted(pins, key=lambda pin: pin.key):
        record = records.get(pin.key)
        if record is None or record.gone:
            continue
        known = record.desired
        owners, members = pin.owners - known.expired_owners, (pin.members | pin.owners) - known.expired_owners
        reason = Reason(Rule.UNDONE, pin.undone) if pin.undone else Reason(Rule.PINNED, pin.run)
        reasons = {person: known.reasons.get(person, reason) for person in members}
        kept = replace(known, members=members, owners=owners, revoke=True, ended=False, pinned=True, reasons=reasons)
        classes.append(extra.applied(kept, known))
    return tuple(classes)
