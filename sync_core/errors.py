"""The taxonomy of what can go wrong and of what a change can come to: each says what the edge does with it."""

from __future__ import annotations


class SyncError(Exception):
    """Base of our own errors: every message ends with the remedy."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} — {remedy}")
        self.message = message
        self.remedy = remedy


class Transient(SyncError):
    """Try again: 429 past the waiting budget, 5xx, network, replication lag, a storm of etag conflicts."""


class Malformed(SyncError):
    """A queue message that we cannot read or of a version we do not know: never guess, dead-letter it."""


class SnapshotRejected(SyncError):
    """The MIS feed is not to be trusted, so nothing is planned. `message` names file, line and column if it can."""


class UnknownSetting(SyncError):
    """A setting that is missing, unknown or out of range; every fault is named at once."""


class NotFound(SyncError):
    """An admin named a school, class, group or run that is not there."""


class Conflict(SyncError):
    """What an admin asks for cannot be done as things stand."""


class NotSignedIn(SyncError):
    """Nobody, or nobody who can be told from others, calls the admin API."""


class Forbidden(SyncError):
    """The caller lacks the app role, or is not bound to the school."""


class Unreadable(SyncError):
    """A webhook's body that says nothing we know, or says too much. Fields at fault, never their values."""


class TooLarge(SyncError):
    """A webhook's body is larger than any that is read."""


class Replayed(SyncError):
    """A webhook that was taken before came again."""


class EtagConflict(Exception):
    """The row changed since it was read: read again and go round."""


class GraphRefused(SyncError):
    """Graph's permanent no to one request."""

    def __init__(self, code: str, detail: str, remedy: str) -> None:
        super().__init__(f"Graph refused: {code}: {detail}", remedy)
        self.code = code
        self.detail = detail


class NicknameTaken(Exception):
    """A create met a group that holds the nickname already."""


class AlreadyThere(Exception):
    """One of the people to add is a member already, and Graph added none of them."""


class NotThere(Exception):
    """Graph answered 404: the class, or one of the people, is not there, or not visible yet."""
