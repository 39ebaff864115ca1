"""The templates as Microsoft's compiler sees them: no warning, and the resources that are kept beside this file."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.infra.bicep import FILES, ROOT
from tests.infra.templates.compiler import Compiler, NoCompiler
from tests.infra.templates.snapshots import ENVIRONMENTS, kept, render

MAIN = ROOT / "infra" / "main.bicep"
EVERYTHING, PRIVATE, PUBLIC = ENVIRONMENTS
CREDENTIAL = "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"

# Microsoft: "Naming rules and restrictions for Azure resources".
_NAMES = {
    "Microsoft.Resources/resourceGroups": r"[\w().-]{0,89}[\w()-]",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[a-z0-9][a-z0-9-]{2,127}",
    "Microsoft.OperationalInsights/workspaces": r"[a-z0-9][a-z0-9-]{2,61}[a-z0-9]",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.ServiceBus/namespaces": r"(?!.*(--|-sb$|-mgmt$))[a-z][a-z0-9-]{4,48}[a-z0-9]",
    "Microsoft.KeyVault/vaults": r"(?!.*--)[a-z][a-z0-9-]{1,22}[a-z0-9]",
    "Microsoft.Web/serverfarms": r"[a-z0-9-]{1,60}",
    "Microsoft.Web/sites": r"[a-z0-9][a-z0-9-]{0,58}[a-z0-9]",
    "Microsoft.Insights/actionGroups": r"[^:<>+/&%\\?|]{1,259}[^:<>+/&%\\?| .]",
    "Microsoft.Insights/scheduledQueryRules": r"[^*#&+:<>?@%{}\\/|]{1,259}[^*#&+:<>?@%{}\\/| .]",
    "Microsoft.Insights/metricAlerts": r"[^*#&+:<>?@%{}\\/|]{1,259}[^*#&+:<>?@%{}\\/| .]",
}
# Microsoft: "Resolve errors for reserved resource names". These two are refused even as a part of such a name.
_WITH_AN_ADDRESS = {
    "Microsoft.Storage/storageAccounts",
    "Microsoft.ServiceBus/namespaces",
    "Microsoft.KeyVault/vaults",
    "Microsoft.Web/sites",
}
_RESERVED = r"microsoft|windows"
_ROLE = "/providers/Microsoft.Authorization/"


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compiler]:
    try:
        running = Compiler(tmp_path_factory.mktemp("bicep"))
    except NoCompiler as missing:
        pytest.skip(str(missing))
    yield running
    running.close()


@pytest.fixture(scope="module")
def compiled(compiler: Compiler) -> dict[str, Any]:
    return compiler.compile(MAIN)


def _kept(environment: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(kept(environment).read_text(encoding="utf-8"))
    return content


def _config(environment: Path, name: str) -> dict[str, Any]:
    """The properties of a part of the site's configuration."""
    resources = _kept(environment)["predictedResources"]
    (properties,) = [one["properties"] for one in resources if one["name"].endswith(f"/{name}")]
    return dict(properties)


def _resource_names(environment: Path) -> list[str]:
    return [one["name"] for one in _kept(environment)["predictedResources"]]


def test_neither_the_compiler_nor_its_linter_has_a_remark(compiler: Compiler, compiled: dict[str, Any]) -> None:
    """Of any level, in main.bicep and all modules."""
    assert set(FILES) <= compiler.files_of(MAIN)
    assert compiled["diagnostics"] == []
    assert compiled["success"]


@pytest.mark.parametrize("file", [*FILES, *ENVIRONMENTS], ids=lambda file: file.name)
def test_a_file_is_formatted(file: Path, compiler: Compiler) -> None:
    assert compiler.format(file) == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda file: file.stem)
def test_the_resources_are_those_of_the_kept_snapshot(environment: Path, compiler: Compiler) -> None:
    """`make templates WRITE=1` writes the snapshots, so that a change of a template shows as a change of resources."""
    before, after = kept(environment).read_text(encoding="utf-8"), render(compiler.snapshot(environment))
    assert not list(difflib.unified_diff(before.splitlines(), after.splitlines(), "kept", "templates", lineterm=""))


def test_what_if_sees_every_resource(compiled: dict[str, Any]) -> None:
    """What-if leaves a module out if a parameter of it refers to a resource, and a resource if its name does."""
    resources = json.loads(compiled["contents"])["resources"]
    modules = {name: one for name, one in resources.items() if one["type"] == "Microsoft.Resources/deployments"}
    assert len(modules) == len(re.findall(r"^module ", MAIN.read_text(encoding="utf-8"), re.MULTILINE))
    parameters = {name: json.dumps(module["properties"]["parameters"]) for name, module in modules.items()}
    assert [name for name, text in parameters.items() if "reference(" in text] == []
    for environment in ENVIRONMENTS:
        snapshot = _kept(environment)
        assert snapshot["diagnostics"] == []
        assert [one["id"] for one in snapshot["predictedResources"] if "reference(" in one["id"]] == []


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda file: file.stem)
def test_azure_accepts_the_names(environment: Path) -> None:
    resources = _kept(environment)["predictedResources"]
    assert {one["type"] for one in resources} >= _NAMES.keys()
    named = [one for one in resources if one["type"] in _NAMES]
    assert [one["name"] for one in named if not re.fullmatch(_NAMES[one["type"]], one["name"])] == []
    addresses = [one["name"] for one in named if one["type"] in _WITH_AN_ADDRESS]
    assert [name for name in addresses if re.search(_RESERVED, name)] == []


def test_every_rule_of_the_linter_is_an_error_or_an_exception_with_a_reason() -> None:
    lines = (ROOT / "infra" / "bicepconfig.json").read_text(encoding="utf-8").splitlines()
    rules = [(before, line) for before, line in pairwise(lines) if '"level"' in line]
    assert len(rules) == 43
    assert [line for _, line in rules if not re.search(r'"level": "(error|off)"', line)] == []
    assert [line for before, line in rules if '"off"' in line and not before.strip().startswith("// ")] == []


def test_the_site_is_changed_by_one_resource_after_the_other(compiled: dict[str, Any]) -> None:
    """Azure answers 409 if two of them change it at the same time."""
    module = json.loads(compiled["contents"])["resources"]["app"]["properties"]["template"]["resources"]
    changes = [one for one in module if one["type"].startswith("Microsoft.Web/sites/")]
    names = [re.findall(r"'(\w+)'\)\]$", one["name"])[0] for one in changes]
    assert names == ["ftp", "scm", "appsettings", "authsettingsV2"]
    for before, change in zip(names, changes[1:], strict=False):
        assert [one for one in change["dependsOn"] if one.endswith(f", '{before}')]")], change["name"]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda file: file.stem)
def test_nothing_is_set_that_azure_refuses(environment: Path) -> None:
    """Flex Consumption has no FTP and no platform logs of sign-in. A new workspace lacks the tables of the queries."""
    resources = _kept(environment)["predictedResources"]
    (site,) = [one for one in resources if one["type"] == "Microsoft.Web/sites"]
    assert site["properties"]["siteConfig"].keys() == {"minTlsVersion", "http20Enabled"}
    logged = [one["id"] for one in resources if one["type"] == "Microsoft.Insights/diagnosticSettings"]
    assert (len(logged), [name for name in logged if "Microsoft.Web" in name]) == (3, [])
    rules = [one for one in resources if one["type"] == "Microsoft.Insights/scheduledQueryRules"]
    assert rules
    assert all(rule["properties"]["skipQueryValidation"] for rule in rules)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda file: file.stem)
def test_every_service_takes_tls_alone_and_no_old_version_of_it(environment: Path) -> None:
    properties = {one["type"]: one.get("properties", {}) for one in _kept(environment)["predictedResources"]}
    site = properties["Microsoft.Web/sites"]
    account = properties["Microsoft.Storage/storageAccounts"]
    assert (site["httpsOnly"], site["siteConfig"]["minTlsVersion"]) == (True, "1.3")
    assert (account["supportsHttpsTrafficOnly"], account["minimumTlsVersion"]) == (True, "TLS1_2")
    assert properties["Microsoft.ServiceBus/namespaces"]["minimumTlsVersion"] == "1.2"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda file: file.stem)
def test_no_service_takes_a_key_or_shows_anything_to_everybody(environment: Path) -> None:
    properties = {one["type"]: one.get("properties", {}) for one in _kept(environment)["predictedResources"]}
    account = properties["Microsoft.Storage/storageAccounts"]
    assert (account["allowBlobPublicAccess"], account["allowSharedKeyAccess"]) == (False, False)
    assert properties["Microsoft.ServiceBus/namespaces"]["disableLocalAuth"]
    assert properties["Microsoft.OperationalInsights/workspaces"]["features"]["disableLocalAuth"]
    assert properties["Microsoft.Insights/components"]["DisableLocalAuth"]
    vault = properties["Microsoft.KeyVault/vaults"]
    assert vault["enableRbacAuthorization"]
    assert vault["enablePurgeProtection"]


def test_app_service_signs_people_of_one_tenant_in_for_an_hour_and_keeps_no_token() -> None:
    sign_in = _config(EVERYTHING, "authsettingsV2")
    (provider,) = sign_in["identityProviders"].values()
    client = provider["registration"]["clientId"]
    assert provider["registration"].keys() == {"clientId", "clientSecretSettingName", "openIdIssuer"}
    assert provider["registration"]["openIdIssuer"].startswith("[format('{0}{1}/v2.0', environment().authentication")
    assert provider["validation"] == {"allowedAudiences": [client, f"api://{client}"]}
    assert sign_in["httpSettings"] == {"requireHttps": True}
    assert sign_in["login"] == {
        "tokenStore": {"enabled": False},
        "cookieExpiration": {"convention": "FixedTime", "timeToExpiration": "01:00:00"},
        "nonce": {"validateNonce": True, "nonceExpirationInterval": "00:05:00"},
        "allowedExternalRedirectUrls": [],
    }


def test_the_credential_of_the_sign_in_is_the_identity_of_the_app() -> None:
    """App Service authentication, "Use a managed identity instead of a secret": the setting has a client id."""
    settings = _config(EVERYTHING, "appsettings")
    (provider,) = _config(EVERYTHING, "authsettingsV2")["identityProviders"].values()
    assert provider["registration"]["clientSecretSettingName"] == CREDENTIAL
    assert settings[CREDENTIAL] == settings["AZURE_CLIENT_ID"]
    assert re.search(r"/userAssignedIdentities/id-.*\.clientId\]$", settings[CREDENTIAL])


def test_a_sign_in_without_the_identity_has_no_credential() -> None:
    assert CREDENTIAL not in _config(PRIVATE, "appsettings")
    (provider,) = _config(PRIVATE, "authsettingsV2")["identityProviders"].values()
    assert provider["registration"]["clientSecretSettingName"] is None


def test_an_app_without_a_registration_has_no_sign_in_and_no_credential() -> None:
    assert [name for name in _resource_names(PUBLIC) if name.endswith("/authsettingsV2")] == []
    assert CREDENTIAL not in _config(PUBLIC, "appsettings")


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda file: file.stem)
def test_the_identities_have_these_roles_and_no_other(environment: Path) -> None:
    """All but the one on the container of packages are the app's."""
    resources = _kept(environment)["predictedResources"]
    roles = [one for one in resources if one["type"] == "Microsoft.Authorization/roleAssignments"]
    assert all("userAssignedIdentities/id-" in one["properties"]["principalId"] for one in roles)
    of_package = [one["id"] for one in roles if re.search(r"/id-[\w-]+-package-", one["properties"]["principalId"])]
    assert [id_.split(_ROLE)[0].rpartition("/")[2] for id_ in of_package] == ["deployments"]
    granted = Counter(
        (
            re.sub(r"^.*/providers/(Microsoft\.\w+/\w+)/[^/]+((/\w+)*?)(/[^/]+)?$", r"\1\2", one["id"].split(_ROLE)[0]),
            one["properties"]["roleDefinitionId"].rpartition("/")[2],
        )
        for one in roles
    )
    assert granted == {
        ("Microsoft.Storage/storageAccounts", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"): 1,  # Blob Data Contributor
        (
            "Microsoft.Storage/storageAccounts/blobServices/default/containers",
            "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        ): 1,
        ("Microsoft.Storage/storageAccounts", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"): 1,  # Table Data Contributor
        ("Microsoft.ServiceBus/namespaces/queues", "090c5cfd-751d-490a-894a-3ce6f1109419"): 3,  # Service Bus Data Owner
        ("Microsoft.KeyVault/vaults", "4633458b-17de-408a-b874-0445c86b69e6"): 1,  # Key Vault Secrets User
        ("Microsoft.Insights/components", "3913510d-42f4-4e42-8a64-420c390055eb"): 1,  # Monitoring Metrics Publisher
    }
