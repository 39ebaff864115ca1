"""federate.py: the app for other tenants trusts the app's identity, is created once, and is recognised later."""

from __future__ import annotations

from typing import Any

import pytest

from sync_core.domain.permissions import PERMISSIONS
from sync_core.errors import LATER_GRANT
from tests.infra.scripts.directory import GRAPH_APP_ID, ME, Directory, id_of
from tests.infra.scripts.terminal import Terminal

SCRIPT = "federate.py"
NAME = "MIS Class Sync"
NEEDED = tuple(permission.name for permission in PERMISSIONS if permission.required)
HOME = "7c1f8e2a-4d3b-4f6a-9b0e-2d5c8a1e7f90"
ISSUER = f"https://login.microsoftonline.com/{HOME}/v2.0"
CLIENT, OTHER = id_of("client 1"), id_of("somebody else")
VALUES = {"AZURE_ENV_NAME": "oak", "AZURE_TENANT_ID": HOME, "IDENTITY_PRINCIPAL_ID": id_of("identity")}


@pytest.fixture
def directory() -> Directory:
    directory = Directory()
    directory.add_principal("Microsoft Graph", GRAPH_APP_ID, tuple(permission.name for permission in PERMISSIONS))
    return directory


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    terminal.choose_environment(VALUES)
    return terminal


def run(terminal: Terminal) -> str:
    result = terminal.run(SCRIPT)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refusal(terminal: Terminal) -> str:
    """The message of a run that stops, and changes nothing."""
    result = terminal.run(SCRIPT)
    assert result.returncode == 1
    return result.stderr


@pytest.mark.parametrize("owner_by_itself", [True, False])
def test_the_app_for_other_tenants_trusts_the_identity_and_is_created_once(
    terminal: Terminal, directory: Directory, owner_by_itself: bool
) -> None:
    directory.owner_by_itself = owner_by_itself
    outputs = [run(terminal)]
    (app,) = directory.applications.values()
    (trusted,) = directory.credentials[app["id"]]
    assert (app["displayName"], app["signInAudience"]) == (NAME, "AzureADMultipleOrgs")
    (access,) = app["requiredResourceAccess"]
    assert access["resourceAppId"] == GRAPH_APP_ID
    assert access["resourceAccess"] == [{"id": id_of(f"Application {name}"), "type": "Role"} for name in NEEDED]
    assert (trusted["subject"], trusted["issuer"]) == (id_of("identity"), ISSUER)
    assert trusted["audiences"] == ["api://AzureADTokenExchange"]
    assert directory.owners[app["id"]] == [ME]
    assert terminal.azd_values == {**VALUES, "GRAPH_CLIENT_ID": CLIENT}

    before = directory.changes
    outputs.append(run(terminal))
    assert directory.changes == before
    assert outputs[0].count("created: ") == 2
    assert outputs[1].count("already there: ") == 2
    assert f"adminconsent?client_id={CLIENT}" in outputs[1]
    assert all("AADSTS500113" in output and f"wait: {LATER_GRANT}" in output for output in outputs)


def test_an_app_of_an_earlier_release_requests_the_permissions_of_this_one(
    terminal: Terminal, directory: Directory
) -> None:
    run(terminal)
    (app,) = directory.applications.values()
    wanted = {**app}
    app["requiredResourceAccess"] = [{**app["requiredResourceAccess"][0], "resourceAccess": []}]
    assert "it now requests the permissions that this release needs" in run(terminal)
    assert app == wanted
    assert "it requests the permissions that this release needs" in run(terminal)


def test_a_run_that_was_not_told_the_id_recognises_the_app_and_continues(
    terminal: Terminal, directory: Directory
) -> None:
    """As after a run that stopped between its two halves, or in another copy of the project."""
    run(terminal)
    (app,) = directory.applications.values()
    directory.credentials[app["id"]].clear()
    for expected in ("created: it trusts the app's identity, and nobody else", "already there: it trusts the app's"):
        terminal.choose_environment(VALUES)
        output = run(terminal)
        assert expected in output
        assert f"recognised: the app registration {NAME} ({CLIENT}); you alone own it" in output
        assert terminal.azd_values["GRAPH_CLIENT_ID"] == CLIENT
    assert len(directory.applications) == 1


def test_an_own_app_is_recognised_next_to_those_of_others(terminal: Terminal, directory: Directory) -> None:
    for _ in range(3):
        directory.add_application(displayName=NAME, owners=[OTHER])
    own = directory.add_application(displayName=NAME)
    run(terminal)
    assert terminal.azd_values["GRAPH_CLIENT_ID"] == own["appId"]
    assert [bool(credentials) for credentials in directory.credentials.values()] == [False, False, False, True]


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({"owners": [OTHER]}, f"owned by {OTHER}"),
        ({"owners": [ME, OTHER]}, f"owned by {OTHER}"),
        ({"owners": []}, "has no owner"),
        ({"passwordCredentials": [{"keyId": "1"}]}, "has 1 secrets or certificates"),
        ({"keyCredentials": [{"keyId": "1"}]}, "has 1 secrets or certificates"),
        ({"web": {"redirectUris": ["https://stranger.example"]}}, "redirects to https://stranger.example"),
        ({"spa": {"redirectUris": ["https://stranger.example"]}}, "redirects to https://stranger.example"),
    ],
)
def test_an_app_that_somebody_else_can_use_stops_the_run(
    terminal: Terminal, directory: Directory, properties: dict[str, Any], why: str
) -> None:
    """A name proves nothing: anybody who may register applications can give it to one with their own secret."""
    app = directory.add_application(displayName=NAME, **properties)
    message = refusal(terminal)
    assert f"{app['appId']} ({why}); nothing was changed" in message
    assert "run 'azd env set GRAPH_CLIENT_ID' with its id" in message
    assert directory.changes == []
    assert terminal.azd_values == VALUES


def test_an_app_that_trusts_somebody_else_stops_the_run(terminal: Terminal, directory: Directory) -> None:
    app = directory.add_application(displayName=NAME)
    directory.credentials[app["id"]] = [{"name": "identity", "issuer": "https://stranger.example", "subject": "s"}]
    assert "trusts s of https://stranger.example" in refusal(terminal)
    assert directory.changes == []


def test_two_own_apps_of_the_name_stop_the_run(terminal: Terminal, directory: Directory) -> None:
    apps = [directory.add_application(displayName=NAME)["appId"] for _ in range(2)]
    assert "; ".join(f"{app} (yours alone)" for app in apps) in refusal(terminal)
    assert directory.changes == []


def test_an_app_that_the_environment_names_is_kept_whoever_owns_it(terminal: Terminal, directory: Directory) -> None:
    app = directory.add_application(displayName=NAME, owners=[OTHER])
    directory.credentials[app["id"]] = [{"name": "old", "issuer": ISSUER, "subject": "old"}]
    terminal.choose_environment({**VALUES, "GRAPH_CLIENT_ID": app["appId"]})
    output = run(terminal)
    assert "created: it trusts the app's identity\n" in output
    assert f"it also trusts old of {ISSUER}: if you do not know that one, remove it" in output
    assert [one["subject"] for one in directory.credentials[app["id"]]] == ["old", id_of("identity")]


def test_an_app_that_the_environment_names_and_is_gone_stops_the_run(terminal: Terminal, directory: Directory) -> None:
    terminal.choose_environment({**VALUES, "GRAPH_CLIENT_ID": "gone"})
    assert "there is no app registration with the client id gone, the value of GRAPH_CLIENT_ID" in refusal(terminal)
    assert directory.changes == []


def test_without_azd_the_client_id_is_for_who_deploys(terminal: Terminal, directory: Directory) -> None:
    (terminal.folder / "azd").unlink()
    terminal.environment |= {name: VALUES[name] for name in ("AZURE_TENANT_ID", "IDENTITY_PRINCIPAL_ID")}
    result = terminal.start(SCRIPT)
    assert result.returncode == 0, result.stderr
    assert f"next: azd env set GRAPH_CLIENT_ID {CLIENT} && azd provision" in result.stdout


def test_a_person_who_may_not_register_applications_is_told_who_may(terminal: Terminal, directory: Directory) -> None:
    directory.refuse.add("POST")
    assert "sign in with 'az login' as a person who may register applications, such as an Applic" in refusal(terminal)
    assert terminal.azd_values == VALUES


@pytest.mark.parametrize("missing", ["AZURE_TENANT_ID", "IDENTITY_PRINCIPAL_ID"])
def test_without_the_identity_nothing_starts(terminal: Terminal, missing: str) -> None:
    terminal.choose_environment({**VALUES, missing: ""})
    result = terminal.run(SCRIPT)
    assert result.returncode == 2
    assert "as 'azd env get-values' prints them" in result.stderr
