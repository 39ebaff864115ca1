"""The command that registers the sign-in of admins, against a directory that refuses what Graph refuses."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_registration import ADMIN_ROLE, AZURE_CLI, changes
from sync_core.http.admin.auth import SCOPE, Role
from tests.infra.bicep import ROOT
from tests.infra.scripts.directory import ME, Directory, id_of
from tests.infra.scripts.registrations import blank, change
from tests.infra.scripts.terminal import Terminal
from tests.infra.scripts.tunnel import TENANT, Entity

SCRIPT = "register_admins.py"
NAME = "MIS Class Sync admins (oak)"
URL = "https://func-oak-dx7lhk2m.azurewebsites.net"
REDIRECT = f"{URL}/.auth/login/aad/callback"
CLIENT = id_of("client 1")
HEAD = id_of("head")
IDENTITY = id_of("identity")
PROVISIONED = {"APP_URL": URL, "IDENTITY_PRINCIPAL_ID": IDENTITY}
NOT_TRUSTED_YET = "not set yet: the trust in the app's identity, because azd has not provisioned it"


@pytest.fixture
def hook(terminal: Terminal) -> Terminal:
    """A hook of azd, in an environment without values."""
    terminal.choose_environment({})
    terminal.environment |= {"AZURE_ENV_NAME": "oak", "AZURE_SUBSCRIPTION_ID": "s-1"}
    return terminal


def run(terminal: Terminal, *arguments: str) -> list[str]:
    """What the command prints. A hook then has what the command wrote into the environment."""
    result = terminal.run(SCRIPT, *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    if "AZURE_ENV_NAME" in terminal.environment:
        terminal.environment |= terminal.azd_values
    return result.stdout.splitlines()


def stop(terminal: Terminal, *arguments: str) -> str:
    """The sentences with which the command stops."""
    result = terminal.run(SCRIPT, *arguments)
    assert result.returncode == 1
    return result.stderr.strip()


def the_registration(directory: Directory) -> Entity:
    (registration,) = directory.applications.values()
    return registration


def test_the_first_run_makes_all_that_the_sign_in_of_admins_needs(hook: Terminal, directory: Directory) -> None:
    assert run(hook) == [
        f"created: the app registration {NAME}, client id {CLIENT}; it has no secret",
        f"azd environment: ADMIN_CLIENT_ID is {CLIENT}",
        "set: the app roles GroupSync.Admin and GroupSync.Teacher",
        "set: the groups claim, for the groups that are assigned to the application",
        "set: the scope user_impersonation, and tokens of version 2",
        "set: the Azure CLI as a client that needs no consent",
        "set: the identifier by which clients request tokens",
        "not set yet: the redirect URI, because the app has no address before azd provisions it",
        NOT_TRUSTED_YET,
        "created: its enterprise application",
        f"assigned: the app role GroupSync.Admin to {ME}",
        "to undo this assignment: az rest --method DELETE --url https://graph.microsoft.com/v1.0/servicePrincipals/"
        f"{id_of(NAME)}/appRoleAssignedTo/assignment-1",
        f"azd environment: ALL_SCHOOLS_ACCESS is {ME}",
        "to undo all of this: python infra/scripts/register_admins.py --undo",
    ]
    registration = the_registration(directory)
    assert registration["signInAudience"] == "AzureADMyOrg"
    assert [(role["value"], role["allowedMemberTypes"], role["isEnabled"]) for role in registration["appRoles"]] == [
        (role.value, ["User"], True) for role in Role
    ]
    assert registration["groupMembershipClaims"] == "ApplicationGroup"
    assert [claim["name"] for claim in registration["optionalClaims"]["accessToken"]] == ["groups"]
    (scope,) = registration["api"]["oauth2PermissionScopes"]
    assert scope["value"] == SCOPE == "user_impersonation"
    assert registration["api"]["requestedAccessTokenVersion"] == 2
    assert registration["api"]["preAuthorizedApplications"] == [
        {"appId": AZURE_CLI, "delegatedPermissionIds": [scope["id"]]}
    ]
    assert registration["identifierUris"] == [f"api://{CLIENT}"]
    assert (registration["passwordCredentials"], registration["keyCredentials"]) == ([], [])
    assert directory.owners == {registration["id"]: [ME]}
    (assignment,) = directory.assignments
    roles = {role["id"]: role["value"] for role in registration["appRoles"]}
    assert (assignment["principalId"], roles[assignment["appRoleId"]]) == (ME, Role.ADMIN)
    assert hook.azd_values == {"ADMIN_CLIENT_ID": CLIENT, "ALL_SCHOOLS_ACCESS": ME}


def test_a_second_run_changes_nothing(hook: Terminal, directory: Directory) -> None:
    run(hook)
    before = directory.changes
    assert run(hook) == [
        f"already there: the app registration {NAME}, client id {CLIENT}",
        "already there: all that it must contain",
        "not set yet: the redirect URI, because the app has no address before azd provisions it",
        NOT_TRUSTED_YET,
        "already there: its enterprise application",
        "already there: the app role GroupSync.Admin, assigned to people or groups (1)",
        "already there: ALL_SCHOOLS_ACCESS, the ids whose app roles apply to every school (1)",
        "to undo all of this: python infra/scripts/register_admins.py --undo",
    ]
    assert directory.changes == before


def test_the_run_after_provisioning_adds_the_address_alone(hook: Terminal, directory: Directory) -> None:
    run(hook)
    before = directory.changes
    hook.environment["APP_URL"] = URL
    assert f"set: the redirect URI {REDIRECT}" in run(hook)
    assert directory.changes == [*before, f"PATCH applications/{the_registration(directory)['id']}"]
    web = the_registration(directory)["web"]
    assert web["redirectUris"] == [REDIRECT]
    assert web["implicitGrantSettings"] == {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": True}
    run(hook)
    assert len(directory.changes) == len(before) + 1


def test_after_provisioning_it_trusts_the_identity_of_the_app_once(hook: Terminal, directory: Directory) -> None:
    run(hook)
    hook.environment |= PROVISIONED
    assert "created: it trusts the app's identity, and nobody else" in run(hook)
    (trusted,) = directory.credentials[the_registration(directory)["id"]]
    assert (trusted["subject"], trusted["issuer"]) == (IDENTITY, f"https://login.microsoftonline.com/{TENANT}/v2.0")
    assert trusted["audiences"] == ["api://AzureADTokenExchange"]
    before = directory.changes
    assert "already there: it trusts the app's identity" in run(hook)
    assert directory.changes == before


def test_who_may_not_make_it_trust_the_identity_gets_the_command(hook: Terminal, directory: Directory) -> None:
    by_hand = {name: value for name, value in hook.environment.items() if not name.startswith("AZURE_")}
    run(hook)
    hook.environment |= PROVISIONED
    directory.refuse.add("POST")
    message = stop(hook)
    assert "lacks the trust in the app's identity, and you may not change it, so admins may be unable" in message
    command = message.partition("'python ")[2].rstrip("'").split()
    assert command[3:] == [f"--identity={IDENTITY}", f"--tenant={TENANT}"]
    directory.refuse, hook.environment = set(), by_hand
    (hook.folder / "azd").unlink()
    assert "created: it trusts the app's identity, and nobody else" in run(hook, *command[1:])


def test_the_tenant_of_an_identity_is_not_guessed(hook: Terminal, directory: Directory) -> None:
    for name in ("AZURE_ENV_NAME", "AZURE_SUBSCRIPTION_ID"):
        del hook.environment[name]
    assert stop(hook, f"--identity={IDENTITY}").endswith("so nothing was changed: add --tenant")
    assert directory.calls == []


@pytest.mark.parametrize("provisioned", [{}, PROVISIONED])
def test_a_run_that_is_not_told_the_id_recognises_its_own(
    hook: Terminal, directory: Directory, provisioned: dict[str, str]
) -> None:
    hook.environment |= provisioned
    run(hook)
    del hook.environment["ADMIN_CLIENT_ID"]
    before = directory.changes
    assert run(hook)[0] == f"recognised: the app registration {NAME}, client id {CLIENT}; you alone own it"
    assert directory.changes == before
    assert hook.azd_values["ADMIN_CLIENT_ID"] == CLIENT


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({"owners": [HEAD]}, f"owned by {HEAD}"),
        ({"owners": []}, "has no owner"),
        ({"owners": [ME, HEAD]}, f"owned by {HEAD}"),
        ({"passwordCredentials": [{"keyId": "1"}]}, "has 1 secrets or certificates"),
        ({"spa": {"redirectUris": ["https://elsewhere.example"]}}, "redirects to https://elsewhere.example"),
        ({"web": blank()["web"] | {"redirectUris": [REDIRECT]}}, f"redirects to {REDIRECT}"),
    ],
)
def test_the_registration_of_somebody_else_is_not_used(
    hook: Terminal, directory: Directory, properties: Entity, why: str
) -> None:
    """The redirect URI of the last is this app's, but nothing says so before the app has an address."""
    directory.add_application(displayName=NAME, **properties)
    message = stop(hook)
    assert f"{CLIENT} ({why}); nothing was changed" in message
    assert "'azd env set ADMIN_CLIENT_ID' with its id" in message
    assert (directory.changes, hook.azd_values) == ([], {})


def test_a_registration_that_was_made_by_hand_is_completed_and_keeps_what_it_has(
    hook: Terminal, directory: Directory
) -> None:
    mine = {"id": id_of("role"), "value": ADMIN_ROLE, "displayName": "Mine", "isEnabled": True}
    registration = directory.add_application(
        displayName="by hand",
        owners=[HEAD],
        appRoles=[{**mine, "allowedMemberTypes": ["Application"]}, {**mine, "id": id_of("other"), "value": "Other"}],
        groupMembershipClaims="SecurityGroup",
        web=blank()["web"] | {"redirectUris": ["http://localhost"]},
        api=blank()["api"] | {"preAuthorizedApplications": [{"appId": HEAD, "delegatedPermissionIds": []}]},
    )
    hook.environment |= {"ADMIN_CLIENT_ID": CLIENT, "APP_URL": URL}
    other = "it also redirects to http://localhost: if you do not know that address, remove it under Authentication"
    for _ in range(2):
        assert [line for line in run(hook) if line.startswith("it also")] == [other]
    assert [(role["value"], role["displayName"]) for role in registration["appRoles"]] == [
        (ADMIN_ROLE, "Mine"), ("Other", "Mine"), ("GroupSync.Teacher", "Teacher"),
    ]  # fmt: skip
    assert registration["appRoles"][0]["allowedMemberTypes"] == ["Application", "User"]
    assert registration["groupMembershipClaims"] == "SecurityGroup"
    assert registration["web"]["redirectUris"] == ["http://localhost", REDIRECT]
    clients = registration["api"]["preAuthorizedApplications"]
    assert [client["appId"] for client in clients] == [HEAD, AZURE_CLI]
    (assignment,) = directory.assignments
    assert assignment["appRoleId"] == id_of("role")


def test_who_deploys_later_does_not_become_an_admin(hook: Terminal, directory: Directory) -> None:
    run(hook)
    directory.me = HEAD
    run(hook)
    assert [one["principalId"] for one in directory.assignments] == [ME]
    assert hook.azd_values["ALL_SCHOOLS_ACCESS"] == ME


def test_an_admin_is_added_by_their_sign_in_name(hook: Terminal, directory: Directory) -> None:
    directory.users["head_oak.example#EXT#@trust.example"] = HEAD
    run(hook)
    for _ in range(2):
        run(hook, "--admin=head_oak.example#EXT#@trust.example")
    assert [one["principalId"] for one in directory.assignments] == [ME, HEAD]
    assert hook.azd_values["ALL_SCHOOLS_ACCESS"] == f"{ME},{HEAD}"


def test_an_admin_who_is_nobody_is_not_added(hook: Terminal, directory: Directory) -> None:
    run(hook)
    assert "there is no user nobody@oak.example" in stop(hook, "--admin=nobody@oak.example")
    assert len(directory.assignments) == 1


def test_the_registration_is_in_the_tenant_of_the_subscription(hook: Terminal) -> None:
    """The person may be signed in to another tenant by default."""
    run(hook)
    assert (
        f"az account get-access-token --output json --resource https://graph.microsoft.com --tenant {TENANT}"
        in hook.calls
    )


def test_before_there_is_a_subscription_nothing_is_registered_in_a_tenant_by_chance(
    hook: Terminal, directory: Directory
) -> None:
    """A first `azd provision` asks for the subscription after its first hooks; `azd up` asks before them."""
    del hook.environment["AZURE_SUBSCRIPTION_ID"]
    (line,) = run(hook)
    assert line.startswith("not registered yet: azd has not chosen a subscription")
    assert (directory.calls, hook.azd_values) == ([], {})
    hook.environment |= {"AZURE_SUBSCRIPTION_ID": "s-1", "AZURE_TENANT_ID": TENANT, "APP_URL": URL}
    assert run(hook)[-1] == "next: azd provision, because the app was provisioned without this registration"
    assert run(hook)[-1] == "to undo all of this: python infra/scripts/register_admins.py --undo"


def test_two_people_share_the_work(hook: Terminal, directory: Directory) -> None:
    """One deploys and may not register; the other registers, without azd."""
    deployer, registrar = ME, HEAD
    by_hand = {name: value for name, value in hook.environment.items() if not name.startswith("AZURE_")}
    in_azd = dict(hook.environment)
    directory.users["deployer@oak.example"] = deployer
    directory.refuse.add("POST")
    message = stop(hook)
    assert message.startswith("you may not register applications in this tenant")
    assert "azd can deploy the app without it, and the admin API rejects every call" in message
    assert f"to run 'python infra/scripts/{SCRIPT} --admin={deployer}'" in message

    directory.refuse, directory.me, hook.environment = set(), registrar, dict(by_hand)
    (hook.folder / "azd").rename(hook.folder / "no azd")
    printed = run(hook, f"--admin={deployer}")
    told = [line.removeprefix("the person who deploys runs: ") for line in printed if line.startswith("the person")]
    assert told == [f"azd env set ADMIN_CLIENT_ID {CLIENT}", f"azd env set ALL_SCHOOLS_ACCESS {deployer}"]
    assert [one["principalId"] for one in directory.assignments] == [deployer]

    directory.refuse, directory.me, hook.environment = {"POST", "PATCH"}, deployer, dict(in_azd)
    (hook.folder / "no azd").rename(hook.folder / "azd")
    hook.environment |= {"ADMIN_CLIENT_ID": CLIENT, "ALL_SCHOOLS_ACCESS": deployer}
    run(hook)
    hook.environment["APP_URL"] = URL
    message = stop(hook)
    assert f"lacks the redirect URI {REDIRECT}, and you may not change it" in message
    assert f"Ask an owner of it ({registrar}) or a Cloud Application Administrator to run" in message
    command = message.partition("'python ")[2].rstrip("'").split()
    assert command == [f"infra/scripts/{SCRIPT}", f"--client={CLIENT}", f"--app-url={URL}"]

    directory.refuse, directory.me, hook.environment = set(), registrar, dict(by_hand)
    assert f"set: the redirect URI {REDIRECT}" in run(hook, *command[1:])


def test_a_new_registration_that_graph_does_not_know_yet_is_completed(hook: Terminal, directory: Directory) -> None:
    directory.late = 1
    directory.owner_by_itself = False
    run(hook)
    assert list(directory.owners.values()) == [[ME]]
    assert len(directory.assignments) == 1


def test_a_run_that_was_stopped_is_continued_by_the_next(hook: Terminal, directory: Directory) -> None:
    directory.refuse.add("POST servicePrincipals")
    assert "lacks an enterprise application, and you may not change it" in stop(hook)
    hook.environment |= hook.azd_values
    directory.refuse.clear()
    assert run(hook)[0].startswith("already there")
    assert len(directory.assignments) == 1


def test_who_may_not_assign_the_role_gets_the_command_of_who_may(hook: Terminal, directory: Directory) -> None:
    run(hook)
    directory.assignments.clear()
    directory.refuse.add("POST")
    message = stop(hook)
    assert "lacks an admin with the app role GroupSync.Admin, and you may not change it, so admins" in message
    assert message.endswith(f"to run 'python infra/scripts/{SCRIPT} --client={CLIENT} --admin={ME}'")


def test_an_id_of_no_registration_is_said_and_nothing_is_made(hook: Terminal, directory: Directory) -> None:
    hook.environment["ADMIN_CLIENT_ID"] = CLIENT
    assert f"no app registration with the client id {CLIENT}, the value of ADMIN_CLIENT_ID" in stop(hook)
    assert directory.changes == []


def test_all_of_it_is_undone(hook: Terminal, directory: Directory) -> None:
    run(hook)
    object_id = the_registration(directory)["id"]
    assert run(hook, "--undo") == [
        f"removed: the app registration {NAME}, with its roles and their assignments",
        "to undo this within 30 days: az rest --method POST --url "
        f"https://graph.microsoft.com/v1.0/directory/deletedItems/{object_id}/restore",
        "azd environment: ADMIN_CLIENT_ID is empty",
        "nobody can use the admin API now; azd provision makes a new registration",
    ]
    assert directory.applications == {}
    assert hook.azd_values == {"ADMIN_CLIENT_ID": "", "ALL_SCHOOLS_ACCESS": ME}
    assert f"there is no app registration {NAME}, so there is nothing to undo" in stop(hook, "--undo")


def test_a_registration_of_something_else_is_not_removed(hook: Terminal, directory: Directory) -> None:
    directory.add_application(displayName="Payroll")
    hook.environment["ADMIN_CLIENT_ID"] = CLIENT
    assert "this command did not make it, and nothing was changed" in stop(hook, "--undo")
    assert directory.changes == []


def roles() -> st.SearchStrategy[list[Entity]]:
    values = st.sampled_from([ADMIN_ROLE, "GroupSync.Teacher", "user_impersonation", "Other"])
    kinds = st.lists(st.sampled_from(["User", "Application"]), min_size=1, unique=True)
    role = st.fixed_dictionaries({"value": values, "isEnabled": st.booleans(), "allowedMemberTypes": kinds})
    listed = st.lists(role, max_size=4, unique_by=lambda one: str(one["value"]))
    return listed.map(lambda found: [{**one, "id": f"{number}"} for number, one in enumerate(found)])


@given(roles(), roles(), st.sampled_from([None, "None", "All", "SecurityGroup, DirectoryRole"]), st.booleans(),
       st.lists(st.sampled_from([REDIRECT, "http://localhost"]), unique=True))  # fmt: skip
def test_whatever_a_registration_has_it_is_complete_after_the_changes_and_lacks_nothing_it_had(
    app_roles: list[Entity],
    scopes: list[Entity],
    groups: str | None,
    client: bool,
    redirects: list[str],
) -> None:
    application = {**blank(), "appId": CLIENT, "appRoles": app_roles, "groupMembershipClaims": groups}
    api = application["api"]
    api["oauth2PermissionScopes"] = [{k: v for k, v in one.items() if k != "allowedMemberTypes"} for one in scopes]
    api["preAuthorizedApplications"] = [{"appId": AZURE_CLI, "delegatedPermissionIds": []}] if client else []
    application["web"]["redirectUris"] = redirects
    before = ast.literal_eval(repr(application))
    found = changes(application, URL)
    assert application == before
    for one in found:
        change(application, ast.literal_eval(repr(one.properties)))
    assert changes(application, URL) == []
    ids = {role["id"] for role in application["appRoles"]}
    assert {role["id"] for role in before["appRoles"]} <= ids
    assert {role["value"] for role in application["appRoles"] if role["isEnabled"]} >= {role.value for role in Role}
    assert set(redirects) | {REDIRECT} == set(application["web"]["redirectUris"])


def test_the_registration_has_the_roles_that_the_app_knows() -> None:
    (first, *_) = changes({**blank(), "appId": CLIENT}, "")
    assert [role["value"] for role in first.properties["appRoles"]] == [role.value for role in Role]


def test_the_template_has_the_environments_values() -> None:
    parameters = (ROOT / "infra" / "main.parameters.json").read_text(encoding="utf-8")
    assert "${ADMIN_CLIENT_ID}" in parameters
    assert "${ALL_SCHOOLS_ACCESS}" in parameters
