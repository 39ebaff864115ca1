"""Failures of Service Bus in our words, each with the remedy that fits it."""

from __future__ import annotations

from azure.core.exceptions import AzureError
from azure.servicebus.exceptions import (
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
)

from sync_core.errors import Transient


def bus_fault(failed: str, queue: str, error: AzureError) -> Transient:
    """`failed` says what could not be done on the queue."""
    match error:
        case ServiceBusAuthenticationError() | ServiceBusAuthorizationError():
            remedy = f"grant the app's identity the role Azure Service Bus Data Owner on the queue {queue}"
        case MessagingEntityNotFoundError():
            remedy = f"the namespace has no queue {queue}: deploy the templates again, which make it"
        case _:
            remedy = "it is retried; if it keeps failing, check the Service Bus namespace and the network"
    return Transient(f"{failed} ({type(error).__name__})", remedy)
