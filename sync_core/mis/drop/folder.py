"""A file drop in a folder of this machine, or in a mounted share."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from sync_core.errors import Transient
from sync_core.mis.budget import check_listing
from sync_core.mis.drop.export_sets import DropFile
from sync_core.mis.rejection import rejection
from sync_core.mis.threads import InThread

_DEPTH = 2
"""Archived sets lie so many folders deep, and no set lies deeper."""


class FolderDrop:
    """Implements FileDropStore. The path may also be a single zip file."""

    def __init__(self, path: str, in_thread: InThread = asyncio.to_thread) -> None:
        self._path = Path(path)
        self._in_thread = in_thread

    async def list_files(self) -> list[DropFile]:
        return await self._in_thread(self._list_files)

    async def fetch(self, files: Sequence[DropFile], folder: Path) -> dict[str, Path]:
        """The files are on this machine already, so nothing is copied to `folder`."""
        return {file.name: self._path_of(file.name) for file in files}

    async def copy(self, file: DropFile, name: str) -> None:
        def copy() -> None:
            target = self._path_of(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            # A name of its own: the name of the target may have all the characters that a file system allows.
            partial = target.with_name(f".{sha256(os.fsencode(target.name)).hexdigest()[:16]}.half")
            shutil.copy2(self._path_of(file.name), partial)
            partial.replace(target)

        await self._in_thread(self._try, copy)

    async def delete(self, file: DropFile) -> None:
        def delete() -> None:
            path = self._path_of(file.name)
            with suppress(FileNotFoundError):
                if _drop_file(path, file.name).version == file.version:
                    path.unlink()
                    with suppress(OSError):
                        if path.parent != self._path:
                            path.parent.rmdir()

        await self._in_thread(self._try, delete)

    def _list_files(self) -> list[DropFile]:
        if self._path.is_file():
            return [_drop_file(self._path, self._path.name)]
        if not self._path.is_dir():
            raise rejection(
                f"there is no feed at {self._path}",
                "correct the path of the school's source, or have the MIS export there",
            )
        files: list[DropFile] = []
        for place, folders, names in os.walk(self._path):
            if len(Path(place).relative_to(self._path).parts) == _DEPTH:
                folders.clear()
            for name in sorted(names):
                path = Path(place, name)
                # A file that disappears here is being replaced. The next listing has its successor.
                with suppress(FileNotFoundError):
                    if path.is_file():
                        files.append(_drop_file(path, path.relative_to(self._path).as_posix()))
                check_listing(len(files), str(self._path))
        return files

    def _path_of(self, name: str) -> Path:
        return self._path if self._path.is_file() else self._path / name

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            message = f"the file drop {self._path} cannot be written to ({type(error).__name__})"
            remedy = "no class was changed; the app retries. Let the app write there, or set after_sync to keep"
            raise Transient(message, remedy) from None


def _drop_file(path: Path, name: str) -> DropFile:
    status = path.stat()
    return DropFile(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC), str(status.st_mtime_ns))
