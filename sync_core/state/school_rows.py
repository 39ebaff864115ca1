"""The rows of schools (settings, statistics, holds, runs), tenants (facts, probes, accounts) and failed messages."""

from __future__ import annotations

from sync_core.domain.accounts import Account
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, LeftOutRows, RunRecord
from sync_core.domain.school import FeedFolder, FileDrop, SchoolSettings
from sync_core.domain.tenants import Probe, TenantFacts
from sync_core.errors import UnknownSetting
from sync_core.messaging.port import MessageFault
from sync_core.state.row_codec import Row, RowCodec, UnknownKind, cut, sentences

SETTINGS_COLUMNS = RowCodec(SchoolSettings)
STATISTICS_COLUMNS = RowCodec(FeedStatistics)
LEFT_OUT_COLUMNS = RowCodec(LeftOutRows)
HOLD_COLUMNS = RowCodec(Hold, what=cut, remedy=cut)
RUN_COLUMNS = RowCodec(RunRecord, notes=sentences)
FAULT_COLUMNS = RowCodec(MessageFault, message=cut, remedy=cut)
FACTS_COLUMNS = RowCodec(TenantFacts)
PROBE_COLUMNS = RowCodec(Probe, note=cut)
ACCOUNT_COLUMNS = RowCodec(Account, elsewhere=("id",))
"""There are thousands of account rows, so the id is their row key only, and not a column too."""


def read_school(row: Row) -> SchoolSettings:
    try:
        return SETTINGS_COLUMNS.read(row)
    except UnknownKind as kind:
        raise UnknownSetting(
            f"school {row['school']} is read from {kind}, which this version of the app does not know",
            "deploy the version of the app that saved these settings, or a later one",
        ) from None


def read_account(row: Row) -> Account:
    return ACCOUNT_COLUMNS.read(row, id=row["RowKey"])


def file_drop_key(drop: FileDrop) -> str:
    """The same whether its sets are kept or archived."""
    return f"folder {drop.path}" if isinstance(drop, FeedFolder) else f"container {drop.folder}"
