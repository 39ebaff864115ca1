"""One school's trouble is one school's: whatever is raised while its MIS is read is a rejection of its feed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sync_core.errors import ReadingFailed, SyncError


@contextmanager
def shielded() -> Iterator[None]:
    """Raises ReadingFailed in place of any error but our own. A cancellation passes."""
    try:
        yield
    except SyncError:
        raise
    except Exception as failure:
        raise ReadingFailed(failure) from None
