"""What the scripts share: who is signed in, Graph's pages and refusals, the azd environment, and what is recognised."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app_registrations import Registration, differences, trust
from azd import Environment, read_environment
from command import Failure
from services import Graph, RequestRefused, access_token, tenant_of
from tests.infra.bicep import ROOT
from tests.infra.scripts.directory import ME, PAGE, Directory
from tests.infra.scripts.terminal import SCRIPTS, Terminal
from tests.infra.scripts.tunnel import TENANT, TOKEN
from tests.infra.test_lock import WANTED

DONE = "what is printed above is done, and nothing else was changed"


@pytest.fixture
def at(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """The terminal, with this process in it."""
    monkeypatch.delenv("AZURE_ENV_NAME", raising=False)
    monkeypatch.setenv("PATH", str(terminal.folder))
    for name, value in terminal.environment.items():
        monkeypatch.setenv(name, value)
    return terminal


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def graph(at: Terminal, waits: list[float]) -> Graph:
    return Graph(TOKEN, "an Application Administrator", waits.append)


def test_the_token_is_that_of_the_azure_cli_for_the_tenant(at: Terminal) -> None:
    at.sign_in("az", "azd")
    assert access_token(TENANT) == TOKEN
    assert at.calls == [
        f"az account get-access-token --output json --resource https://graph.microsoft.com --tenant {TENANT}"
    ]


def test_whoever_is_signed_in_with_azd_alone_needs_no_azure_cli(at: Terminal) -> None:
    at.sign_in("azd")
    (at.folder / "az").unlink()
    assert access_token("") == TOKEN
    assert [call.partition(" --")[0] for call in at.calls] == ["azd auth token"]


@pytest.mark.parametrize(
    ("tenant", "message"),
    [
        ("", r"nobody is signed in, .*'az login --allow-no-subscriptions' or 'azd auth login', then this again"),
        (TENANT, f"to tenant {TENANT}, .*'az login --tenant {TENANT} .*'azd auth login --tenant-id {TENANT}'"),
        ("a b", "a b is no id of a tenant, so nothing was changed"),
    ],
)
def test_nobody_signed_in_is_a_sentence_with_both_commands(at: Terminal, tenant: str, message: str) -> None:
    at.sign_in()
    with pytest.raises(Failure, match=message):
        access_token(tenant)


def test_the_tenant_of_an_environment_is_that_of_its_subscription_until_azd_knows_it(at: Terminal) -> None:
    subscription = {"AZURE_SUBSCRIPTION_ID": "s-1"}
    assert tenant_of(Environment(subscription)) == TENANT
    assert tenant_of(Environment({**subscription, "AZURE_TENANT_ID": "of azd"})) == "of azd"
    assert tenant_of(Environment({})) == ""
    assert at.calls == []


def test_a_subscription_that_azure_does_not_know_is_a_sentence(at: Terminal) -> None:
    with pytest.raises(
        Failure, match="Azure does not know the subscription unknown, the value of AZURE_SUBSCRIPTION_ID"
    ):
        tenant_of(Environment({"AZURE_SUBSCRIPTION_ID": "unknown"}))


def test_every_page_of_a_list_is_read(graph: Graph, directory: Directory) -> None:
    registrations = [directory.add_application(displayName="one name")["id"] for _ in range(2 * PAGE + 1)]
    found = graph.pages("applications", filter="displayName eq 'one name'", select="id")
    assert found == [{"id": id_} for id_ in registrations]
    assert directory.calls == ["GET applications"] * 3


def test_a_resource_is_created_changed_found_and_deleted(graph: Graph, directory: Directory) -> None:
    created = graph.post("applications", {"displayName": "first"})
    graph.patch(f"applications/{created['id']}", {"displayName": "second"})
    path = f"applications(appId='{created['appId']}')"
    assert graph.find(path, select="displayName") == {"displayName": "second"}
    graph.delete(f"applications/{created['id']}")
    assert graph.find(path) is None


def test_a_throttled_request_is_repeated_as_late_as_graph_says(
    graph: Graph, directory: Directory, waits: list[float]
) -> None:
    directory.throttled = 2
    assert graph.me() == ME
    assert waits == [0.0, 0.0]


def test_a_request_about_a_new_resource_waits_until_graph_knows_it(
    graph: Graph, directory: Directory, waits: list[float]
) -> None:
    directory.late = 3
    created = graph.post("applications", {"displayName": "new"})
    graph.post_about_new(
        f"applications/{created['id']}/federatedIdentityCredentials", {"name": "one", "issuer": "i", "subject": "s"}
    )
    assert waits == [1, 2, 4]
    assert len(directory.credentials[created["id"]]) == 1


def test_a_resource_that_graph_never_knows_is_a_refusal(graph: Graph, directory: Directory, waits: list[float]) -> None:
    with pytest.raises(RequestRefused, match="404 Request_ResourceNotFound"):
        graph.post_about_new("applications/0/owners/$ref", {"@odata.id": ""})
    assert waits == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("refuse", "path", "status", "message"),
    [
        (
            "POST",
            "applications",
            403,
            f"to complete the operation; {DONE}; sign in with 'az login' as an Application Adm",
        ),
        ("", "applications/0/owners/$ref", 404, "check that you are signed in to the tenant that has these ids"),
        ("", "nothing", 400, "400 BadRequest.*if Graph answers the same, correct what it names"),
    ],
)
def test_a_refusal_has_the_remedy_of_its_cause(
    graph: Graph, directory: Directory, refuse: str, path: str, status: int, message: str
) -> None:
    directory.refuse.add(refuse)
    with pytest.raises(RequestRefused, match=message) as refusal:
        graph.post(path, {"@odata.id": ""})
    assert refusal.value.status == status


def test_a_token_that_graph_rejects_asks_to_sign_in_again(at: Terminal) -> None:
    with pytest.raises(RequestRefused, match=r"401 InvalidAuthenticationToken.*sign in with 'az login' as anybody"):
        Graph("old", "anybody").me()


def test_a_server_that_does_not_answer_is_not_taken_for_graph(at: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(
        Failure, match=r"did not answer GET me \(ConnectError.*check the network and the variable HTTPS_PROXY"
    ):
        Graph(TOKEN, "anybody").me()


def test_a_hook_has_the_values_that_azd_passed_and_writes_to_that_environment(
    at: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.choose_environment({"GRAPH_CLIENT_ID": "of the file"})
    monkeypatch.setenv("AZURE_ENV_NAME", "oak")
    monkeypatch.setenv("GRAPH_CLIENT_ID", "of the hook")
    environment = read_environment()
    assert (environment.get("GRAPH_CLIENT_ID"), environment.get("ADMIN_CLIENT_ID")) == ("of the hook", "")
    environment.set("ADMIN_CLIENT_ID", "a value; with $(odd) 'characters'")
    assert at.azd_values["ADMIN_CLIENT_ID"] == "a value; with $(odd) 'characters'"
    assert [call.endswith("--environment oak") for call in at.calls] == [True]


def test_a_command_by_hand_has_the_values_of_the_selected_environment(
    at: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.choose_environment({"GRAPH_CLIENT_ID": "of azd", "IDENTITY_PRINCIPAL_ID": "of azd"})
    monkeypatch.setenv("GRAPH_CLIENT_ID", "of the terminal")
    environment = read_environment()
    assert environment.get("GRAPH_CLIENT_ID") == "of the terminal"
    assert environment.get("IDENTITY_PRINCIPAL_ID") == "of azd"


def test_a_command_by_hand_works_without_azd_and_without_an_environment(at: Terminal) -> None:
    assert read_environment().get("IDENTITY_PRINCIPAL_ID") == ""
    (at.folder / "azd").unlink()
    assert read_environment().get("IDENTITY_PRINCIPAL_ID") == ""


@pytest.mark.parametrize(
    ("azd", "message"),
    [(True, "azd did not change its environment: ERROR: no project exists"), (False, "azd is not on the PATH")],
)
def test_a_value_that_cannot_be_written_is_a_sentence_with_the_command(at: Terminal, azd: bool, message: str) -> None:
    if not azd:
        (at.folder / "azd").unlink()
    with pytest.raises(Failure, match=f"{message}.*run 'azd env set NAME value' yourself"):
        Environment({}).set("NAME", "value")


IDS = st.frozensets(st.sampled_from(["me", "a", "b"]))


def registration(
    owners: Collection[str], secrets: int, redirects: Collection[str], trusted: Collection[str]
) -> Registration:
    platforms = {"web": None, "spa": {}, "publicClient": {"redirectUris": [*redirects]}}
    properties: dict[str, Any] = {"keyCredentials": [{}] * secrets, "passwordCredentials": None, **platforms}
    return Registration(properties, owners, [{"issuer": "i", "subject": subject} for subject in trusted])


@given(IDS, st.integers(0, 1), IDS, IDS, IDS, IDS)
def test_a_registration_is_recognised_if_nobody_else_can_use_it(
    owners: frozenset[str],
    secrets: int,
    redirects: frozenset[str],
    trusted: frozenset[str],
    known_redirects: frozenset[str],
    known_trusted: frozenset[str],
) -> None:
    alone = owners == {"me"} and not secrets and redirects <= known_redirects and trusted <= known_trusted
    known = {trust("i", subject) for subject in known_trusted}
    found = differences(registration(owners, secrets, redirects, trusted), "me", known_redirects, known)
    assert (found == ()) == alone


def test_what_is_different_is_named() -> None:
    assert differences(registration(["b", "a"], 2, ["r"], ["s"]), "me", (), ()) == (
        "owned by a, b", "has 2 secrets or certificates", "redirects to r", "trusts s of i",
    )  # fmt: skip


def test_the_scripts_run_on_the_versions_of_the_app() -> None:
    lines = (SCRIPTS / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [line for line in lines if not line.startswith("#")]
    assert named == [str(one) for one in WANTED if one.name in ("azure-identity", "httpx")]


def test_azd_runs_one_script_for_every_system_in_an_environment_of_its_own() -> None:
    content = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))
    listed = chain.from_iterable(one if isinstance(one, list) else [one] for one in content["hooks"].values())
    hooks = [{**hook} for hook in listed]
    going_on = {hook["run"] for hook in hooks if hook.pop("continueOnError", False)}
    assert going_on == {f"infra/scripts/{name}.py" for name in ("recover_vault", "register_admins")}
    assert [hook["run"] for hook in hooks if not (ROOT / hook["run"]).is_file()] == []
    for hook in hooks:
        assert hook.pop("run").startswith("infra/scripts/")
        assert hook == {"kind": "python", "config": {"virtualEnvName": "scripts_env"}, "interactive": True}
    (version,) = re.findall(r"^>= ([\d.]+)$", content["requiredVersions"]["azd"])
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert f"azure-developer-cli/) (`azd`) {version} or later" in page


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda script: script.name)
def test_a_script_without_its_packages_says_how_to_install_them(script: Path) -> None:
    result = subprocess.run([sys.executable, "-S", str(script)], capture_output=True, text=True, check=False)
    needs = "services" in script.read_text(encoding="utf-8")
    assert result.returncode == int(needs)
    assert ("-m pip install --requirement infra/scripts/requirements.txt" in result.stderr) == needs
    assert "Traceback" not in result.stderr


def test_a_failure_is_a_sentence_and_no_trace(terminal: Terminal) -> None:
    terminal.sign_in()
    result = terminal.start("grant_graph.py", "--principal=one")
    assert result.returncode == 1
    assert result.stderr.startswith(
        "nobody is signed in, so nothing was changed: run 'az login --allow-no-subscriptions'"
    )
    assert result.stderr.count("\n") == 1
