"""grant_graph.py: it grants exactly the documented permissions, and revokes them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from sync_core.domain.permissions import PERMISSIONS, Need
from sync_core.errors import LATER_GRANT
from tests.infra.bicep import ROOT
from tests.infra.scripts.directory import GRAPH_APP_ID, Directory, id_of
from tests.infra.scripts.terminal import Terminal

SCRIPT = "grant_graph.py"
TENANT = "7c1f8e2a-4d3b-4f6a-9b0e-2d5c8a1e7f90"
NAMES = tuple(permission.name for permission in PERMISSIONS)
NEEDED = [permission.name for permission in PERMISSIONS if permission.required]
(RESTORE,) = (permission.name for permission in PERMISSIONS if permission.need is Need.RESTORE)
TEAMS = [permission.name for permission in PERMISSIONS if permission.need in (Need.TEAMS, Need.OPEN_TEAMS)]
WAIT = f"wait: {LATER_GRANT}"


@pytest.fixture
def directory() -> Directory:
    """A tenant with Microsoft Graph, an app that has the same roles, and the identity, to which azd points."""
    directory = Directory()
    directory.add_principal("Microsoft Graph", GRAPH_APP_ID, (*NAMES, "Mail.Read"))
    directory.add_principal("another API", roles=NAMES)
    directory.add_principal("identity")
    return directory


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    terminal.environment |= {
        "AZURE_ENV_NAME": "oak",
        "AZURE_TENANT_ID": TENANT,
        "IDENTITY_PRINCIPAL_ID": id_of("identity"),
    }
    return terminal


def granted(directory: Directory) -> list[str]:
    """The permissions of Microsoft Graph that the identity has."""
    names = {id_of(f"Application {name}"): name for name in (*NAMES, "Mail.Read")}
    ends = {(one["principalId"], one["resourceId"]) for one in directory.assignments}
    assert ends <= {(id_of("identity"), id_of("Microsoft Graph"))}
    return [names[one["appRoleId"]] for one in directory.assignments]


def test_exactly_the_needed_permissions_are_granted_and_reported(terminal: Terminal, directory: Directory) -> None:
    result = terminal.start(SCRIPT)
    assert result.returncode == 0, result.stderr
    assert granted(directory) == NEEDED
    assert [re.split(r" \(|; ", line)[0] for line in result.stdout.splitlines()] == [
        *(f"granted: {name}" for name in NEEDED),
        f"not granted: {RESTORE}",
        *(f"not granted: {name}" for name in TEAMS),
        WAIT,
    ]
    assert {f"granted: {one.name} ({one.purpose})" for one in PERMISSIONS if one.required} <= set(
        result.stdout.splitlines()
    )


def test_a_second_run_changes_nothing(terminal: Terminal, directory: Directory) -> None:
    terminal.run(SCRIPT)
    before = directory.changes
    result = terminal.run(SCRIPT)
    assert directory.changes == before
    assert result.stdout.count("already granted: ") == 5


def test_the_same_role_of_another_api_is_no_permission_of_graph(terminal: Terminal, directory: Directory) -> None:
    ends = {"principalId": id_of("identity"), "resourceId": id_of("another API")}
    directory.assignments.append({"id": "other", "appRoleId": id_of(f"Application {NEEDED[0]}"), **ends})
    lines = terminal.run(SCRIPT).stdout.splitlines()
    assert len([line for line in lines if line.startswith("granted: ")]) == 5
    assert directory.assignments.pop(0)["id"] == "other"
    assert granted(directory) == NEEDED


def test_the_restore_permission_is_granted_only_on_request(terminal: Terminal, directory: Directory) -> None:
    terminal.run(SCRIPT, "--restore")
    assert granted(directory) == [*NEEDED, RESTORE]
    assert f"still granted: {RESTORE}" in terminal.run(SCRIPT).stdout


def test_the_permissions_for_teams_are_granted_only_on_request(terminal: Terminal, directory: Directory) -> None:
    terminal.run(SCRIPT, "--teams")
    assert granted(directory) == [*NEEDED, *TEAMS]
    again = terminal.run(SCRIPT, "--teams", "--restore").stdout
    assert granted(directory) == [*NEEDED, *TEAMS, RESTORE]
    assert f"already granted: {TEAMS[0]}" in again


@pytest.mark.parametrize("option", ["--restore", "--teams"])
def test_revoking_takes_no_option_that_grants(terminal: Terminal, directory: Directory, option: str) -> None:
    result = terminal.start(SCRIPT, "--revoke", option)
    assert result.returncode == 2
    assert directory.changes == []


def test_revoke_removes_only_the_scripts_permissions(terminal: Terminal, directory: Directory) -> None:
    ends = {"principalId": id_of("identity"), "resourceId": id_of("Microsoft Graph")}
    directory.assignments.append({"id": "assignment-mail", "appRoleId": id_of("Application Mail.Read"), **ends})
    terminal.run(SCRIPT, "--restore", "--teams")
    result = terminal.run(SCRIPT, "--revoke")
    assert granted(directory) == ["Mail.Read"]
    assert result.stdout.splitlines() == [f"revoked: {name}" for name in NAMES]
    before = directory.changes
    assert terminal.run(SCRIPT, "--revoke").stdout.splitlines() == [f"not granted: {name}" for name in NAMES]
    assert directory.changes == before


def test_the_tenant_of_the_identity_is_the_one_that_is_signed_in_to(terminal: Terminal, directory: Directory) -> None:
    """An identity that azd does not name is in the tenant of `az login`, unless the command names another."""
    other = directory.add_principal("other")
    terminal.run(SCRIPT)
    terminal.run(SCRIPT, f"--principal={other}")
    terminal.run(SCRIPT, f"--principal={other}", "--tenant=school.example")
    options = [call.partition("https://graph.microsoft.com")[2] for call in terminal.calls]
    assert options == [f" --tenant {TENANT}", "", " --tenant school.example"]
    assert [one["principalId"] for one in directory.assignments] == [id_of("identity")] * 5 + [other] * 5


@pytest.mark.parametrize(
    ("refuse", "arguments", "principal", "status", "message"),
    [
        ("", [], "", 2, "with --principal"),
        ("", ["--all"], "identity", 2, "usage"),
        ("", ["--restore", "--revoke"], "identity", 2, "use it without"),
        ("all", [], "identity", 1, "sign in with 'az login'"),
        ("POST", [], "identity", 1, "Insufficient privileges"),
        ("", [], "deleted", 1, "check that you are signed in to the tenant that has these ids"),
    ],
)
def test_a_failure_stops_the_script_with_a_remedy(
    terminal: Terminal,
    directory: Directory,
    refuse: str,
    arguments: list[str],
    principal: str,
    status: int,
    message: str,
) -> None:
    directory.refuse.add(refuse)
    terminal.environment["IDENTITY_PRINCIPAL_ID"] = principal and id_of(principal)
    result = terminal.run(SCRIPT, *arguments)
    assert result.returncode == status
    assert message in result.stderr
    assert directory.assignments == []


def test_a_tenant_of_another_cloud_is_recognised_before_anything_changes(
    terminal: Terminal, directory: Directory
) -> None:
    graph = directory.principals[id_of("Microsoft Graph")]
    graph["appRoles"] = [role for role in graph["appRoles"] if role["value"] != "User.Read.All"]
    result = terminal.run(SCRIPT)
    assert result.returncode == 1
    assert "no application permission User.Read.All in this tenant" in result.stderr
    assert directory.changes == []
    graph["appRoles"] = [role for role in graph["appRoles"] if role["value"] != RESTORE]
    terminal.run(SCRIPT, "--restore")
    assert directory.changes == []


def test_what_the_script_takes_from_the_app_needs_python_alone() -> None:
    """azd runs the script with the packages of infra/scripts/requirements.txt, and no other."""
    command = [sys.executable, "-SE", "-c", "import sync_core.domain.permissions, sync_core.errors"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
