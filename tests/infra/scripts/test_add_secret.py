"""add_secret.py: a secret goes into the Key Vault, its name into azd, and its value nowhere else."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from sync_core.domain.school.settings import SchoolSettings
from tests.infra.bicep import ROOT
from tests.infra.scripts.directory import HOST, ME, Directory
from tests.infra.scripts.terminal import Terminal
from tests.infra.scripts.tunnel import TENANT, Entity, Query, Refused, serving

SCRIPT = "add_secret.py"
VAULT = "kv-oak-dx7lhk2m"
SITE = "/subscriptions/s-1/resourceGroups/rg-oak/providers/Microsoft.Web/sites/func-oak-dx7lhk2m"
VALUE = "whsec_c2VjcmV0IG9mIDI0IGJ5dGVzIG9yIG1vcmU="
VALUES = {
    "AZURE_ENV_NAME": "oak",
    "AZURE_TENANT_ID": TENANT,
    "AZURE_SUBSCRIPTION_ID": "s-1",
    "APP_NAME": "func-oak-dx7lhk2m",
    "VAULT_NAME": VAULT,
}


@dataclass(slots=True)
class Azure:
    """A Key Vault and an app. `refuse` is the answer to every request, and `refuse_app` refuses those to the app."""

    secrets: dict[str, list[str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    refuse: Refused | None = None
    refuse_app: bool = False

    def answer(self, method: str, path: str, query: Query, body: Entity) -> Entity | None:
        self.calls.append(f"{method} {path}")
        if self.refuse:
            raise self.refuse
        if method == "PUT" and query == {"api-version": "2025-07-01"}:
            self.secrets.setdefault(path, []).append(body["value"])
            return {"id": f"https://{VAULT}.vault.azure.net{path}/1", "value": body["value"]}
        if self.refuse_app and path.startswith(SITE):
            raise Refused(403, "AuthorizationFailed", "The client does not have authorization to perform action.")
        if method == "POST" and query == {"api-version": "2022-03-01"}:
            return {}
        raise Refused(400, "InvalidResourceType", "The resource type could not be found.")


@pytest.fixture
def azure() -> Azure:
    return Azure()


@pytest.fixture
def terminal(directory: Directory, azure: Azure, tmp_path: Path) -> Iterator[Terminal]:
    servers = {f"{VAULT}.vault.azure.net": azure.answer, "management.azure.com": azure.answer, HOST: directory.answer}
    with serving(servers, tmp_path) as environment:
        terminal = Terminal(tmp_path, environment)
        terminal.choose_environment(VALUES)
        yield terminal


def run(terminal: Terminal, *arguments: str, value: str = VALUE) -> list[str]:
    result = terminal.run(SCRIPT, *arguments, stdin=f"{value}\n")
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def stop(terminal: Terminal, *arguments: str, value: str = f"{VALUE}\n") -> str:
    """The sentences with which the command stops."""
    result = terminal.run(SCRIPT, *arguments, stdin=value)
    assert (result.returncode, result.stdout) == (1, "")
    return result.stderr.strip()


def test_a_secret_is_written_named_and_provisioned(terminal: Terminal, azure: Azure) -> None:
    assert run(terminal, "MIS_SECRET_OAK") == [
        f"written: the secret MIS-SECRET-OAK in the Key Vault {VAULT}",
        "azd environment: MIS_SECRETS names MIS_SECRET_OAK",
        "done: the app reads MIS_SECRET_OAK, and a school's settings may name it",
    ]
    assert azure.secrets == {"/secrets/MIS-SECRET-OAK": [VALUE]}
    assert terminal.azd_values == VALUES | {"MIS_SECRETS": "MIS_SECRET_OAK"}
    assert terminal.calls == [
        "azd env get-values --output json",
        f"az account get-access-token --output json --resource https://vault.azure.net --tenant {TENANT}",
        "azd env set MIS_SECRETS MIS_SECRET_OAK --environment oak",
        "azd provision --environment oak",
    ]


def test_a_second_secret_is_named_beside_the_first(terminal: Terminal) -> None:
    terminal.choose_environment(VALUES | {"MIS_SECRETS": "MIS_SECRET_ELM, "})
    run(terminal, "MIS_SECRET_OAK")
    assert terminal.azd_values["MIS_SECRETS"] == "MIS_SECRET_ELM,MIS_SECRET_OAK"


def test_a_second_run_gives_the_secret_a_new_value_and_the_app_reads_it(terminal: Terminal, azure: Azure) -> None:
    run(terminal, "MIS_SECRET_OAK")
    assert run(terminal, "MIS_SECRET_OAK", value="new") == [
        f"written: the secret MIS-SECRET-OAK in the Key Vault {VAULT}",
        "done: App Service reads the secrets again",
    ]
    assert azure.secrets == {"/secrets/MIS-SECRET-OAK": [VALUE, "new"]}
    assert azure.calls[-1] == f"POST {SITE}/config/configreferences/appsettings/refresh"
    assert [call for call in terminal.calls if call.startswith("azd provision")] == ["azd provision --environment oak"]


def test_the_value_is_in_no_argument_variable_or_message(terminal: Terminal) -> None:
    result = terminal.start(SCRIPT, "MIS_SECRET_OAK", stdin=VALUE)
    assert result.returncode == 0, result.stderr
    kept = [result.stdout, result.stderr, *terminal.calls, json.dumps(terminal.azd_values)]
    assert [text for text in kept if VALUE in text] == []


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("new\r\n", "new"), ("\ufeffnew\r\n", "new"), (" a b ", " a b "), ("schlüssel", "schlüssel")],
)
def test_the_value_is_stored_as_it_is_without_the_end_of_its_line(
    terminal: Terminal, azure: Azure, typed: str, stored: str
) -> None:
    assert terminal.run(SCRIPT, "MIS_SECRET_OAK", stdin=typed).returncode == 0
    assert azure.secrets == {"/secrets/MIS-SECRET-OAK": [stored]}


def test_bytes_that_are_no_text_are_not_stored(terminal: Terminal, azure: Azure) -> None:
    message = stop(terminal, "MIS_SECRET_OAK", value="schl\udcfcssel")
    assert message == "the value on standard input is not UTF-8, and nothing was changed: save it as UTF-8"
    assert azure.calls == []


def test_a_value_that_is_typed_is_not_shown(terminal: Terminal, azure: Azure) -> None:
    keyboard, screen = pty.openpty()
    command = [sys.executable, str(ROOT / "infra" / "scripts" / SCRIPT), "MIS_SECRET_OAK"]
    with subprocess.Popen(
        command, env=terminal.variables, stdin=screen, stdout=screen, stderr=screen, start_new_session=True
    ) as process:
        os.close(screen)
        with os.fdopen(keyboard, "r+b", buffering=0) as window:
            shown = b""
            while b"(it is not shown): " not in shown:
                shown += window.read(1)
            window.write(f"{VALUE}\n".encode())
            with contextlib.suppress(OSError):  # the end of the process
                while more := window.read(1024):
                    shown += more
    assert process.returncode == 0, shown
    assert b"done: the app reads MIS_SECRET_OAK" in shown
    assert VALUE.encode() not in shown
    assert azure.secrets == {"/secrets/MIS-SECRET-OAK": [VALUE]}


@pytest.mark.parametrize("value", ["", "\n", "  \n", "one\ntwo\n"])
def test_a_value_that_is_no_line_is_not_stored(terminal: Terminal, azure: Azure, value: str) -> None:
    message = stop(terminal, "MIS_SECRET_OAK", value=value)
    assert re.fullmatch(r"the value has [02] lines, and nothing was changed: a secret is one line .*", message)
    assert (azure.calls, terminal.azd_values) == ([], VALUES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the command takes the name of a secret and nothing else"),
        (["MIS_SECRET_OAK", VALUE], "if you gave one, replace it where it comes from"),
        ([VALUE], "use MIS_SECRET_ and up to 100 capitals, digits or _"),
        (["MIS_SECRET_oak"], "use MIS_SECRET_ and up to 100 capitals, digits or _"),
        (["MIS_SECRET_OAK\n"], "use MIS_SECRET_ and up to 100 capitals, digits or _"),
    ],
)
def test_another_name_is_refused_and_not_repeated(
    terminal: Terminal, azure: Azure, arguments: list[str], message: str
) -> None:
    stopped = stop(terminal, *arguments)
    assert message in stopped
    assert VALUE not in stopped
    assert (azure.calls, terminal.azd_values) == ([], VALUES)


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (
            Refused(403, "Forbidden", "Caller is not authorized to perform action on resource.", "ForbiddenByRbac"),
            'run \'az role assignment create --role "Key Vault Secrets Officer" --assignee-object-id '
            f"{ME} --assignee-principal-type User --scope /subscriptions/s-1/resourceGroups/rg-oak/providers/"
            f"Microsoft.KeyVault/vaults/{VAULT}'",
        ),
        (
            Refused(403, "Forbidden", "Public network access is disabled.", "ForbiddenByConnection"),
            f"the Key Vault {VAULT} accepts no request from this network, so nothing was changed",
        ),
        (
            Refused(409, "Conflict", "Secret is currently in a deleted state.", "ObjectIsDeletedButRecoverable"),
            f"run 'az keyvault secret recover --vault-name {VAULT} --name MIS-SECRET-OAK', wait a minute",
        ),
        (Refused(400, "BadParameter", "The value is too long."), "Key Vault refused PUT secrets/MIS-SECRET-OAK (400"),
    ],
)
def test_a_refusal_of_the_vault_has_the_remedy_of_its_cause_and_nothing_is_named(
    terminal: Terminal, azure: Azure, refusal: Refused, message: str
) -> None:
    azure.refuse = refusal
    assert message in stop(terminal, "MIS_SECRET_OAK")
    assert terminal.azd_values == VALUES


@pytest.mark.parametrize("variable", ["VAULT_NAME", "AZURE_SUBSCRIPTION_ID", "APP_NAME"])
def test_an_environment_that_is_not_deployed_is_said_before_the_value_is_read(
    terminal: Terminal, azure: Azure, variable: str
) -> None:
    terminal.choose_environment({name: value for name, value in VALUES.items() if name != variable})
    assert f"the azd environment has no {variable}, so nothing was changed" in stop(
        terminal, "MIS_SECRET_OAK", value=""
    )
    assert azure.calls == []


def test_a_provisioning_that_fails_says_what_is_done(terminal: Terminal, azure: Azure) -> None:
    (terminal.folder / "azd provision fails").touch()
    result = terminal.run(SCRIPT, "MIS_SECRET_OAK", stdin=VALUE)
    assert result.returncode == 1
    assert "azd did not provision" in result.stderr
    assert "what this command printed is done. Correct the cause, then run 'azd provision'" in result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_an_app_that_cannot_be_told_reads_the_value_later(terminal: Terminal, azure: Azure) -> None:
    terminal.choose_environment(VALUES | {"MIS_SECRETS": "MIS_SECRET_OAK"})
    azure.refuse_app = True
    result = terminal.run(SCRIPT, "MIS_SECRET_OAK", stdin=VALUE)
    assert result.stdout == f"written: the secret MIS-SECRET-OAK in the Key Vault {VAULT}\n"
    assert result.stderr.startswith("the app reads the new value within 24 hours, and not at once: Azure refused POST ")
    assert "(403 AuthorizationFailed)" in result.stderr


def test_the_names_are_those_that_a_schools_settings_may_have() -> None:
    schema = json.dumps(TypeAdapter(SchoolSettings).json_schema())
    (pattern,) = set(re.findall(r'"\^(MIS_SECRET_[^"]*)\$"', schema))
    text = (ROOT / "infra" / "scripts" / SCRIPT).read_text(encoding="utf-8")
    assert f're.compile(r"{pattern}")' in text
