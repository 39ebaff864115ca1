"""The whole local world in one folder: Azurite, the Service Bus stand-in, the simulated tenant, the Functions host."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from local import loopback
from local.azurite import Azurite, require_azurite
from local.processes import NoRoom, Process, Spawn, StartFailed, require_posix, signals_held, spawn_interpreter
from local.servicebus import connection_string
from local.tenant.names import CLIENT_ID, DOMAIN, IDENTITY_HEADER, TENANT_ID
from local.tenant.options import TenantOptions

REPOSITORY = Path(__file__).parents[1]
_PACKED_APP = Path(__file__).parent / "app"
"""Where the installed package has function_app.py and host.json (pyproject.toml). A checkout has them at its top."""
_ROOM = 16 * 1024 * 1024
"""Bytes that a world needs on its disk: its processes go on when the disk is full, but cannot save what they did."""
_LOCK = "lock"
"""The file in a world's folder that its supervisor has locked. It stays."""
MASTER_KEY = "local"
WEBHOOK_SETTING = "MIS_SECRET_WORLD"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of the local world").decode()
"""Signs the webhooks of the world. It is public, like the key of the storage emulator, and not a secret."""

USERS: dict[str, dict[str, Any]] = {
    "admin": {"id": "a0000000-0000-4000-8000-000000000001", "tenant": TENANT_ID, "roles": ["GroupSync.Admin"]},
    "teacher": {"id": "a0000000-0000-4000-8000-000000000002", "tenant": TENANT_ID, "roles": ["GroupSync.Teacher"]},
    "visitor": {"id": "a0000000-0000-4000-8000-000000000003", "tenant": TENANT_ID, "roles": []},
}
"""Test users of the admin API: `curl -H "Authorization: Bearer admin"`. The admin is bound to every school."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a running world; `supervisor` is the id of the process that runs it."""

    supervisor: int
    tenant: str
    bus_status: str
    service_bus: str
    tables: str
    host: str

    @property
    def service_bus_port(self) -> int:
        """The port of the stand-in itself, even where the host reaches it through a proxy."""
        match = re.search(r"sb://[^:]+:(\d+)", self.service_bus)
        assert match
        return int(match[1])


_USUAL_TENANT = TenantOptions()


class World:
    """A world that this process starts and stops. Starting raises StartFailed if one already runs in the folder."""

    def __init__(
        self,
        folder: Path,
        deliveries: int = 10,
        spawn: Spawn = spawn_interpreter,
        storage: str = "",
        settings: Mapping[str, str] = MappingProxyType({}),
        tenant: TenantOptions = _USUAL_TENANT,
        port: int = 0,
    ) -> None:
        """`deliveries` is how often the queues deliver a message before they dead-letter it.

        `storage` is the connection string of an empty storage account. Without one, the world has its own Azurite.
        `settings` are the host's, in place of its own. `port` is the host's if it is free, and 0 any.
        """
        require_posix(folder)
        if not storage:
            require_azurite()
        self.folder = folder.resolve()
        with _usable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._deliveries = deliveries
        self._tenant_options = tenant
        self._spawn_module = spawn
        self._lock: IO[str] | None = None
        self._storage = storage
        self._azurite = None if storage else Azurite(self.folder / "azurite", self.folder / "azurite.log")
        self._bus: Process | None = None
        self._tenant: Process | None = None
        self.host: Process | None = None
        self._settings: dict[str, str] = {}
        self._more_settings = settings
        self._ports = tuple(dict.fromkeys((str(port), "0")))
        self._certificate = self.folder / "entra.pem"
        self.addresses: Addresses | None = None

    def start(self) -> Addresses:
        """Start its processes; returns when the host takes messages. Raises StartFailed."""
        with _usable(self.folder):
            self._take_lock()
            return self._start()

    def _start(self) -> Addresses:
        try:
            require_room(self.folder)
            files = ("--state", str(self.folder / "tenant.jsonl"), "--certificate", str(self._certificate))
            with signals_held():
                self._bus = self._spawn_bus("0", "0")
                self._tenant = self._spawn("tenant", "--port", "0", *files, *self._tenant_options.arguments())
            if self._azurite:
                self._azurite.start()
                self._storage = self._azurite.connection_string
            bus, entra = self._bus.ready_line(), self._tenant.ready_line()
            tenant = f"http://127.0.0.1:{entra['port']}"
            self._settings = {
                "TENANT_ID": TENANT_ID,
                "SYNC_SCHEDULE": "0 0 2 * * *",
                "SYNC_WINDOW_MINUTES": "0",
                "FILE_DROP_SCHEDULE": "0 0 0 1 1 *",
                "FILE_DROP_SETTLE_SECONDS": "0",
                "FILE_DROP_CONNECTION": self._storage,
                "GRAPH_SIMULATOR": f"{tenant}/v1.0",
                "STATE_TABLES_CONNECTION": self._storage,
                "ServiceBusConnection": connection_string(bus["port"]),
                "GRAPH_CLIENT_ID": CLIENT_ID,
                "AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{entra['tls_port']}",
                "IDENTITY_ENDPOINT": f"{tenant}/msi/token",
                "IDENTITY_HEADER": IDENTITY_HEADER,
                "LOCAL_MASTER_KEY": MASTER_KEY,
                WEBHOOK_SETTING: WEBHOOK_SECRET,
                "LOCAL_USERS": str(self._write_users(tenant)),
                "WEBSITE_AUTH_ENABLED": "True",
                "AzureWebJobsDisableHomepage": "true",
                "ALL_SCHOOLS_ACCESS": USERS["admin"]["id"],
            }
            host = self.start_host(**self._more_settings)
            self.addresses = Addresses(
                supervisor=os.getpid(),
                tenant=tenant,
                bus_status=f"http://127.0.0.1:{bus['status_port']}",
                service_bus=self._settings["ServiceBusConnection"],
                tables=self._storage,
                host=host,
            )
            self._write_addresses()
        except BaseException:
            self.stop()
            raise
        return self.addresses

    def start_host(self, **settings: str) -> str:
        """Start the Functions host, also after it died, with `settings` in place of its own. Returns its address."""
        self._settings |= settings
        file = self.folder / "local.settings.json"
        file.write_text(json.dumps({"IsEncrypted": False, "Values": self._settings}, indent=2), encoding="utf-8")
        log = ("--settings", str(file), "--log", str(self.folder / "host.jsonl"))
        app = _PACKED_APP if _PACKED_APP.exists() else REPOSITORY
        with signals_held():
            self.host = self._spawn("host", "--port", *self._ports, "--app", str(app), *log)
        address = f"http://127.0.0.1:{self.host.ready_line()['port']}"
        if self.addresses:
            self.addresses = replace(self.addresses, host=address)
            self._write_addresses()
        return address

    def restart_azurite(self) -> None:
        """Stop Azurite cleanly and start it at the same address; all that was written is there again."""
        assert self._azurite
        self._azurite.stop()
        self._azurite.start()

    def restart_bus(self) -> None:
        """Kill the stand-in and start it at the same address. Queued messages are lost, unlike in Azure."""
        assert self._bus and self.addresses
        self._bus.kill()
        ports = [self.addresses.service_bus_port, self.addresses.bus_status.rpartition(":")[2]]
        self._bus = self._spawn_bus(*map(str, ports))
        self._bus.ready_line()

    def find_dead(self) -> tuple[str, ...]:
        """The names of its processes that have died, but for the host, which is started again as in Azure."""
        azurite = self._azurite.child if self._azurite else None
        named = {"the Service Bus stand-in": self._bus, "the simulated tenant": self._tenant, "Azurite": azurite}
        return tuple(name for name, process in named.items() if process and not process.alive())

    def stop(self) -> None:
        """Stop its processes. A world that this one found running in the folder stays as it is."""
        for child in (self.host, self._bus, self._tenant):
            if child:
                child.stop()
        if self._azurite:
            self._azurite.stop()
        if self._lock:
            (self.folder / "world.json").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _spawn_bus(self, port: str, status_port: str) -> Process:
        template = (REPOSITORY / "local" / "Config.json").read_text(encoding="utf-8")
        config = self.folder / "queues.json"
        config.write_text(
            template.replace('"MaxDeliveryCount": 10', f'"MaxDeliveryCount": {self._deliveries}'), encoding="utf-8"
        )
        return self._spawn("servicebus", "--config", str(config), "--port", port, "--status-port", status_port)

    def _spawn(self, name: str, *options: str) -> Process:
        # Only for the host: aiohttp loads the trusted certificates when it is imported, before it reads a setting.
        trusted = {"SSL_CERT_FILE": str(self._certificate)} if name == "host" else {}
        environment = {"PYTHONPATH": str(REPOSITORY), **trusted}
        return self._spawn_module(f"local.{name}", options, self.folder / f"{name}.log", environment)

    def _write_users(self, tenant: str) -> Path:
        """Write the test users by name, unless the file exists, and give each an account in the tenant."""
        users = self.folder / "users.json"
        if not users.exists():
            users.write_text(json.dumps(USERS, indent=2), encoding="utf-8")
        accounts = [
            {"id": user["id"], "userPrincipalName": f"{name}.user@{DOMAIN}", "displayName": f"Test {name}"}
            for name, user in USERS.items()
        ]
        loopback.post(f"{tenant}/_sim/users", json=accounts, timeout=60).raise_for_status()
        return users

    def _write_addresses(self) -> None:
        assert self.addresses
        fresh = self.folder / "world.fresh"
        fresh.write_text(json.dumps(asdict(self.addresses), indent=2), encoding="utf-8")
        fresh.replace(self.folder / "world.json")

    def _take_lock(self) -> None:
        from local import folder_lock

        lock = (self.folder / _LOCK).open("w", encoding="utf-8")
        try:
            folder_lock.take(lock)
        except BlockingIOError:
            lock.close()
            raise StartFailed(
                f"a world is starting or running in {self.folder}: wait for it, or choose another --world"
            ) from None
        self._lock = lock


def has_run(folder: Path) -> bool:
    """Whether a world runs in `folder`, or ran there before, so that it may have state."""
    return (folder / _LOCK).exists()


def running_world(folder: Path) -> Addresses | None:
    """The world that runs in `folder`, whose supervisor has the lock; the file that a crash left does not count."""
    if not has_run(folder):
        return None
    require_posix(folder)
    from local import folder_lock

    try:
        addresses = Addresses(**json.loads((folder / "world.json").read_text(encoding="utf-8")))
        os.kill(addresses.supervisor, 0)
        with (folder / _LOCK).open(encoding="utf-8") as lock:
            folder_lock.look_at(lock)
    except BlockingIOError:
        return addresses
    except (OSError, ValueError, TypeError):
        return None
    # The supervisor has ended, and its id is another process's now.
    return None


def require_room(folder: Path) -> None:
    """Raises NoRoom if the disk of a world's folder is full."""
    free = shutil.disk_usage(folder).free
    if free < _ROOM:
        raise NoRoom(
            f"the disk of {folder} has {free // 1024:,} KiB left of the {_ROOM // 1024:,} KiB that a world needs, so "
            "what was done may not be saved — make room there, and run it again"
        )


@contextlib.contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Raises StartFailed where the world's folder, or a file in it, cannot be used."""
    try:
        yield
    except OSError as error:
        what = f"{error.strerror or type(error).__name__} ({error.filename or folder})"
        raise StartFailed(
            f"the world in {folder} cannot start: {what} — name another folder with --world, or make room and see that "
            "you may write there"
        ) from None


@contextlib.contextmanager
def world_at(
    folder: Path, spawn: Spawn = spawn_interpreter, tenant: TenantOptions = _USUAL_TENANT
) -> Iterator[Addresses]:
    """The running world in `folder`, or one that is started now, with these options, and stopped on exit.

    Raises NoRoom, also afterwards, if the disk is full.
    """
    running = running_world(folder)
    if running:
        yield running
    else:
        world = World(folder, spawn=spawn, tenant=tenant)
        try:
            yield world.start()
        finally:
            world.stop()
    require_room(folder)


@contextlib.contextmanager
def tenant_at(folder: Path, spawn: Spawn = spawn_interpreter) -> Iterator[str]:
    """The simulated tenant's address; if no world runs, only the tenant is started."""
    require_posix(folder)
    running = running_world(folder)
    if running:
        yield running.tenant
        return
    state = str(folder.resolve() / "tenant.jsonl")
    options = ("--port", "0", "--state", state)
    with _usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    child = None
    try:
        with _usable(folder), signals_held():
            child = spawn("local.tenant", options, folder / "tenant.log", {"PYTHONPATH": str(REPOSITORY)})
        yield f"http://127.0.0.1:{child.ready_line()['port']}"
    finally:
        if child:
            child.stop()
