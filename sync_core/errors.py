"""All our errors, as one tree. The edge reads from the class what becomes of the message or the request.

SyncError                  a message, and the remedy that fits it
├── Transient              try again: the message goes back to its queue, after a growing pause (HTTP 503)
│   ├── EtagConflict       a row changed since it was read
│   └── TeamNotReady       Teams does not know a class, or an owner of it, yet
└── Permanent              trying again changes nothing until somebody acts
    ├── Undeliverable      a queue message that no delivery can handle: it is dead-lettered at once
    │   ├── Malformed          it is not readable
    │   └── NotOnRecord        its run is on record as another request, or as none
    ├── SnapshotRejected   the MIS feed cannot be trusted: nothing is planned (409)
    │   └── ReadingFailed      reading the MIS ended in an error that nobody expected
    ├── PlanNotMade        a paused school, a rejected feed, unread accounts; it has the run (planning/school_plan)
    ├── TenantBlocked      the app gets no token, or lacks a permission, in the tenant; it has the runs (sync/nightly)
    ├── UnknownSetting     a setting that is missing, unknown or out of range (422; FaultySettings in admin)
    ├── AccessDenied       the app's identity lacks a role in Azure
    ├── RowRefused         a record that Table storage does not store: its run ends with the remedy
    │   └── RowTooLarge        a class that does not fit into Table storage
    ├── GraphRefused       a permanent refusal by Graph, recorded on the class
    │   ├── GraphDenied        the app has no token, or lacks a permission
    │   └── MembersHidden      Graph does not show the app who is in a class
    ├── NicknameTaken, AlreadyThere, NotThere, DeltaExpired   answers of Graph that the caller handles
    └── RequestError       an HTTP request that is not carried out
        ├── NotSignedIn (401), Forbidden (403), NotFound (404), TooLarge (413), Unreadable (422), TooManyCalls (429)
        └── Conflict (409; PlanDiffers, NotConfirmed in admin/holds), Replayed (409), PreconditionFailed (412)
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

LATER_GRANT = "a managed identity's token may take up to 24 hours to carry a later grant"
"""Azure caches the token of a managed identity for each resource ("Managed identity limitations")."""


LONGEST_LINE = 4000
"""The most characters of a message or a note: a table holds 32,000, and a property of Application Insights 8,192."""
LONGEST_SHOWN = 100
"""The most characters of an id within a message or a note."""


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """The text on one line: control characters are escaped, and the end is cut, with the count of what is left out."""
    line = text if text.isprintable() else "".join(map(_printable, text))
    if len(line) <= longest:
        return line
    kept = line[: longest - len(f"… ({len(line):,} more characters)")]
    return f"{kept}… ({len(line) - len(kept):,} more characters)"


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


class SyncError(Exception):
    """The base of our own errors: every text ends with the remedy. Both parts are one line each."""

    def __init__(self, message: str, remedy: str) -> None:
        self.message = one_line(message)
        self.remedy = one_line(remedy)
        super().__init__(f"{self.message} — {self.remedy}")


class Transient(SyncError):
    """Try again: 429 past the wait budget, 5xx, network, replication lag, too many etag conflicts."""


class EtagConflict(Transient):
    """The row changed since it was read: read it again and retry."""

    def __init__(self) -> None:
        super().__init__("a row changed while it was being written", "it is retried")


class TeamNotReady(Transient):
    """Teams cannot make the team of a class yet: it does not know the class, or none of the owners.

    It learns of a class within 15 minutes, and of an owner within two hours ("Create team", "Teams and groups").
    """


class Permanent(SyncError):
    """Trying again changes nothing until somebody acts on the remedy."""


class Undeliverable(Permanent):
    """A queue message that no delivery can handle, however long it waits."""


class Malformed(Undeliverable):
    """A queue message that cannot be read, or of an unknown version: never guess, dead-letter it."""


class NotOnRecord(Undeliverable):
    """A queue message whose run is not on record as its request: a message alone is nobody's request."""

    def __init__(self, run: str) -> None:
        super().__init__(
            f"the message asks for an action that is not on record as that of run {run}, so nothing was changed",
            "do not replay it: request the action over the admin API, and find out what else may send to the queue",
        )


class SnapshotRejected(Permanent):
    """The MIS feed is not to be trusted, so nothing is planned. `message` names file, line and column if it can.

    `shown` is the message with values of the feed, which help to mend it and may be anybody's name. Only the answer to
    an admin who checks a feed may have it.
    """

    def __init__(self, message: str, remedy: str, shown: str = "") -> None:
        super().__init__(message, remedy)
        self._shown = shown or message

    def for_admin(self) -> SnapshotRejected:
        """The same rejection with the values of the feed, for an answer, and never for a log or a table."""
        return SnapshotRejected(self._shown, self.remedy)


class ReadingFailed(SnapshotRejected):
    """Reading the MIS ended in an error that nobody expected, of a library or of this app: the feed is not trusted."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(f"the feed cannot be read: {unexpected(failure)}", _remedy_of(failure))


class UnknownSetting(Permanent):
    """A setting that is missing, unknown or out of range. Every fault is named at once."""


class AccessDenied(Permanent):
    """The app's identity lacks a role in Azure."""


class RowRefused(Permanent):
    """A record that Table storage does not store as it is."""


class RowTooLarge(RowRefused):
    """A class, or another record, that does not fit into a row or a transaction of Table storage."""


class GraphRefused(Permanent):
    """Graph's permanent no to one request. `detail` is Graph's text without values and names."""

    def __init__(self, code: str, detail: str, remedy: str) -> None:
        super().__init__(f"Graph refused: {code}: {detail}", remedy)
        self.code = code
        self.detail = detail


class GraphDenied(GraphRefused):
    """Graph denies the app, not the change: there is no token, or it lacks a permission or is older than the grant."""


class MembersHidden(GraphRefused):
    """Graph has people in a class whom it does not show to the app: they are not absent."""

    def __init__(self) -> None:
        super().__init__(
            "MembersHidden",
            "Graph does not show the app who is in the class",
            "grant the app's identity Member.Read.Hidden and GroupMember.Read.All, with admin consent "
            f"({LATER_GRANT}); if it has both, somebody changed the class a moment ago; the next sync tries again",
        )


class DeltaExpired(Permanent):
    """The link of a delta is too old, or Graph wants a new start: the delta is read from the beginning."""

    def __init__(self) -> None:
        super().__init__("a link of Graph's delta is no longer valid", "the delta is read from the beginning")


class NicknameTaken(Permanent):
    """A create met a group that has the nickname already."""

    def __init__(self) -> None:
        super().__init__("a group in Microsoft 365 has this mail nickname already", "another nickname is tried")


class AlreadyThere(Permanent):
    """One of the people to add is a member already, and Graph added none of them."""

    def __init__(self) -> None:
        super().__init__("one of the people is in the class already", "the class is read again")


class NotThere(Permanent):
    """Graph answered 404: the class, or one of the people, is not there, or not visible yet."""

    def __init__(self) -> None:
        super().__init__("Microsoft 365 does not have the class, or one of its people", "the class is read again")


class RequestError(Permanent):
    """An HTTP request that is not carried out."""


class NotFound(RequestError):
    """There is no such school, class, group or run."""


class Conflict(RequestError):
    """The request cannot be done as things stand."""


class PreconditionFailed(RequestError):
    """A change is based on settings that somebody has changed since."""


class NotSignedIn(RequestError):
    """The caller is not signed in, or a webhook is not signed."""


class Forbidden(RequestError):
    """The caller lacks the app role, or is not bound to the school."""


class Unreadable(RequestError):
    """A request body that is not understood. Names the fields at fault, never their values."""


class TooLarge(RequestError):
    """A request's body is larger than the limit."""


class TooManyCalls(RequestError):
    """One caller sends more requests than the limit."""


class Replayed(RequestError):
    """A webhook that was accepted before came again."""


def unexpected(failure: Exception) -> str:
    """A foreign exception by its type and its place, without its text, which may hold a name or an address."""
    frames = traceback.extract_tb(failure.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"unexpected {type(failure).__name__}{place}"


def _remedy_of(failure: Exception) -> str:
    match failure:
        case OSError() | MemoryError():
            return "nothing was changed; check the app's disk and memory, and have the MIS export less if they are full"
        case _:
            return "nothing was changed; have the MIS export again, and report this error if it stays"


_TOKEN = r"[^\s'\"<>()\[\],;:=|@]"
_ADDRESS = re.compile(rf"(?<!{_TOKEN}){_TOKEN}+?(?:@|[~%]40){_TOKEN}+")
"""Also as it is in the key of a class, or in a URL. A token is looked at once, however long it is."""
_UNKNOWN_MEMBER = ("extra_forbidden", "unexpected_keyword_argument")


def without_addresses(text: str) -> str:
    """The text for a log, a trace or a table: an id that is an e-mail address may be a pupil's."""
    return _ADDRESS.sub("(an address)", text)


def faults_of(errors: Iterable[Mapping[str, Any]]) -> str:
    """The faults in the `errors()` of pydantic with their places, for a log: no value, and no member that is unknown.

    A sender may use anything as the name of a member, and a value may be secret.
    """
    return faults_for_sender(map(_without_unknown, errors))


def faults_for_sender(errors: Iterable[Mapping[str, Any]]) -> str:
    """The same, for the answer to the admin who sent the body: it names the members that are unknown."""
    return "; ".join(map(_fault, errors))


def _without_unknown(fault: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**fault, "loc": (*fault["loc"][:-1], "(unknown)")} if fault["type"] in _UNKNOWN_MEMBER else fault


def _fault(fault: Mapping[str, Any]) -> str:
    place = ".".join(map(str, fault["loc"])) or "body"
    match fault["type"]:
        case "unexpected_keyword_argument":
            return f"{place}: Extra inputs are not permitted"
        case "union_tag_invalid":
            return f"{place}: {fault['ctx']['discriminator']} should be one of {fault['ctx']['expected_tags']}"
        case "value_error":
            return f"{place}: {fault['ctx']['error']}" if fault["loc"] else str(fault["ctx"]["error"])
        case "date_from_datetime_parsing" | "date_parsing" | "date_from_datetime_inexact" | "date_type":
            return f"{place}: should be a date, such as 31/07/2027 or 2027-07-31"
        case "union_tag_not_found":
            return f"{place}: {fault['ctx']['discriminator']} is missing"
        case "frozen_set_type" | "tuple_type" | "list_type":
            return f"{place}: should be a list"
        case "dataclass_type":
            return f"{place}: should be an object"
        case "too_long" if fault["ctx"]["field_type"] == "Value":
            return f"{place}: should have at most {fault['ctx']['max_length']} characters"
        case "too_short" if fault["ctx"]["field_type"] == "Value":
            return f"{place}: should have at least {fault['ctx']['min_length']} characters"
        case "too_long":
            return f"{place}: should have at most {fault['ctx']['max_length']} items"
        case "too_short":
            return f"{place}: should have {fault['ctx']['min_length']} or more items"
        case "string_pattern_mismatch":
            return f"{place}: has characters that are not allowed here"
        case _:
            return f"{place}: {fault['msg']}"
