"""Names of pupils as names of blobs, and of files in zip files: all that the clients of Azure log and store."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import ContainerClient

from sync_core.domain.ids import RunId
from sync_core.domain.runs import Cause
from sync_core.domain.school.sources import AfterSync, FeedContainer
from sync_core.errors import SyncError
from sync_core.messaging.messages import SyncSchool
from sync_core.state.store import TableState
from tests.builders import SCHOOL, settings
from tests.canary.conftest import app_of, write_accounts
from tests.canary.outside import ADDRESS, BORN, NAME, Outside
from tests.mis import feeds


def zipped(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def in_folder(folder: str, files: dict[str, str]) -> dict[str, bytes]:
    return {f"{folder}{name}": text.encode() for name, text in files.items()}


FEED = feeds.oneroster()
BLOBS: dict[str, dict[str, bytes]] = {
    "a folder": in_folder(f"{NAME}/", FEED),
    "a folder and a file beside": {**in_folder(f"{ADDRESS}/", FEED), f"{ADDRESS}/{NAME} {BORN}.csv": b"a"},
    "a zip file": {f"{NAME}.zip": zipped(FEED)},
    "a member beside": {f"{ADDRESS}.zip": zipped({**FEED, f"{NAME}.csv": "a"})},
    "a damaged zip file": {f"{NAME}.zip": zipped(FEED)[:300]},
    "a deep folder": in_folder(f"{NAME}/{ADDRESS}/", FEED),
    "no set": {f"{NAME}.csv": ADDRESS.encode(), f"{BORN}.csv": NAME.encode()},
    "a manifest": {f"{NAME}/manifest.csv": f"propertyName,value\nmanifest.version,{NAME}\nfile.{NAME},bulk\n".encode()},
    "a name that is too long": {f"{NAME}{'x' * 300}.csv": b"a", **in_folder("", FEED)},
}


@pytest.fixture
async def connection(storage_accounts: Iterator[str]) -> str:
    return next(storage_accounts)


@pytest.fixture
async def tables(connection: str) -> AsyncIterator[TableState]:
    store = TableState.from_connection_string(connection)
    await store.ensure_tables()
    yield store
    await store.close()


async def test_no_name_of_a_blob_leaves(outside: Outside, connection: str, tables: TableState) -> None:
    await write_accounts(tables, ["APupil", "First", "Second", "teacher", "other"])
    for number, (where, blobs) in enumerate(BLOBS.items()):
        outside.putting("container", where)
        async with ContainerClient.from_connection_string(connection, f"drop-{number}") as container:
            await container.create_container()
            for name, content in blobs.items():
                await container.upload_blob(f"oak/{name}", content)
            source = FeedContainer("oak", AfterSync.ARCHIVE)
            await tables.save_school(replace(settings(), school=SCHOOL.id, source=source))
            app = app_of(tables, container=container)
            for _ in range(2):
                await app.check_file_drops()
                with suppress(SyncError):
                    await app.handle_request(SyncSchool(SCHOOL.id, RunId(f"run {number}"), Cause.FILE_DROP))
    async with TableServiceClient.from_connection_string(connection) as service:
        async for table in service.list_tables():
            async for entity in service.get_table_client(table.name).list_entities():
                for column, value in entity.items():
                    outside.see(f"stored in {table.name}, column {column}", value)
    assert outside.report() == ""
    assert {name for name in outside.read if name.startswith("stored in runs")}
