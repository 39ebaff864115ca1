"""Clients of the Service Bus stand-in for the tests."""

from __future__ import annotations

import ssl
from typing import Any

from azure.servicebus.aio import ServiceBusClient

from local.servicebus import connection_string


def bus_client(port: int, **options: Any) -> ServiceBusClient:
    """The stand-in has no TLS. Without a context, the client still reads the machine's certificates for each link."""
    return ServiceBusClient.from_connection_string(
        connection_string(port), ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), **options
    )
