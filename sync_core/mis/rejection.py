"""The rejection of a feed that cannot be trusted, or at which a library fails: one school's trouble is its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sync_core.errors import ReadingFailed, SnapshotRejected, SyncError

CORRECT = "correct the export and deliver it again"


def rejection(message: str, remedy: str = CORRECT, shown: str = "") -> SnapshotRejected:
    """The rejection of a feed. It says that nothing was changed, which holds because a feed is read before any plan.

    `shown` is the message with values of the feed, for an admin who checks it.
    """
    return SnapshotRejected(message, f"nothing was changed; {remedy}", shown)


@contextmanager
def shielded() -> Iterator[None]:
    """Raises ReadingFailed in place of any error but our own. A cancellation passes."""
    try:
        yield
    except SyncError:
        raise
    except Exception as failure:
        raise ReadingFailed(failure) from None
