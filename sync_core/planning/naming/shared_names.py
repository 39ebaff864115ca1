"""Classes to create that have the name of a class of another product, such as School Data Sync, made from an MIS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import Records
from sync_core.domain.classes.tenant_groups import FROM_MIS, TenantClass
from sync_core.domain.ids import ClassKey
from sync_core.errors import SyncError, Transient
from sync_core.planning.naming.class_keys import is_own_external_id

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class SharedNames:
    """`keys` are those of the `created` classes that share a name; `others` are the classes of other products."""

    created: int
    keys: tuple[ClassKey, ...]
    others: tuple[TenantClass, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the other classes, as Microsoft 365 shows them."""
        return tuple(sorted({one.display_name for one in self.others}))


def find_shared_names(
    created: Sequence[DesiredClass], existing: Iterable[TenantClass], records: Records
) -> SharedNames:
    """Compare the classes to create with the `existing` ones of their tenant, given the rows of their school.

    Another product may name a class as this app does, or as the MIS names the group: School Data Sync takes the name of
    the section. Case and blanks at either end do not count.
    """
    own = {id_ for record in records.values() for id_ in record.class_ids}
    by_name: dict[str, list[TenantClass]] = defaultdict(list)
    for one in existing:
        if one.external_source == FROM_MIS and one.id not in own and not is_own_external_id(one.external_id):
            by_name[_folded(one.display_name)].append(one)
    keys: list[ClassKey] = []
    names: set[str] = set()
    for desired in created:
        shared = {_folded(desired.name.display_name), _folded(desired.group_name)} & by_name.keys() - {""}
        if shared:
            keys.append(desired.key)
            names |= shared
    others = tuple(one for name in sorted(names) for one in by_name[name])
    return SharedNames(len(created), tuple(keys), others)


def note_on_shared(shared: SharedNames, examples: Sequence[str]) -> str:
    more = len(examples) - _EXAMPLES
    listed = ", ".join(examples[:_EXAMPLES]) + (f" and {more} more" if more > 0 else "")
    return (
        f"{len(shared.keys)} of the {shared.created} classes to create share a name with {len(shared.others)} classes "
        "that are not of this app and come from an MIS (externalSource sis), as those of School Data Sync do: "
        f"{listed}; those stay as they are, so a group may then have two classes — compare the people in both, because "
        "another school or an earlier year may use the same name; if they are the same groups, let one product keep "
        "them: stop School Data Sync for this school, or leave their types out of types in the school's settings"
    )


def note_on_unknown(error: SyncError) -> str:
    """The note for classes that could not be listed; the remedy of a Transient is about messages, and not used."""
    remedy = "request a preview of the school to look again" if isinstance(error, Transient) else error.remedy
    return (
        f"the tenant's classes could not be listed ({error.message}), so it is not known whether another product, such "
        f"as School Data Sync, has classes with the names of those to create — {remedy}"
    )


def _folded(name: str) -> str:
    return name.strip().casefold()
