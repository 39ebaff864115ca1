"""A file drop in the deployment's blob container. The MIS, or a service for it, writes there."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceModifiedError, ResourceNotFoundError

from sync_core.errors import SnapshotRejected, Transient
from sync_core.mis.budget import MAX_READING, check_listing
from sync_core.mis.drop.export_sets import DropFile
from sync_core.mis.rejection import rejection

if TYPE_CHECKING:
    # This import takes a tenth of a second, which a deployment without a file drop need not spend.
    from azure.storage.blob.aio import ContainerClient

_RETRIED = "no class was changed; the app retries"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class ContainerDrop:
    """Implements FileDropStore for one folder of the container."""

    def __init__(self, container: ContainerClient, folder: str) -> None:
        self._container = container
        self._prefix = f"{folder}/"

    async def list_files(self) -> list[DropFile]:
        async with self._errors_translated():
            files: list[DropFile] = []
            async for blob in self._container.list_blobs(name_starts_with=self._prefix):
                files.append(DropFile(blob.name.removeprefix(self._prefix), blob.size, blob.last_modified, blob.etag))
                check_listing(len(files), self._prefix)
            return files

    async def fetch(self, files: Sequence[DropFile], folder: Path) -> dict[str, Path]:
        """Downloads each file into its own subfolder under a safe name, because blob names are untrusted."""
        if sum(file.size for file in files) > MAX_READING:
            raise rejection(
                f"the file drop {self._prefix} has a set of more than {MAX_READING:,} bytes",
                "have the MIS export less, or split the export by school",
            )
        paths: dict[str, Path] = {}
        async with self._errors_translated():
            for number, file in enumerate(files):
                path = folder / str(number) / (_UNSAFE.sub("_", file.base_name).lstrip(".") or "file")
                path.parent.mkdir()
                with path.open("wb") as target:
                    await self._download(file, target)
                paths[file.name] = path
        return paths

    async def copy(self, file: DropFile, name: str) -> None:
        # Download and upload, because a copy from blob to blob needs a signature in the URL of its source.
        async with self._errors_translated():
            with tempfile.TemporaryFile() as buffer:
                await self._download(file, buffer)
                buffer.seek(0)
                await self._container.upload_blob(self._prefix + name, buffer, length=file.size, overwrite=True)

    async def _download(self, file: DropFile, target: IO[bytes]) -> None:
        """The bytes as they are stored: a blob with a Content-Encoding is not unpacked to any size."""
        blob = await self._container.download_blob(
            self._prefix + file.name,
            etag=file.version,
            match_condition=MatchConditions.IfNotModified,
            decompress=False,
        )
        await blob.readinto(target)

    async def delete(self, file: DropFile) -> None:
        async with self._errors_translated():
            with suppress(ResourceNotFoundError, ResourceModifiedError):
                await self._container.delete_blob(
                    self._prefix + file.name, etag=file.version, match_condition=MatchConditions.IfNotModified
                )

    @asynccontextmanager
    async def _errors_translated(self) -> AsyncIterator[None]:
        """Turns Azure errors into ours. The Azure client has already retried."""
        try:
            yield
        except ResourceNotFoundError:
            message = f"the file drop {self._prefix} was not found, or one of its files was deleted meanwhile"
            remedy = "no class was changed; create the container that FILE_DROP_CONTAINER_URL names, or export again"
            raise SnapshotRejected(message, remedy) from None
        except ResourceModifiedError:
            raise Transient(f"a file in the file drop {self._prefix} was overwritten meanwhile", _RETRIED) from None
        except HttpResponseError as error:
            message = f"the blob container returned {error.status_code} for the file drop {self._prefix}"
            if error.status_code in (401, 403):
                remedy = "no class was changed; give the app's identity the role Storage Blob Data Contributor on it"
                raise SnapshotRejected(message, remedy) from None
            raise Transient(message, f"{_RETRIED}. If this continues, check the storage account") from None
        except AzureError as error:
            message = f"the blob container is unreachable for the file drop {self._prefix} ({type(error).__name__})"
            raise Transient(message, f"{_RETRIED}. If this continues, check the network") from None
