"""Who administers a school: the users and groups of its `access`, by Entra id, by UPN or by a group's name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sync_core.domain.school import ENTRA_ID, SchoolSettings
from sync_core.errors import UnknownSetting
from sync_core.graph.port import Tenant


async def resolve_access(names: Iterable[str], tenant: Tenant) -> tuple[str, ...]:
    """The Entra ids of `names`, each once. An id is taken as it is. Raises UnknownSetting naming every fault."""
    ids: list[str] = []
    faults: list[str] = []
    for place, name in enumerate(names):
        found = (name.lower(),) if re.match(ENTRA_ID.pattern, name) else await tenant.find_principals(name)
        if len(found) == 1:
            ids += found
        else:
            faults.append(f"access.{place}: {_fault(name, found)}")
    if faults:
        raise UnknownSetting(
            "; ".join(faults), "correct the name, or give the Entra id of the user or group; nothing was saved"
        )
    return tuple(dict.fromkeys(ids))


def access_taken_away(before: SchoolSettings, wanted: SchoolSettings) -> frozenset[str]:
    """The Entra ids that lose access."""
    return frozenset(before.access) - frozenset(wanted.access)


def _fault(name: str, found: tuple[str, ...]) -> str:
    """A group is named. A user principal name is not repeated, because it names a person."""
    who = "this user principal name" if "@" in name else f"the name {name}"
    if found:
        return f"{len(found)} users and groups in Microsoft 365 have {who}: {', '.join(sorted(found))}"
    return f"no user or group in Microsoft 365 has {who}"
