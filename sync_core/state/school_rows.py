"""The rows of schools (settings, statistics, holds, runs), tenants (facts, probes) and failed messages."""

from __future__ import annotations

from collections.abc import Iterable

from sync_core.domain.ids import SchoolId
from sync_core.domain.nicknames import identifier_in_nickname
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import HeldClass, Hold, LeftOutRows, RunRecord, SettingsChange
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedFolder, FileDrop
from sync_core.domain.tenants import Probe, TenantFacts
from sync_core.errors import UnknownSetting
from sync_core.messaging.port import MessageFault
from sync_core.state.row_codec import Entity, Row, RowCodec, UnknownKind, cut, sentences

SETTINGS_COLUMNS = RowCodec(SchoolSettings)
STATISTICS_COLUMNS = RowCodec(FeedStatistics)
LEFT_OUT_COLUMNS = RowCodec(LeftOutRows)
HOLD_COLUMNS = RowCodec(Hold, elsewhere=("classes",), what=cut, remedy=cut, why=cut)
HELD_CLASS_COLUMNS = RowCodec(HeldClass, what=cut)
RUN_COLUMNS = RowCodec(RunRecord, notes=sentences)
CHANGE_COLUMNS = RowCodec(SettingsChange)
FAULT_COLUMNS = RowCodec(MessageFault, message=cut, remedy=cut)
FACTS_COLUMNS = RowCodec(TenantFacts)
PROBE_COLUMNS = RowCodec(Probe, note=cut)
_LATER_VERSION = "deploy the version of the app that saved these settings, or a later one"


def claim_of(tenant: str, name_identifier: str) -> str:
    """The key of the row that says which school of a tenant has a name identifier; empty without one.

    No id of a school begins so. Whoever saves a school with that identifier writes the row, so that of two schools
    that are saved at once, one has it.
    """
    identifier = identifier_in_nickname(name_identifier).lower()
    return f"|{tenant} {identifier}" if identifier else ""


NO_CLAIM = "(RowKey lt '|' or RowKey ge '}')"
"""The filter of rows that are not claims."""


def read_school(row: Row) -> SchoolSettings:
    """Raises UnknownSetting, also for what no version of the app writes."""
    try:
        return SETTINGS_COLUMNS.read(row)
    except UnknownKind as kind:
        raise UnknownSetting(
            f"school {school_of(row)} is read from {kind}, which this version of the app does not know",
            _LATER_VERSION,
        ) from None
    except (ValueError, KeyError, TypeError) as fault:
        raise UnknownSetting(
            f"the settings of school {school_of(row)} cannot be read ({type(fault).__name__})", _LATER_VERSION
        ) from None


def school_of(row: Row) -> SchoolId:
    return SchoolId(str(row.get("school") or row["RowKey"]))


def file_drop_key(drop: FileDrop) -> str:
    """The same whether its sets are kept or archived."""
    return f"folder {drop.path}" if isinstance(drop, FeedFolder) else f"container {drop.folder}"


def keys_of_hold(hold: Hold) -> list[str]:
    """The keys of the rows of a hold, in the order in which they are written and deleted: its classes, then the hold.

    One row could not have all classes of a large school with their people. A hold that is written has all its classes,
    and one that is not completely deleted is read, and so deleted, again.
    """
    return [*(f"{hold.digest} {part.digest}" for part in hold.classes), hold.digest]


def rows_of_hold(hold: Hold) -> list[tuple[str, Entity]]:
    """The rows of a hold with their keys, in the order in which they are written."""
    columns = [*map(HELD_CLASS_COLUMNS.columns, hold.classes), HOLD_COLUMNS.columns(hold)]
    return list(zip(keys_of_hold(hold), columns, strict=True))


def read_holds(rows: Iterable[Row]) -> list[Hold]:
    """The holds of a school from all their rows. Rows of classes whose hold has no row are ignored."""
    holds: dict[str, Row] = {}
    classes: dict[str, list[HeldClass]] = {}
    for row in rows:
        digest, _, part = row["RowKey"].partition(" ")
        if part:
            classes.setdefault(digest, []).append(HELD_CLASS_COLUMNS.read(row))
        else:
            holds[digest] = row
    return [
        HOLD_COLUMNS.read(row, classes=tuple(sorted(classes.get(digest, ()), key=lambda part: part.key)))
        for digest, row in holds.items()
    ]
