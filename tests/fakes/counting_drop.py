"""A file drop that counts what is requested of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sync_core.mis.drop.export_sets import DropFile
from sync_core.mis.drop.reader import FileDropStore
from tests.fakes.steps import Step, no_step


@dataclass(slots=True)
class CountingDrop:
    """Implements FileDropStore. `listings` and `fetched`, by file name, are the requests to the `store` so far.

    Each copy and delete takes a step before and after.
    """

    store: FileDropStore
    step: Step = no_step
    listings: int = 0
    fetched: Counter[str] = field(default_factory=Counter)

    async def list_files(self) -> list[DropFile]:
        self.listings += 1
        return await self.store.list_files()

    async def fetch(self, files: Sequence[DropFile], folder: Path) -> dict[str, Path]:
        self.fetched.update(file.name for file in files)
        return await self.store.fetch(files, folder)

    async def copy(self, file: DropFile, name: str) -> None:
        await self.step("copy")
        await self.store.copy(file, name)
        await self.step("copied")

    async def delete(self, file: DropFile) -> None:
        await self.step("delete")
        await self.store.delete(file)
        await self.step("deleted")
