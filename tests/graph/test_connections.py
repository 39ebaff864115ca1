"""The identity of the app in each tenant."""

from __future__ import annotations

from typing import cast

import pytest
from azure.core.credentials_async import AsyncTokenCredential

from sync_core.errors import UnknownSetting
from sync_core.graph.connections import tenant_credential


def test_the_managed_identity_is_used_only_for_its_own_tenant() -> None:
    managed = cast(AsyncTokenCredential, object())
    assert tenant_credential("home", "", managed, "home") is managed
    with pytest.raises(UnknownSetting, match="GRAPH_CLIENT_ID"):
        tenant_credential("home", "", managed, "elsewhere")
