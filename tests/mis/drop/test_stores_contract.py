"""A file drop in a folder, and in a blob container over the real client: listing, fetching, copying and deleting."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import ContainerClient

from sync_core.errors import SnapshotRejected
from sync_core.mis.drop.container import ContainerDrop
from sync_core.mis.drop.export_sets import DropFile
from sync_core.mis.drop.folder import FolderDrop
from sync_core.mis.drop.reader import FileDropStore


@dataclass(slots=True)
class Subject:
    """A file drop. `write` exports a file into it, as an MIS does."""

    store: FileDropStore
    write: Callable[[str, bytes], Awaitable[None]]


@pytest.fixture(params=["folder", "container"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "folder":

        async def write(name: str, content: bytes) -> None:
            (tmp_path / "drop" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "drop" / name).write_bytes(content)

        yield Subject(FolderDrop(str(tmp_path / "drop")), write)
        return
    storage: str = request.getfixturevalue("shared_storage")
    async with ContainerClient.from_connection_string(storage, f"drop-{uuid4().hex}") as container:
        await container.create_container()

        async def upload(name: str, content: bytes) -> None:
            await container.upload_blob(f"trust/oak/{name}", content, overwrite=True)

        await container.upload_blob("trust/oakham/users.csv", b"another's")
        yield Subject(ContainerDrop(container, "trust/oak"), upload)


async def read_content(subject: Subject, file: DropFile) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return (await subject.store.fetch([file], Path(folder)))[file.name].read_bytes()


async def list_by_name(subject: Subject) -> dict[str, DropFile]:
    return {file.name: file for file in await subject.store.list_files()}


async def test_files_are_listed_with_their_folders_and_fetched(subject: Subject) -> None:
    await subject.write("users.csv", b"one")
    await subject.write("2026-09-07/Üsers & so on.csv", b"three")
    files = await list_by_name(subject)
    assert {name: file.size for name, file in files.items()} == {"users.csv": 3, "2026-09-07/Üsers & so on.csv": 5}
    assert all(abs(file.modified - datetime.now(UTC)) < timedelta(minutes=1) for file in files.values())
    assert [await read_content(subject, file) for _, file in sorted(files.items())] == [b"three", b"one"]


async def test_a_blob_with_an_encoding_is_fetched_as_it_is_stored(tmp_path: Path, shared_storage: str) -> None:
    """A megabyte of gzip may unpack to a gigabyte, and the listing has only its size as stored."""
    packed = gzip.compress(b"x" * 1_000_000)
    async with ContainerClient.from_connection_string(shared_storage, f"drop-{uuid4().hex}") as container:
        await container.create_container()
        encoded = ContentSettings(content_encoding="gzip")
        await container.upload_blob("oak/users.csv", packed, content_settings=encoded)
        store = ContainerDrop(container, "oak")
        (file,) = await store.list_files()
        assert (await store.fetch([file], tmp_path))[file.name].read_bytes() == packed


async def test_a_rewritten_file_has_another_version(subject: Subject) -> None:
    await subject.write("users.csv", b"one")
    before = await subject.store.list_files()
    assert await subject.store.list_files() == before
    await subject.write("users.csv", b"two")
    assert await subject.store.list_files() != before


async def test_a_file_is_copied_and_deleted(subject: Subject) -> None:
    await subject.write("set/users.csv", b"one")
    file = (await list_by_name(subject))["set/users.csv"]
    for _ in range(2):
        await subject.store.copy(file, "processed/then/users.csv")
    await subject.store.delete(file)
    await subject.store.delete(file)
    files = await list_by_name(subject)
    assert list(files) == ["processed/then/users.csv"]
    assert await read_content(subject, files["processed/then/users.csv"]) == b"one"


async def test_a_rewritten_file_is_not_deleted(subject: Subject) -> None:
    await subject.write("users.csv", b"one")
    before = (await list_by_name(subject))["users.csv"]
    await subject.write("users.csv", b"two")
    await subject.store.delete(before)
    assert "users.csv" in await list_by_name(subject)


async def test_a_missing_file_drop_is_rejected_with_its_place(tmp_path: Path, shared_storage: str) -> None:
    with pytest.raises(SnapshotRejected, match="there is no feed at"):
        await FolderDrop(str(tmp_path / "nowhere")).list_files()
    async with ContainerClient.from_connection_string(shared_storage, "nowhere") as container:
        with pytest.raises(SnapshotRejected, match="the file drop oak/ was not found"):
            await ContainerDrop(container, "oak").list_files()


async def test_a_missing_role_is_named(shared_storage: str) -> None:
    stranger = shared_storage.replace("AccountKey=E", "AccountKey=F")
    async with ContainerClient.from_connection_string(stranger, "drop") as container:
        with pytest.raises(SnapshotRejected, match="Storage Blob Data Contributor"):
            await ContainerDrop(container, "oak").list_files()
