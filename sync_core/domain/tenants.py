"""What the app learnt of a Microsoft 365 tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFacts:
    """`resynced_at`: when all classes were last compared with Graph.

    `delta_tells_members`: whether the groups delta reports the members of classes. Classes have hidden membership, and
    Microsoft does not document whether the delta tells hidden members to an app that may read them.
    """

    resynced_at: datetime | None = None
    delta_tells_members: bool = True
