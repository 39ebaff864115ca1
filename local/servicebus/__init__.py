"""The Service Bus stand-in: sessions, locks and dead letters over AMQP 1.0, for the real client to talk to."""

from __future__ import annotations


def connection_string(port: int) -> str:
    """The connection string of a stand-in on this machine; the key is the emulator's placeholder."""
    return (
        f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
    )
