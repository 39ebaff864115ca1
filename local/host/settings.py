"""App settings as the host sees them: the environment, a local.settings.json, and %NAME% inside bindings."""

import json
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from local.host.refusal import StartRefused

_REFERENCE = re.compile(r"%([^%]*)%")


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """A Service Bus connection string with its shared key, or the emulator's."""

    value: str


@dataclass(frozen=True, slots=True)
class IdentityConnection:
    """A namespace reached with a token: `client_id` names a user-assigned identity."""

    fully_qualified_namespace: str
    client_id: str | None


Connection = ConnectionString | IdentityConnection


@dataclass(frozen=True, slots=True)
class Settings:
    """App settings by name. They are the process environment, as on Azure."""

    values: Mapping[str, str]

    def resolve(self, text: str, where: str) -> str:
        """Replace every %NAME%; `where` is function and binding. Raises StartRefused if a setting is missing."""

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in self.values:
                raise StartRefused(
                    f"the setting {name} is missing", where, f"Set {name} in the environment or in the settings file."
                )
            return self.values[name]

        return _REFERENCE.sub(value, text)

    def connection(self, name: str, where: str) -> Connection:
        """The Service Bus connection that a binding names. Raises StartRefused if neither form of it is set."""
        if self.values.get(name):
            return ConnectionString(self.values[name])
        # Azure also reads connection strings under this prefix.
        if self.values.get(f"AzureWebJobs{name}"):
            return ConnectionString(self.values[f"AzureWebJobs{name}"])
        namespace = self.values.get(f"{name}__fullyQualifiedNamespace")
        if namespace:
            return IdentityConnection(namespace, self.values.get(f"{name}__clientId"))
        raise StartRefused(
            f"the connection setting {name} is missing",
            where,
            f"Set {name} to a connection string, or {name}__fullyQualifiedNamespace to use an identity.",
        )


def load_settings(environ: MutableMapping[str, str], path: Path | None) -> Settings:
    """Add the `Values` of a local.settings.json to the environment, whose own values win, and return all settings.

    Raises StartRefused if the file is unreadable, encrypted, or holds anything but strings.
    """
    if path is not None:
        for name, value in _values(path).items():
            environ.setdefault(name, value)
    return Settings(environ)


def _values(path: Path) -> dict[str, str]:
    where = str(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartRefused(f"the settings cannot be read: {error}", where, 'Write {"Values": {…}} there.') from error
    if not isinstance(content, dict) or not isinstance(content.get("Values"), dict):
        raise StartRefused('there is no object "Values"', where, 'Write {"Values": {"NAME": "value"}}.')
    if content.get("IsEncrypted"):
        raise StartRefused(
            "the settings are encrypted", where, 'Set "IsEncrypted": false and write them as plain text.'
        )
    for name, value in content["Values"].items():
        if not isinstance(value, str):
            raise StartRefused(
                f"the value of {name} is not a string",
                where,
                "Write every value as a string; nested ones are not read.",
            )
    return dict(content["Values"])
