"""The app's settings, parsed once from the environment: a faulty deployment fails at its first start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sync_core.errors import UnknownSetting

GRAPH = "https://graph.microsoft.com/v1.0"
TABLES = ("STATE_TABLES_ENDPOINT", "STATE_TABLES_CONNECTION")
"""The settings with the endpoint or the connection string of the tables."""
UNRESOLVED = "@Microsoft.KeyVault("
"""How a setting begins whose Key Vault reference the platform could not resolve: it passes the reference itself on."""
_CENTURY = 36_500
_ON_LOOPBACK = re.compile(r"http://127\.0\.0\.1:\d+/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one deployment.

    Connection strings and a simulator of Graph are for the local world; Azure uses identities, and Graph's one address.

    `everywhere` are the Entra ids of users and groups whose app role applies to every school. `sync_schedule` is when
    nights begin, as the Functions host reads it. `mis_secrets` maps names of settings to secrets.
    """

    tenant: str
    graph_base_url: str
    graph_client: str
    everywhere: frozenset[str]
    signed_in_by_app_service: bool
    tables_endpoint: str
    tables_connection: str
    service_bus_namespace: str
    service_bus_connection: str
    file_drop_container: str
    file_drop_connection: str
    file_drop_settle: timedelta
    sync_schedule: str
    sync_window: timedelta
    history: timedelta
    mis_secrets: Mapping[str, str] = field(repr=False)

    @property
    def on_one_machine(self) -> bool:
        """Whether this is the local system, whose servers have addresses of this machine."""
        return self.graph_base_url != GRAPH


def parse_settings(environment: Mapping[str, str]) -> Settings:
    """Parse the settings that docs/operations.md lists. Raises UnknownSetting with every fault."""
    faults: list[str] = []

    def text(name: str) -> str:
        return environment.get(name, "").strip()

    def one_of(*names: str) -> None:
        if sum(bool(text(name)) for name in names) != 1:
            faults.append(f"set one of {' and '.join(names)}, and only one")

    if not text("TENANT_ID"):
        faults.append("TENANT_ID is not set")
    one_of(*TABLES)
    one_of("ServiceBusConnection__fullyQualifiedNamespace", "ServiceBusConnection")
    minutes = text("SYNC_WINDOW_MINUTES") or "60"
    if not minutes.isdecimal():
        faults.append("SYNC_WINDOW_MINUTES is not a whole number of minutes")
    days = text("HISTORY_DAYS") or "400"
    if not days.isdecimal() or not 1 <= int(days) <= _CENTURY:
        faults.append(f"HISTORY_DAYS is not a whole number of days from 1 to {_CENTURY}")
    if text("FILE_DROP_CONTAINER_URL") and text("FILE_DROP_CONNECTION"):
        faults.append("set one of FILE_DROP_CONTAINER_URL and FILE_DROP_CONNECTION, or neither")
    settle = text("FILE_DROP_SETTLE_SECONDS") or "60"
    if not settle.isdecimal():
        faults.append("FILE_DROP_SETTLE_SECONDS is not a whole number of seconds")
    if text("GRAPH_SIMULATOR") and not _ON_LOOPBACK.match(text("GRAPH_SIMULATOR")):
        faults.append("GRAPH_SIMULATOR is not at http://127.0.0.1: education classes are in the global cloud alone")
    if faults:
        raise UnknownSetting("; ".join(faults), "correct the application settings (docs/operations.md lists them)")
    tables_endpoint, tables_connection = map(text, TABLES)
    return Settings(
        tenant=text("TENANT_ID").lower(),
        graph_base_url=text("GRAPH_SIMULATOR") or GRAPH,
        graph_client=text("GRAPH_CLIENT_ID"),
        everywhere=frozenset(text("ALL_SCHOOLS_ACCESS").lower().replace(",", " ").split()),
        signed_in_by_app_service=text("WEBSITE_AUTH_ENABLED").lower() == "true",
        tables_endpoint=tables_endpoint,
        tables_connection=tables_connection,
        service_bus_namespace=text("ServiceBusConnection__fullyQualifiedNamespace"),
        service_bus_connection=text("ServiceBusConnection"),
        file_drop_container=text("FILE_DROP_CONTAINER_URL"),
        file_drop_connection=text("FILE_DROP_CONNECTION"),
        file_drop_settle=timedelta(seconds=int(settle)),
        sync_schedule=text("SYNC_SCHEDULE"),
        sync_window=timedelta(minutes=int(minutes)),
        history=timedelta(days=int(days)),
        mis_secrets={name: value for name, value in environment.items() if name.startswith("MIS_SECRET_")},
    )
