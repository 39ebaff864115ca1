"""A drop in a folder of this machine, or one that is mounted."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sync_core.errors import SnapshotRejected, Transient
from sync_core.mis.drop.export_sets import DropFile


class FolderDrop:
    """Implements DropStore. The path may be that of a single zip file."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def listed(self) -> list[DropFile]:
        return await asyncio.to_thread(self._listed)

    async def brought(self, files: Sequence[DropFile], folder: Path) -> dict[str, Path]:
        """They are here already."""
        return {file.name: self._place(file.name) for file in files}

    async def copy(self, file: DropFile, name: str) -> None:
        def copy() -> None:
            target = self._place(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            half = target.with_name(f"{target.name}.half")
            shutil.copy2(self._place(file.name), half)
            half.replace(target)

        await asyncio.to_thread(self._try, copy)

    async def delete(self, file: DropFile) -> None:
        def delete() -> None:
            place = self._place(file.name)
            with suppress(FileNotFoundError):
                if _seen(place, file.name).version == file.version:
                    place.unlink()
                    with suppress(OSError):
                        if place.parent != self._path:
                            place.parent.rmdir()

        await asyncio.to_thread(self._try, delete)

    def _listed(self) -> list[DropFile]:
        if self._path.is_file():
            return [_seen(self._path, self._path.name)]
        if not self._path.is_dir():
            raise SnapshotRejected(
                f"there is no feed at {self._path}",
                "correct the path of the school's source, or have the MIS export there; nothing was changed",
            )
        found = []
        for place in sorted(self._path.rglob("*")):
            # One that is gone since it was listed was replaced: the next listing has what came.
            with suppress(FileNotFoundError):
                if place.is_file():
                    found.append(_seen(place, place.relative_to(self._path).as_posix()))
        return found

    def _place(self, name: str) -> Path:
        return self._path if self._path.is_file() else self._path / name

    def _try(self, work: object) -> None:
        assert callable(work)
        try:
            work()
        except OSError as error:
            raise Transient(
                f"the drop at {self._path} cannot be written to ({type(error).__name__})",
                "it is tried again by itself; give the app the right to write there, or choose after_sync keep",
            ) from None


def _seen(place: Path, name: str) -> DropFile:
    known = place.stat()
    return DropFile(name, known.st_size, datetime.fromtimestamp(known.st_mtime, UTC), str(known.st_mtime_ns))
