"""Finds the Key Vault of an environment that was removed, so that azd recovers it with its secrets.

azd runs it before it provisions. Azure keeps a removed vault and its name for 90 days, and refuses a new vault of that
name. It keeps RECOVER_VAULT in the azd environment: true if there is such a vault, and false if there is none.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable

from azd import read_environment
from command import run, say
from services import AZURE, Entity, RequestRefused, Service, access_token, tenant_of

_VARIABLE = "RECOVER_VAULT"
_API_VERSION = "2026-02-01"
_VAULT = re.compile(r"kv-[a-z0-9]{1,11}-[a-z0-9]{8}")
"""The names that infra/main.bicep gives."""


def main() -> None:
    about = f"Keeps {_VARIABLE}: whether azd recovers the Key Vault of the environment."
    argparse.ArgumentParser(prog="recover_vault.py", description=about).parse_args()
    environment = read_environment()
    subscription, location = environment.get("AZURE_SUBSCRIPTION_ID"), environment.get("AZURE_LOCATION")
    if not (subscription and location and environment.name):
        say(
            "not looked for a removed Key Vault: azd has not chosen an environment, a subscription and a region yet; "
            "if azd stops with ConflictError, run it again"
        )
        return
    token = access_token(tenant_of(environment), AZURE)
    azure = Service("Azure", AZURE, token, f"a Contributor of the subscription {subscription}")
    removed = of_environment(read_removed(azure, subscription), environment.name, location)
    for vault in removed:
        say(
            f"found: the removed Key Vault {vault['name']}, which Azure keeps until "
            f"{vault['properties']['scheduledPurgeDate'][:10]}; azd recovers it with its secrets"
        )
    if not removed:
        say("nothing to recover: there is no removed Key Vault of this environment")
    wanted = "true" if removed else "false"
    if (environment.get(_VARIABLE) or "false") != wanted:
        environment.set(_VARIABLE, wanted)
        say(f"azd environment: {_VARIABLE} is {wanted}")


def read_removed(azure: Service, subscription: str) -> list[Entity]:
    """The removed vaults of a subscription."""
    path = f"subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedVaults"
    try:
        return azure.pages(path, {"api-version": _API_VERSION})
    except RequestRefused as refusal:
        # A subscription that has never had a vault.
        if refusal.code == "MissingSubscriptionRegistration":
            return []
        raise


def of_environment(vaults: Iterable[Entity], environment: str, location: str) -> list[Entity]:
    """Those of `vaults` that the template made for an azd environment in a region (`uksouth`)."""
    return [
        vault
        for vault in vaults
        if _VAULT.fullmatch(vault["name"])
        and (vault["properties"].get("tags") or {}).get("azd-env-name") == environment
        and vault["properties"]["location"].replace(" ", "").lower() == location.replace(" ", "").lower()
        and f"/resourcegroups/rg-{environment}/".lower() in vault["properties"]["vaultId"].lower()
    ]


if __name__ == "__main__":
    run(main)
