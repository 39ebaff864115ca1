"""The consent script against a fake Azure CLI: it grants exactly the documented permissions, and revokes them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync_core.domain.permissions import PERMISSIONS, Permission
from sync_core.errors import LATER_GRANT
from tests.infra.bicep import ROOT

SCRIPTS = sorted((ROOT / "infra" / "scripts").iterdir())
SCRIPT, POWERSHELL = (ROOT / "infra" / "scripts" / name for name in ("grant-graph.sh", "grant-graph.ps1"))
NEEDED = [permission.name for permission in PERMISSIONS if permission.required]
(RESTORE,) = (permission.name for permission in PERMISSIONS if not permission.required)
WAIT = f"wait: {LATER_GRANT}"

CONSENT_TEXTS = {
    "EduRoster.ReadWrite.All": "Read and write the organization's roster",
    "GroupMember.ReadWrite.All": "Read and write all group memberships",
    "GroupMember.Read.All": "Read all group memberships",
    "Member.Read.Hidden": "Read all hidden memberships",
    "User.Read.All": "Read all users' full profiles",
}
"""What Microsoft's consent page shows ("Microsoft Graph permissions reference")."""

# Responds as Graph would to the script's few queries, from a state in a file.
AZ = """#!{python}
import json, sys
from pathlib import Path
state = json.loads(Path({state!r}).read_text())
arguments = dict(zip(sys.argv[2::2], sys.argv[3::2]))
method, url, query = arguments["--method"], arguments["--url"], arguments.get("--query", "")
state["calls"].append(f"{{method}} {{url.rpartition('v1.0/')[2]}}")
print("WARNING: there is a newer version of the CLI", file=sys.stderr)
def done(text=""):
    Path({state!r}).write_text(json.dumps(state))
    print(text)
    sys.exit(0)
if state["refuse"] in (method, "all"):
    Path({state!r}).write_text(json.dumps(state))
    sys.exit("Insufficient privileges to complete the operation.")
if method == "DELETE":
    state["granted"] = {{role: id_ for role, id_ in state["granted"].items() if id_ != url.rpartition("/")[2]}}
    done()
if method == "POST":
    body = json.loads(arguments["--body"])
    assert (body["principalId"], body["resourceId"]) == ("app", "graph"), body
    state["granted"][body["appRoleId"]] = "assignment-" + body["appRoleId"]
    done("{{}}")
if url.endswith("appRoles"):
    name = query.partition("value=='")[2].partition("'")[0]
    done("" if name in state["unknown"] else "role-" + name)
if url.endswith("appRoleAssignments"):
    done("\\n".join(f"{{role}}\\t{{id_}}" for role, id_ in state["granted"].items()))
done("graph")
"""


@dataclass(slots=True)
class Scene:
    """A tenant, whose state is in a file of `folder`."""

    folder: Path

    def write(self, **state: object) -> None:
        content = {"calls": [], "granted": {}, "refuse": "", "unknown": []} | state
        (self.folder / "state.json").write_text(json.dumps(content), encoding="utf-8")
        az = self.folder / "az"
        az.write_text(AZ.format(python=sys.executable, state=str(self.folder / "state.json")), encoding="utf-8")
        az.chmod(0o755)

    def run(self, *arguments: str, principal: str = "app") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}", "IDENTITY_PRINCIPAL_ID": principal}
        command = ["sh", str(SCRIPT), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    @property
    def granted(self) -> list[str]:
        return [role.removeprefix("role-") for role in self._state["granted"]]

    @property
    def changes(self) -> list[str]:
        return [call for call in self._state["calls"] if not call.startswith("GET")]

    @property
    def _state(self) -> dict[str, list[str]]:
        state: dict[str, list[str]] = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        return state


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.write()
    return scene


def test_exactly_the_needed_permissions_are_granted_and_reported(scene: Scene) -> None:
    result = scene.run()
    assert result.returncode == 0, result.stderr
    assert scene.granted == NEEDED
    assert [re.split(r" \(|; ", line)[0] for line in result.stdout.splitlines()] == [
        *(f"granted: {name}" for name in NEEDED),
        f"not granted: {RESTORE}",
        WAIT,
    ]


def test_a_second_run_changes_nothing(scene: Scene) -> None:
    scene.run()
    before = scene.changes
    result = scene.run()
    assert scene.changes == before
    assert result.stdout.count("already granted: ") == 5


def test_the_restore_permission_is_granted_only_on_request(scene: Scene) -> None:
    scene.run("--restore")
    assert scene.granted == [*NEEDED, RESTORE]
    assert f"still granted: {RESTORE}" in scene.run().stdout


def test_revoke_removes_only_the_scripts_permissions(scene: Scene) -> None:
    scene.write(granted={"role-Mail.Read": "assignment-mail"})
    scene.run("--restore")
    result = scene.run("--revoke")
    assert scene.granted == ["Mail.Read"]
    assert result.stdout.count("revoked: ") == 6
    assert WAIT not in result.stdout


@pytest.mark.parametrize(
    ("state", "arguments", "principal", "status", "message"),
    [
        ({}, [], "", 2, "with --principal"),
        ({}, ["--all"], "app", 2, "usage"),
        ({"refuse": "all"}, [], "app", 1, "sign in with 'az login'"),
        ({"refuse": "POST"}, [], "app", 1, "Insufficient privileges"),
        ({"unknown": ["User.Read.All"]}, [], "app", 1, "no application permission User.Read.All"),
    ],
)
def test_a_failure_stops_the_script_with_a_remedy(
    scene: Scene, state: dict[str, object], arguments: list[str], principal: str, status: int, message: str
) -> None:
    scene.write(**state)
    result = scene.run(*arguments, principal=principal)
    assert result.returncode == status
    assert message in result.stderr


def test_the_powershell_script_creates_the_same_app_with_the_same_trust() -> None:
    """PowerShell is not run here: the texts of both scripts are compared."""
    bash, powershell = (
        (ROOT / "infra" / "scripts" / f"federate.{end}").read_text(encoding="utf-8") for end in ("sh", "ps1")
    )
    for text in (
        *NEEDED,
        "AzureADMultipleOrgs",
        "api://AzureADTokenExchange",
        "already there: it trusts the app's identity",
        "created: it trusts the app's identity, and nobody else",
        "adminconsent?client_id=",
        "which anybody may have created",
        "it requests the permissions that this release needs",
        "AADSTS500113",
        WAIT,
    ):
        assert text in bash, text
        assert text in powershell, text


def test_both_scripts_name_the_permissions_and_why_each_is_needed() -> None:
    """PowerShell is not run here: the texts of both scripts are compared."""
    bash = re.findall(r"^ *permission (\S+) \"(.*)\"", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    powershell = re.findall(r"^ *Set-Permission '(\S+)' '(.*)'", POWERSHELL.read_text(encoding="utf-8"), re.MULTILINE)
    assert bash == powershell == [(permission.name, permission.purpose) for permission in PERMISSIONS]


def test_the_documents_say_why_each_permission_is_needed() -> None:
    pages = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in _LINES}
    for name, line in _LINES.items():
        lines = [line(permission) for permission in PERMISSIONS if permission.required or name == "operations"]
        assert [one for one in lines if one not in pages[name].splitlines()] == [], name


_LINES: dict[str, Callable[[Permission], str]] = {
    "operations": lambda one: f"| `{one.name}`{'' if one.required else ' (optional)'} | {one.purpose} |",
    "deploy": lambda one: f"granted: {one.name} ({one.purpose})",
    "onboard-a-tenant": lambda one: f"> - *{CONSENT_TEXTS[one.name]}* (`{one.name}`): {one.purpose}.",
}


def test_nothing_asks_for_a_permission_to_change_users() -> None:
    files = [*SCRIPTS, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    assert [file.name for file in files if "User.ReadWrite" in file.read_text(encoding="utf-8")] == []


GRANTING = re.compile(
    r"\bgrant.*(Graph permission|\.All\b)|(Graph permission|\.All\b).*\bgrant|grant-graph\.", re.IGNORECASE
)


WRAP = re.compile(r"(?<=[^\n|])\n(?=[^\n|])")
"""The end of a line within a paragraph, where a sentence goes on; a row of a table ends with its line."""


def test_whatever_speaks_of_granting_says_how_late_a_token_may_carry_a_grant() -> None:
    pages = [*SCRIPTS, *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
    granting = {name for name, text in texts.items() if GRANTING.search(WRAP.sub(" ", text))}
    assert granting >= {
        "README.md",
        "deploy.md",
        "onboard-a-tenant.md",
        "operations.md",
        "security.md",
        "grant-graph.sh",
    }
    later = "token may take up to 24 hours to carry a later grant"
    assert [name for name in sorted(granting) if later not in " ".join(texts[name].split())] == []


def test_the_consent_page_without_a_redirect_address_is_explained_where_consent_is_given() -> None:
    """The page of an app without a redirect URI ends with an error after the consent was given."""
    pages = [*SCRIPTS, *(ROOT / "docs").rglob("*.md")]
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
    consenting = {name for name, text in texts.items() if "/adminconsent?" in text}
    assert consenting == {"federate.sh", "federate.ps1", "onboard-a-tenant.md"}
    assert [name for name in consenting if "AADSTS500113" not in texts[name]] == []
    assert [name for name in consenting if "is given all the same" not in texts[name]] == []


AZ_OF_FEDERATE = """#!{python}
import json, sys
from pathlib import Path
state = json.loads(Path({state!r}).read_text())
arguments = dict(zip(sys.argv[2::2], sys.argv[3::2]))
method, url, query = arguments["--method"], arguments["--url"], arguments.get("--query", "")
state["calls"].append(f"{{method}} {{url.rpartition('v1.0/')[2].partition('?')[0]}}")
output = ""
if method == "POST":
    body = json.loads(arguments["--body"])
    kind = "trusted" if url.endswith("federatedIdentityCredentials") else "apps"
    state[kind].append(body)
    output = "object\tclient"
elif method == "PATCH":
    assert url.endswith("/applications/object"), url
    state["apps"][0] |= json.loads(arguments["--body"])
elif url.endswith("appRoles"):
    output = "role-" + query.partition("value=='")[2].partition("'")[0]
elif url.endswith("federatedIdentityCredentials"):
    output = "credential" if state["trusted"] else ""
elif "/applications(appId='client')" in url:
    output = "object"
elif "/applications?" in url:
    output = "client" if state["apps"] else ""
else:
    output = "graph"
Path({state!r}).write_text(json.dumps(state))
print(output)
"""


def request_fewer_permissions(file: Path) -> None:
    """Make the app registration that of an earlier release."""
    state = json.loads(file.read_text(encoding="utf-8"))
    del state["apps"][0]["requiredResourceAccess"][0]["resourceAccess"][1:]
    file.write_text(json.dumps(state), encoding="utf-8")


def test_the_app_for_other_tenants_trusts_the_identity_and_is_created_once(tmp_path: Path) -> None:
    state, az = tmp_path / "state.json", tmp_path / "az"
    state.write_text(json.dumps({"calls": [], "apps": [], "trusted": []}), encoding="utf-8")
    az.write_text(AZ_OF_FEDERATE.format(python=sys.executable, state=str(state)), encoding="utf-8")
    az.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "IDENTITY_PRINCIPAL_ID": "identity",
        "AZURE_TENANT_ID": "home",
    }
    script = str(ROOT / "infra" / "scripts" / "federate.sh")
    outputs = []
    for client in ("", "client"):
        environment["GRAPH_CLIENT_ID"] = client
        if client:
            request_fewer_permissions(state)
        result = subprocess.run(["sh", script], env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout)
    after = json.loads(state.read_text(encoding="utf-8"))
    (app,), (trusted,) = after["apps"], after["trusted"]
    assert app["signInAudience"] == "AzureADMultipleOrgs"
    assert [role["id"] for role in app["requiredResourceAccess"][0]["resourceAccess"]] == [
        f"role-{name}" for name in NEEDED
    ]
    assert (trusted["subject"], trusted["issuer"]) == ("identity", "https://login.microsoftonline.com/home/v2.0")
    assert trusted["audiences"] == ["api://AzureADTokenExchange"]
    assert outputs[0].count("created: ") == 2
    assert outputs[1].count("already there: ") == 2
    assert "adminconsent?client_id=client" in outputs[1]
    assert all("AADSTS500113" in output and WAIT in output for output in outputs)
    # An app of the same name may belong to somebody else and have a secret: the name is not enough.
    environment["GRAPH_CLIENT_ID"] = ""
    result = subprocess.run(["sh", script], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "which anybody may have created: client" in result.stderr
    assert json.loads(state.read_text(encoding="utf-8"))["trusted"] == [trusted]
    del environment["IDENTITY_PRINCIPAL_ID"]
    assert subprocess.run(["sh", script], env=environment, capture_output=True, check=False).returncode == 2
