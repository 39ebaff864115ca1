"""The app's identity in a tenant: its own managed identity at home, and elsewhere an app that trusts it. No secret."""

from __future__ import annotations

from typing import Any, Self

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import ClientAssertionCredential

from sync_core.errors import UnknownSetting

_EXCHANGE = "api://AzureADTokenExchange/.default"


def tenant_credential(
    home: str, client: str, managed_identity: AsyncTokenCredential, tenant: str
) -> AsyncTokenCredential:
    """The credential for `tenant`, whose `home` has the managed identity.

    Elsewhere the multi-tenant app `client` signs in with a token of that identity in place of a secret (Entra:
    "workload identity federation"). Raises UnknownSetting where there is no such app.
    """
    if tenant == home:
        return managed_identity
    if not client:
        raise UnknownSetting(
            f"tenant {tenant} is not the one that the app's identity belongs to",
            "set GRAPH_CLIENT_ID to a multi-tenant app that trusts the identity, and have the tenant consent to it",
        )
    return _Federated(tenant, client, managed_identity)


class _Federated:
    """Signs in with the managed identity's token, asked for without blocking before the client wants it."""

    def __init__(self, tenant: str, client: str, managed_identity: AsyncTokenCredential) -> None:
        self._managed_identity = managed_identity
        self._assertion = ""
        self._signed_in = ClientAssertionCredential(tenant, client, lambda: self._assertion)

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AccessToken:
        self._assertion = (await self._managed_identity.get_token(_EXCHANGE)).token
        return await self._signed_in.get_token(
            *scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **kwargs
        )

    async def close(self) -> None:
        await self._signed_in.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
