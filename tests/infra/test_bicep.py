"""The templates as written: each file parses, is described, and agrees with code, queues and host.json."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from tests.infra.bicep import FILES, ROOT, app_settings, parse, text

# Read by the build in Azure, the Functions host, its worker, a library or a trigger's schedule, but not by config.py.
_PLATFORM = {
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "ServiceBusConnection__credential",
    "ServiceBusConnection__clientId",
    "AZURE_CLIENT_ID",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY",
    "PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "UV_REQUIRE_HASHES",
    "AzureWebJobsDisableHomepage",
    "FILE_DROP_SCHEDULE",
}
# Parameters whose value in the azd environment has another name than theirs.
_VARIABLES = {"environmentName": "AZURE_ENV_NAME", "location": "AZURE_LOCATION", "misSecretNames": "MIS_SECRETS"}
# For the local world, or set by the platform itself.
_NOT_DEPLOYED = {
    "STATE_TABLES_CONNECTION",
    "ServiceBusConnection",
    "FILE_DROP_CONNECTION",
    "GRAPH_SIMULATOR",
    "WEBSITE_AUTH_ENABLED",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_parses_and_states_its_purpose_in_its_first_line(file: Path) -> None:
    name = file.relative_to(ROOT / "infra").as_posix()
    assert parse(name)["resources"] or parse(name)["modules"]
    assert re.match(r"// [A-Z].{20,}[^,]\n", text(name))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_parameter_is_described(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").split("\n\n")
    params = [block for block in lines if re.search(r"^param ", block, re.MULTILINE)]
    assert params
    assert all("@description(" in block for block in params)


def test_the_template_sets_the_settings_that_the_code_reads() -> None:
    code = ast.parse((ROOT / "sync_core" / "config.py").read_text(encoding="utf-8"))
    strings = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    read = {string for string in strings if re.fullmatch(r"[A-Z]+(_[A-Z]+)+|ServiceBusConnection(__\w+)?", string)}
    assert app_settings().keys() == (read - _NOT_DEPLOYED) | _PLATFORM


def test_every_schedule_of_a_trigger_is_set() -> None:
    named = set(re.findall(r"%(\w+)%", (ROOT / "function_app.py").read_text(encoding="utf-8")))
    assert named <= app_settings().keys()


def test_every_resource_name_is_valid_for_any_name_of_the_environment() -> None:
    """No underscore or dot; no two hyphens in a row for a vault; no hyphen for a storage account."""
    main = text("main.bicep")
    names = re.findall(r"ame(?::| =) '([^'\n]*\$\{suffix\}[^'\n]*)'", main)
    assert len(names) == 10
    assert [name for name in names if "environmentName" in name] == []
    assert [name for name in names if name.startswith(("kv-", "st$")) and "take(letters, " not in name] == []


def test_no_application_setting_is_a_secret() -> None:
    everything = "".join(file.read_text(encoding="utf-8") for file in FILES)
    assert not re.findall(r"listKeys|AccountKey|SharedAccessKey|@secure\(\)", everything)
    assert "allowSharedKeyAccess: false" in text("modules/storage.bicep")
    assert "disableLocalAuth: true" in text("modules/bus.bicep")
    assert "DisableLocalAuth: true" in text("modules/monitoring.bicep")
    passwords = re.findall(
        r"basicPublishingCredentialsPolicies.*?name: '(\w+)'.*?allow: (\w+)", text("modules/app.bicep"), re.DOTALL
    )
    assert passwords == [("ftp", "false"), ("scm", "false")]


def test_the_app_does_not_reach_its_own_package() -> None:
    """Its role on blobs has a condition for each action of the role, and the package has another identity."""
    storage, app, main = (text(name) for name in ("modules/storage.bicep", "modules/app.bicep", "main.bicep"))
    assignments = re.findall(r"^resource (\w+) 'Microsoft.Authorization/roleAssignments@.*?^}", storage, re.M | re.S)
    assert assignments == ["mayUseTables", "mayUseBlobs", "mayWritePackage"]
    with_blobs = [block for block in storage.split("\nresource ") if "roleDefinitions', blobContributor)" in block]
    of_app, of_package = with_blobs
    assert "principalId: identity.properties.principalId" in of_app
    assert "condition: notThePackage\n    conditionVersion: '2.0'" in of_app
    assert "scope: deployments\n" in of_package
    assert "principalId: packageIdentity.properties.principalId" in of_package
    # "Azure built-in roles for Storage": the data actions of Storage Blob Data Contributor.
    assert re.findall(r"var blobActions = \[(.*)\]", storage) == [
        "'read', 'write', 'delete', 'add/action', 'move/action'"
    ]
    assert "join(actionMatches, ' AND ')" in storage
    assert "containers:name] StringNotEquals \\'${deployments.name}\\'" in storage
    assert "userAssignedIdentityResourceId: packageIdentity.id" in app
    assert main.count("    packageIdentityName: packageIdentityName\n") == 2
    assert "keyVaultReferenceIdentity: identity.id" in app


def test_the_workspace_gets_audit_logs_without_writes_to_blobs_and_without_metrics() -> None:
    """The Functions host writes to its blobs several times a minute, and metrics are kept by Azure in any case."""
    sent = {
        file.name: re.findall(r"^        (category\w*: '\w+')", file.read_text(encoding="utf-8"), re.MULTILINE)
        for file in FILES
        if "Microsoft.Insights/diagnosticSettings" in file.read_text(encoding="utf-8")
    }
    assert sent == {
        "bus.bicep": ["category: 'OperationalLogs'"],
        "storage.bicep": ["category: 'StorageRead'", "category: 'StorageDelete'"],
        "vault.bicep": ["categoryGroup: 'audit'"],
    }


def test_the_logs_of_a_day_have_a_limit_that_a_deployment_chooses() -> None:
    assert re.search(r"@minValue\(-1\)\n@maxValue\(\d+\)\nparam logDailyCapGB int = 2\n", text("main.bicep"))
    assert "dailyCapGB: logDailyCapGB" in text("main.bicep")
    assert "workspaceCapping: {\n      dailyQuotaGb: dailyCapGB\n    }" in text("modules/monitoring.bicep")
    assert "`LOG_DAILY_CAP_GB`" in (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def test_the_queues_equal_those_of_the_local_world() -> None:
    config = re.sub(r"^\s*//.*$", "", (ROOT / "local" / "Config.json").read_text(encoding="utf-8"), flags=re.MULTILINE)
    (namespace,) = json.loads(config)["UserConfig"]["Namespaces"]
    local = {queue["Name"]: {name[0].lower() + name[1:]: value for name, value in queue["Properties"].items()}
             for queue in namespace["Queues"]}  # fmt: skip
    names = re.search(r"var queueNames = \[(.*?)\]", text("modules/bus.bicep"), re.DOTALL)
    written = re.search(r"name: queue\n    properties: \{(.*?)\n    \}", text("modules/bus.bicep"), re.DOTALL)
    assert names
    assert written
    properties: dict[str, object] = {}
    for name, value in re.findall(r"(\w+): (\S+)", written[1]):
        properties[name] = json.loads(value.replace("'", '"'))
    assert local == dict.fromkeys(re.findall(r"'([\w-]+)'", names[1]), properties)


def test_the_lock_is_renewed_for_longer_than_a_function_may_run() -> None:
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    bus = host["extensions"]["serviceBus"]
    # The renewal counts from the acceptance of the session, which may have had many messages before this one (ADR 25).
    assert (host["functionTimeout"], bus["maxAutoLockRenewalDuration"]) == ("00:30:00", "1.00:00:00")
    assert bus["autoCompleteMessages"]
    assert host["telemetryMode"] == "OpenTelemetry"


def test_the_app_decides_about_callers_who_are_not_signed_in() -> None:
    """A page of the console leads them to the sign-in, which the platform's own refusal would not."""
    properties = parse("modules/app.bicep")["resources"]["signIn"]["config"]["config"]["properties"]
    assert properties["globalValidation"] == {
        "requireAuthentication": False,
        "unauthenticatedClientAction": "AllowAnonymous",
    }


def test_the_requests_that_wait_have_a_limit() -> None:
    """Past it the host answers 429 ("host.json reference", http): else a flood would wait in memory without end."""
    http = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["http"]
    assert (http["maxConcurrentRequests"], http["maxOutstandingRequests"]) == (100, 200)


def test_only_webhooks_health_and_files_answer_who_is_not_signed_in() -> None:
    routes = re.findall(r'route="([^"]+)"', (ROOT / "function_app.py").read_text(encoding="utf-8"))
    open_to_all = ("api/health", "api/mis/", "assets/")
    signed_in = [route for route in routes if not route.startswith(open_to_all)]
    assert signed_in == [
        "api/admin/{*rest}",
        "{root:maxlength(0)?}",
        "schools/{*rest}",
        "connect/{*rest}",
        "connect/zip",
        "schools/{school}/rehearsal/zip",
        "health/{*rest}",
    ]


def test_azd_finds_the_app_by_its_tag() -> None:
    azure = (ROOT / "azure.yaml").read_text(encoding="utf-8")
    assert "  sync:\n" in azure
    assert "'azd-service-name': 'sync'" in text("modules/app.bicep")


def test_every_parameter_is_a_value_of_the_azd_environment_and_has_its_default_in_one_place() -> None:
    """azd leaves out a parameter whose value is not set. One without a default in main.bicep is then asked for."""
    file = json.loads((ROOT / "infra" / "main.parameters.json").read_text(encoding="utf-8"))
    parameters = parse("main.bicep")["parameters"]
    variables = {name: re.sub("(?<=[a-z])(?=[A-Z])", "_", name).upper() for name in parameters} | _VARIABLES
    assert {name: one["value"] for name, one in file["parameters"].items()} == {
        name: f"${{{variable}}}" for name, variable in variables.items()
    }
    asked = [name for name, one in parameters.items() if one["default"] is None]
    assert asked == ["environmentName", "location", "alertEmails", "operationsUrl"]
