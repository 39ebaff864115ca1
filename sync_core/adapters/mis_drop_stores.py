"""The drops of a deployment: folders of its machine, and folders of its blob container, if it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync_core.adapters.mis_drop_container import ContainerDrop
from sync_core.adapters.mis_drop_folder import FolderDrop
from sync_core.adapters.mis_drops import DropStore
from sync_core.choices import FeedContainer, FeedDrop
from sync_core.errors import SnapshotRejected

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient


class DropStores:
    """Finds a drop. `container` is the deployment's."""

    def __init__(self, container: ContainerClient | None) -> None:
        self._container = container

    def of(self, drop: FeedDrop) -> DropStore:
        """Raises SnapshotRejected for a container where there is none."""
        if not isinstance(drop, FeedContainer):
            return FolderDrop(drop.path)
        if self._container is None:
            raise SnapshotRejected(
                "the school is read from a blob container, and this deployment has none",
                "set DROP_CONTAINER_URL (docs/operations.md); nothing was changed",
            )
        return ContainerDrop(self._container, drop.folder)
