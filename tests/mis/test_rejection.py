"""One school's trouble is one school's: any exception of a library becomes the rejection of that school's feed."""

from __future__ import annotations

import asyncio
import binascii
import csv
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import httpx
import pytest
from azure.core.exceptions import AzureError, DecodeError

from sync_core import telemetry
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.school.sources import AfterSync, FeedFolder, FileDrop
from sync_core.errors import Permanent, ReadingFailed, SnapshotRejected, SyncError, Transient
from sync_core.http.problems import problem_of
from sync_core.mis.drop.export_sets import DropFile
from sync_core.mis.drop.reader import FileDropReader, FileDropStore, open_store
from sync_core.mis.drop.readings import SharedReadings
from sync_core.mis.rejection import shielded
from sync_core.mis.sources import MisSources
from sync_core.sync.file_drops import check_file_drops
from tests.builders import settings
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services
from tests.mis import feeds

NAME = "Anne Pupil"
STRANGERS: list[Exception] = [
    lzma.LZMAError(NAME),
    zlib.error(NAME),
    struct.error(NAME),
    binascii.Error(NAME),
    zipfile.BadZipFile(NAME),
    zipfile.LargeZipFile(NAME),
    csv.Error(NAME),
    EOFError(NAME),
    NotImplementedError(NAME),
    UnicodeDecodeError("utf-8", NAME.encode(), 0, 1, NAME),
    UnicodeEncodeError("utf-8", NAME, 0, 1, NAME),
    UnicodeError(NAME),
    json.JSONDecodeError(NAME, NAME, 0),
    ValueError(NAME),
    TypeError(NAME),
    KeyError(NAME),
    IndexError(NAME),
    AttributeError(NAME),
    AssertionError(NAME),
    OverflowError(NAME),
    ZeroDivisionError(NAME),
    RecursionError(NAME),
    MemoryError(NAME),
    OSError(28, NAME, NAME),
    FileNotFoundError(2, NAME, NAME),
    PermissionError(13, NAME, NAME),
    TimeoutError(NAME),
    ConnectionResetError(NAME),
    StopAsyncIteration(NAME),
    ExceptionGroup(NAME, [ValueError(NAME)]),
    httpx.InvalidURL(NAME),
    httpx.DecodingError(NAME),
    httpx.ReadTimeout(NAME),
    aiohttp.ClientPayloadError(NAME),
    AzureError(NAME),
    DecodeError(NAME),
]


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: type(stranger).__name__)
def test_any_exception_is_a_rejection_by_type_and_place(stranger: Exception) -> None:
    with pytest.raises(ReadingFailed) as caught, shielded():
        raise stranger
    error = caught.value
    assert isinstance(error, SnapshotRejected)
    assert error.message.startswith(
        f"the feed cannot be read: unexpected {type(stranger).__name__} at test_rejection.py:"
    )
    assert error.remedy.startswith("nothing was changed; ")
    assert ("disk and memory" in error.remedy) == isinstance(stranger, OSError | MemoryError)
    assert NAME not in str(error)
    assert error.__suppress_context__
    assert problem_of(error).status == 409


@pytest.mark.parametrize("ours", [SnapshotRejected("a", "b"), Transient("a", "b"), Permanent("a", "b")])
def test_our_own_errors_pass(ours: SyncError) -> None:
    with pytest.raises(SyncError) as caught, shielded():
        raise ours
    assert caught.value is ours


@pytest.mark.parametrize("end", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_a_cancellation_passes(end: type[BaseException]) -> None:
    with pytest.raises(end), shielded():
        raise end


class BrokenDrop:
    """Implements FileDropStore, of which each request fails."""

    async def list_files(self) -> list[DropFile]:
        raise lzma.LZMAError(NAME)

    async def fetch(self, files: Sequence[DropFile], folder: Path) -> dict[str, Path]:
        raise AssertionError

    async def copy(self, file: DropFile, name: str) -> None:
        raise AssertionError

    async def delete(self, file: DropFile) -> None:
        raise AssertionError


def reader(clock: FixedClock) -> FileDropReader:
    def store(drop: FileDrop) -> FileDropStore:
        return BrokenDrop() if isinstance(drop, FeedFolder) and drop.path.endswith("broken") else open_store(None, drop)

    return FileDropReader(store, timedelta(0), clock, SharedReadings(clock))


async def test_each_reading_of_a_source_is_shielded() -> None:
    drops, drop = reader(FixedClock()), FeedFolder("/broken")
    with pytest.raises(ReadingFailed, match="LZMAError"):
        await MisSources(drops, {}, FixedClock()).snapshot(replace(settings(), source=drop))
    with pytest.raises(ReadingFailed, match="LZMAError"):
        await drops.newest(drop)
    with pytest.raises(ReadingFailed, match="LZMAError"):
        await drops.archive(drop, "")


async def test_a_broken_drop_does_not_stop_the_others_and_has_its_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    feeds.write(feeds.oneroster(), tmp_path / "good")
    state, outbox, clock = MemoryState(), MemoryOutbox(), FixedClock()
    for number, folder in enumerate(("broken", "good")):
        source = FeedFolder(str(tmp_path / folder), AfterSync.KEEP)
        await state.save_school(replace(settings(), school=SchoolId(f"S{number}"), source=source))
    checks = await check_file_drops(RunId("R"), services(state, outbox=outbox, clock=clock, file_drops=reader(clock)))
    assert [(check.schools, check.failure is None) for check in checks] == [(0, False), (1, True)]
    with caplog.at_level("INFO"):
        telemetry.file_drop_checked(checks[0])
    assert [(record.levelname, record.message) for record in caplog.records] == [("ERROR", "file_drop.failed")]
    assert NAME not in str(vars(caplog.records[0]))
