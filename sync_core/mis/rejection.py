"""The rejection of a feed that cannot be trusted."""

from __future__ import annotations

from sync_core.errors import SnapshotRejected


def rejection(message: str, remedy: str = "correct the export and deliver it again") -> SnapshotRejected:
    """The rejection of a feed. It says that nothing was changed, which holds because a feed is read before any plan."""
    return SnapshotRejected(message, f"nothing was changed; {remedy}")
