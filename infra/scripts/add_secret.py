"""Puts a secret of an MIS server or a webhook into the Key Vault, and lets the app read it.

    python infra/scripts/add_secret.py MIS_SECRET_OAK

It asks for the value, or reads it from standard input. A name that the app has already gets a new value.
"""

from __future__ import annotations

import getpass
import re
import sys

from azd import Environment, read_environment
from command import Failure, run, say
from services import AZURE, VAULT, Graph, RequestRefused, Service, access_token, tenant_of

_VARIABLE = "MIS_SECRETS"
_NAME = re.compile(r"MIS_SECRET_[A-Z0-9_]{1,100}")
_VAULT_API, _SITES_API = "2025-07-01", "2022-03-01"
_ROLE = "Key Vault Secrets Officer"


def main() -> None:
    name = _name(sys.argv[1:])
    environment = read_environment()
    for variable in ("VAULT_NAME", "AZURE_SUBSCRIPTION_ID", "APP_NAME"):
        if not environment.get(variable):
            raise Failure(
                f"the azd environment has no {variable}, so nothing was changed: select the environment with 'azd env "
                "select', run 'azd up' if it is not deployed, then run this again"
            )
    put(environment, name, _value(name))
    names = [one for one in environment.get(_VARIABLE).replace(" ", "").split(",") if one]
    if name in names:
        _read_again(environment)
        return
    environment.set(_VARIABLE, ",".join([*names, name]))
    say(f"azd environment: {_VARIABLE} names {name}")
    environment.provision()
    say(f"done: the app reads {name}, and a school's settings may name it")


def _name(arguments: list[str]) -> str:
    """The name on the command line. What else is there is not repeated: it may be the secret."""
    if len(arguments) != 1:
        raise Failure(
            "the command takes the name of a secret and nothing else, and nothing was changed: run 'python "
            "infra/scripts/add_secret.py MIS_SECRET_OAK', and it asks for the value. A value on the command line is in "
            "the history of the terminal: if you gave one, replace it where it comes from"
        )
    if not _NAME.fullmatch(arguments[0]):
        raise Failure(
            "this is not a name that the settings of a school can have, and nothing was changed: use MIS_SECRET_ and "
            "up to 100 capitals, digits or _, such as MIS_SECRET_OAK"
        )
    return arguments[0]


def _value(name: str) -> str:
    """The value, without the end of its line. It is never an argument, a variable, or part of a message."""
    try:
        # Windows PowerShell writes a byte order mark before what it sends to a command.
        value = (
            getpass.getpass(f"value of {name} (it is not shown): ")
            if sys.stdin.isatty()
            else sys.stdin.buffer.read().decode("utf-8-sig")
        )
    except UnicodeDecodeError:
        raise Failure("the value on standard input is not UTF-8, and nothing was changed: save it as UTF-8") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value.strip() or "\n" in value:
        lines = len(value.splitlines()) if value.strip() else 0
        raise Failure(f"the value has {lines} lines, and nothing was changed: a secret is one line that is not empty")
    return value


def put(environment: Environment, name: str, value: str) -> None:
    """Write the value as the newest version of the secret `name`, whose name in the vault has - in place of _."""
    vault, tenant = environment.get("VAULT_NAME"), tenant_of(environment)
    service = Service("Key Vault", f"https://{vault}.vault.azure.net", access_token(tenant, VAULT), f"a {_ROLE}")
    secret = name.replace("_", "-")
    try:
        service.send("PUT", f"secrets/{secret}", {"value": value}, {"api-version": _VAULT_API})
    except RequestRefused as refusal:
        match refusal.code:
            case "ForbiddenByRbac":
                raise _no_role(environment) from None
            case "ForbiddenByConnection" | "ForbiddenByFirewall":
                raise Failure(
                    f"the Key Vault {vault} accepts no request from this network, so nothing was changed: run this on "
                    "a machine in the virtual network of the environment, or connected to it"
                ) from None
            case "ObjectIsDeletedButRecoverable" | "ObjectIsBeingDeleted":
                raise Failure(
                    f"the secret {secret} was deleted, and its name is kept for 90 days, so nothing was changed: run "
                    f"'az keyvault secret recover --vault-name {vault} --name {secret}', wait a minute, then run this "
                    "again"
                ) from None
            case _:
                raise
    say(f"written: the secret {secret} in the Key Vault {vault}")


def _no_role(environment: Environment) -> Failure:
    """What the person who is signed in must be granted, as a command for a person who may grant it."""
    me = Graph(access_token(tenant_of(environment)), "anybody").me()
    scope = "/" + _path(environment, f"Microsoft.KeyVault/vaults/{environment.get('VAULT_NAME')}")
    return Failure(
        f"you have no role that may write secrets, so nothing was changed: run 'az role assignment create --role "
        f'"{_ROLE}" --assignee-object-id {me} --assignee-principal-type User --scope {scope}\', or ask an Owner of the '
        "subscription to run it. Wait up to ten minutes until the role applies, then run this again"
    )


def _path(environment: Environment, resource: str) -> str:
    """The path of a resource of the environment, by its type and name."""
    group = f"subscriptions/{environment.get('AZURE_SUBSCRIPTION_ID')}/resourceGroups/rg-{environment.name}"
    return f"{group}/providers/{resource}"


def _read_again(environment: Environment) -> None:
    """Let App Service read the secrets again at once: it would by itself within 24 hours."""
    token = access_token(tenant_of(environment), AZURE)
    azure = Service("Azure", AZURE, token, "a Website Contributor of the app")
    site = _path(environment, f"Microsoft.Web/sites/{environment.get('APP_NAME')}")
    try:
        azure.send("POST", f"{site}/config/configreferences/appsettings/refresh", query={"api-version": _SITES_API})
    except Failure as failure:
        raise Failure(f"the app reads the new value within 24 hours, and not at once: {failure}") from None
    say("done: App Service reads the secrets again")


if __name__ == "__main__":
    run(main)
