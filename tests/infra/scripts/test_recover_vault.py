"""recover_vault.py: the Key Vault of a removed environment is found, and azd is told to recover it, once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.infra.bicep import ROOT
from tests.infra.scripts.terminal import Terminal
from tests.infra.scripts.tunnel import TENANT, Entity, Query, Refused, serving

SCRIPT = "recover_vault.py"
VALUES = {"AZURE_ENV_NAME": "oak", "AZURE_SUBSCRIPTION_ID": "s-1", "AZURE_LOCATION": "uksouth"}
VAULT = "kv-oak-dx7lhk2m"
FOUND = f"found: the removed Key Vault {VAULT}, which Azure keeps until 2027-02-25; azd recovers it with its secrets"
NOTHING = "nothing to recover: there is no removed Key Vault of this environment"
LIST = "subscriptions/s-1/providers/Microsoft.KeyVault/deletedVaults"


def removed(name: str = VAULT, environment: str = "oak", location: str = "uksouth", group: str = "rg-oak") -> Entity:
    """A removed vault as Azure Resource Manager lists it."""
    return {
        "name": name,
        "properties": {
            "vaultId": f"/subscriptions/s-1/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{name}",
            "location": location,
            "tags": {"azd-env-name": environment},
            "scheduledPurgeDate": "2027-02-25T09:30:00Z",
        },
    }


@dataclass(slots=True)
class Azure:
    """A subscription with removed vaults, listed in pages of one."""

    vaults: list[Entity] = field(default_factory=list)
    refuse: Refused | None = None

    def answer(self, method: str, path: str, query: Query, body: Entity) -> Entity | None:
        if self.refuse:
            raise self.refuse
        if (method, path.strip("/"), query["api-version"]) != ("GET", LIST, "2026-02-01"):
            raise Refused(400, "InvalidResourceType", "The resource type could not be found.")
        start = int(query.get("$skiptoken", "0"))
        following = f"https://management.azure.com/{LIST}?api-version=2026-02-01&$skiptoken={start + 1}"
        return {"value": self.vaults[start : start + 1]} | (
            {"nextLink": following} if start + 1 < len(self.vaults) else {}
        )


@pytest.fixture
def azure() -> Azure:
    return Azure()


@pytest.fixture
def hook(azure: Azure, tmp_path: Path) -> Iterator[Terminal]:
    with serving({"management.azure.com": azure.answer}, tmp_path) as environment:
        terminal = Terminal(tmp_path, environment | VALUES)
        terminal.choose_environment(VALUES)
        yield terminal


def run(hook: Terminal) -> list[str]:
    """What the command prints. The hook then has what the command wrote into the environment."""
    result = hook.run(SCRIPT)
    assert (result.returncode, result.stderr) == (0, "")
    hook.environment |= hook.azd_values
    return result.stdout.splitlines()


def test_a_removed_vault_is_recovered_by_the_next_provisioning_alone(hook: Terminal, azure: Azure) -> None:
    azure.vaults = [removed("kv-elm-zz7lhk2m", "elm"), removed()]
    assert run(hook) == [FOUND, "azd environment: RECOVER_VAULT is true"]
    assert run(hook) == [FOUND]
    azure.vaults = []  # azd has provisioned
    assert run(hook) == [NOTHING, "azd environment: RECOVER_VAULT is false"]
    assert run(hook) == [NOTHING]
    assert hook.azd_values == VALUES | {"RECOVER_VAULT": "false"}
    assert [call for call in hook.calls if "env set" in call] == [
        f"azd env set RECOVER_VAULT {value} --environment oak" for value in ("true", "false")
    ]


def test_a_first_deployment_has_nothing_to_recover_and_writes_nothing(hook: Terminal) -> None:
    assert run(hook) == [NOTHING]
    assert hook.azd_values == VALUES


@pytest.mark.parametrize(
    "vault",
    [
        removed(environment="elm"),
        removed(location="ukwest"),
        removed(group="rg-elm"),
        removed(name="kv-h3x2k5q7w9y1z"),
        {**removed(), "properties": {**removed()["properties"], "tags": None}},
    ],
    ids=["environment", "region", "group", "name", "tags"],
)
def test_the_vault_of_something_else_is_left_alone(hook: Terminal, azure: Azure, vault: Entity) -> None:
    azure.vaults = [vault]
    assert run(hook) == [NOTHING]


def test_a_region_is_recognised_by_its_display_name(hook: Terminal, azure: Azure) -> None:
    azure.vaults = [removed(location="UK South")]
    assert run(hook)[0] == FOUND


def test_a_subscription_that_never_had_a_vault_has_nothing_to_recover(hook: Terminal, azure: Azure) -> None:
    azure.refuse = Refused(409, "MissingSubscriptionRegistration", "The subscription is not registered.")
    assert run(hook) == [NOTHING]


def test_the_list_is_read_in_the_tenant_of_the_subscription(hook: Terminal) -> None:
    run(hook)
    command = f"az account get-access-token --output json --resource https://management.azure.com --tenant {TENANT}"
    assert command in hook.calls


def test_a_list_that_may_not_be_read_is_said_and_nothing_is_written(hook: Terminal, azure: Azure) -> None:
    azure.refuse = Refused(403, "AuthorizationFailed", "The client does not have authorization to perform action.")
    result = hook.run(SCRIPT)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"Azure refused GET {LIST} (403 AuthorizationFailed)" in result.stderr
    assert "sign in with 'az login' as a Contributor of the subscription s-1" in result.stderr
    assert hook.azd_values == VALUES


@pytest.mark.parametrize("variable", VALUES)
def test_before_azd_has_chosen_there_is_nothing_to_look_in(hook: Terminal, variable: str) -> None:
    """A first `azd provision` asks for the subscription after its hooks; `azd up` asks before them."""
    del hook.environment[variable]
    hook.choose_environment({})
    assert run(hook)[0].startswith("not looked for a removed Key Vault")


def test_the_names_are_those_that_the_template_gives() -> None:
    text = (ROOT / "infra" / "scripts" / SCRIPT).read_text(encoding="utf-8")
    (pattern,) = re.findall(r're\.compile\(r"(.*)"\)', text)
    made = set()
    for snapshot in (ROOT / "tests" / "infra" / "templates").glob("*.json"):
        listed = json.loads(snapshot.read_text(encoding="utf-8"))["predictedResources"]
        made |= {one["name"] for one in listed if one["type"] == "Microsoft.KeyVault/vaults"}
    assert len(made) >= 2
    assert [name for name in made if not re.fullmatch(pattern, name)] == []
