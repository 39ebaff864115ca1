"""A drop in a blob container of the deployment, where the MIS, or who delivers for it, writes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceModifiedError, ResourceNotFoundError

from sync_core.errors import SnapshotRejected, Transient
from sync_core.mis.drop.export_sets import DropFile

if TYPE_CHECKING:
    # A tenth of a second, which a deployment without a drop need not pay.
    from azure.storage.blob.aio import ContainerClient

_LARGEST_DROP = 2_000_000_000
_PLAIN = re.compile(r"[^A-Za-z0-9._-]")


class ContainerDrop:
    """Implements DropStore for one folder of the container."""

    def __init__(self, container: ContainerClient, folder: str) -> None:
        self._container = container
        self._prefix = f"{folder}/"

    async def listed(self) -> list[DropFile]:
        async with self._faults():
            return [
                DropFile(blob.name.removeprefix(self._prefix), blob.size, blob.last_modified, blob.etag)
                async for blob in self._container.list_blobs(name_starts_with=self._prefix)
            ]

    async def brought(self, files: Sequence[DropFile], folder: Path) -> dict[str, Path]:
        """Into `folder`, each in a place of its own: what they are called in the container is anybody's choice."""
        if sum(file.size for file in files) > _LARGEST_DROP:
            raise SnapshotRejected(
                f"the drop {self._prefix} has a set of more than {_LARGEST_DROP} bytes",
                "have the MIS export less, or split it by school; nothing was changed",
            )
        found: dict[str, Path] = {}
        async with self._faults():
            for number, file in enumerate(files):
                place = folder / str(number) / (_PLAIN.sub("_", file.name.rpartition("/")[2]).lstrip(".") or "file")
                place.parent.mkdir()
                blob = await self._container.download_blob(
                    self._prefix + file.name, etag=file.version, match_condition=MatchConditions.IfNotModified
                )
                with place.open("wb") as target:
                    await blob.readinto(target)
                found[file.name] = place
        return found

    async def copy(self, file: DropFile, name: str) -> None:
        async with self._faults():
            source = self._container.get_blob_client(self._prefix + file.name)
            blob = await source.download_blob(etag=file.version, match_condition=MatchConditions.IfNotModified)
            target = self._container.get_blob_client(self._prefix + name)
            # Through here and not from blob to blob: a copy within Azure wants a signature in its source's address.
            with tempfile.TemporaryFile() as held:
                await blob.readinto(held)
                held.seek(0)
                await target.upload_blob(held, length=blob.size, overwrite=True)

    async def delete(self, file: DropFile) -> None:
        async with self._faults():
            with suppress(ResourceNotFoundError, ResourceModifiedError):
                await self._container.delete_blob(
                    self._prefix + file.name, etag=file.version, match_condition=MatchConditions.IfNotModified
                )

    @asynccontextmanager
    async def _faults(self) -> AsyncIterator[None]:
        """Failures of the wire in our words; the client has tried again by then."""
        try:
            yield
        except ResourceNotFoundError:
            raise SnapshotRejected(
                f"the drop {self._prefix} is not there, or a file of it is not there any more",
                "make the container that FILE_DROP_CONTAINER_URL names, or export once more; nothing was changed",
            ) from None
        except ResourceModifiedError:
            what = f"a file of the drop {self._prefix} was written anew"
            raise Transient(what, "it is read again by itself") from None
        except HttpResponseError as error:
            if error.status_code in (401, 403):
                raise SnapshotRejected(
                    f"the blob container answered {error.status_code} for the drop {self._prefix}",
                    "grant the app's identity the role Storage Blob Data Contributor on it; nothing was changed",
                ) from None
            raise Transient(
                f"the blob container answered {error.status_code}", "it is tried again; look at the storage account"
            ) from None
        except AzureError as error:
            what = f"the blob container cannot be reached ({type(error).__name__})"
            raise Transient(what, "it is tried again; look at the network") from None
