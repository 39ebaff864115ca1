"""What goes wrong between here and Table storage, in our words and with what to do about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from azure.core.exceptions import AzureError, HttpResponseError

from sync_core.errors import EtagConflict, SyncError, Transient


@asynccontextmanager
async def wire_faults() -> AsyncIterator[None]:
    """Failures of the wire in our words. The client has tried for 50 seconds by then."""
    try:
        yield
    except HttpResponseError as error:
        if error.status_code == 412:
            raise EtagConflict from None
        if error.status_code in (401, 403):
            raise SyncError(
                f"Table storage answered {error.status_code}",
                "grant the app's identity the role Storage Table Data Contributor on the storage account",
            ) from None
        raise Transient(
            f"Table storage answered {error.status_code}", "it is tried again by itself; look at the storage account"
        ) from None
    except AzureError as error:
        raise Transient(
            f"Table storage cannot be reached ({type(error).__name__})", "it is tried again; look at the network"
        ) from None
