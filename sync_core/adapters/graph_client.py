"""The Graph SDK's own request adapter, set up for this app: its token, its pipeline, none of its models.

Importing the first model of the SDK costs seconds and 45 MiB; raw JSON through its adapter keeps authentication and
middleware and costs neither.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
from azure.core.credentials_async import AsyncTokenCredential
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from kiota_http.middleware.options import RetryHandlerOption
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_request_adapter import options as sdk_options
from msgraph_core import GraphClientFactory

_SILENCE = httpx.Timeout(45.0, connect=20.0)
"""Seconds after which an answer is not waited for any more: the SDK's hundred are a third of a message's lock."""

SCOPE = "https://graph.microsoft.com/.default"


def graph_request_adapter(credential: AsyncTokenCredential, base_url: str) -> GraphRequestAdapter:
    """An adapter that sends to `base_url` (with its version, without a slash at the end).

    The SDK's retry handler is off: it sleeps inside one call and knows nothing of the others (see graph_wire).
    """
    host = urlsplit(base_url).hostname or ""
    authentication = AzureIdentityAuthenticationProvider(credential, scopes=[SCOPE], allowed_hosts=[host])
    no_retry = RetryHandlerOption(max_retries=0, should_retry=False)
    client = GraphClientFactory.create_with_default_middleware(
        options={**sdk_options, RetryHandlerOption.get_key(): no_retry}
    )
    client.timeout = _SILENCE
    adapter = GraphRequestAdapter(authentication, client)
    adapter.base_url = base_url
    return adapter
