"""What a person types wrongly, or a machine lacks: each command ends with one sentence, its remedy and a status."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.cli.calling import Person
from tests.mis import feeds
from tests.serving import serve_all

CLIENT, TENANT = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
_WIDE = " ".join


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home = tmp_path / "home"
    home.mkdir()
    return Person(home)


@pytest.fixture
def closed() -> Iterator[str]:
    """An address of this machine at which nobody listens, as of any machine without a network."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def text_of(shown: str) -> str:
    """Without the frame that usage errors have."""
    return _WIDE(re.sub(r"[│╭╰╮╯─]", " ", shown).split())


EXPORTS = [
    (["check", "{tmp}/nowhere.zip"], "refused: there is no feed at {tmp}/nowhere.zip — nothing was changed; "),
    (["plan", "{tmp}/nowhere.zip"], "refused: there is no feed at {tmp}/nowhere.zip — nothing was changed; "),
    (["sync", "{tmp}/nowhere.zip"], "refused: there is no feed at {tmp}/nowhere.zip — nothing was changed; "),
    (["check", "{tmp}/photos"], "refused: unknown format ("),
    (["check", "{tmp}/packed"], "refused: the folder has a packed file (zip or gz), and no CSV file"),
    (["check", "{tmp}/nested.zip"], "refused: "),
    (["check", "{tmp}/feed/users.csv"], "refused: the path names one CSV file, and a feed has several"),
    (["check", "{tmp}/fake.zip"], "refused: "),
    (["plan", "{tmp}/feed", "--accounts", "{tmp}/nowhere.csv"], "refused: {tmp}/nowhere.csv is no file"),
    (["plan", "{tmp}/feed", "--school", "{tmp}/photos"], "refused: {tmp}/photos: Is a directory"),
]


@pytest.mark.parametrize(("arguments", "message"), EXPORTS, ids=lambda value: value[-1] if type(value) is list else "")
def test_an_export_that_is_none_is_refused_with_a_remedy(
    arguments: list[str], message: str, tmp_path: Path, person: Person
) -> None:
    feed = feeds.write(feeds.oneroster(), tmp_path / "feed")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    (tmp_path / "packed").mkdir()
    inner = feeds.write_zip(feeds.oneroster(), tmp_path / "packed" / "feed.zip")
    (tmp_path / "fake.zip").write_bytes(b"no zip")
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as outer:
        outer.write(inner, "feed.zip")
    assert feed.exists()
    ended = person.call(*(each.format(tmp=tmp_path) for each in arguments))
    assert (ended.status, ended.stdout) == (2, "")
    assert ended.stderr.startswith(message.format(tmp=tmp_path))
    assert len(ended.stderr.splitlines()) == 1
    if "--school" not in arguments:
        assert " — " in ended.stderr


USAGE = [
    ([], "Usage: mis-class-sync [OPTIONS] COMMAND"),
    (["check"], "Invalid value for FEED: name one export, a folder with CSV files or a zip file"),
    (["plan"], "Invalid value for FEED: name one export, a folder with CSV files or a zip file"),
    (["plan", "a", "--mis", "b"], "Invalid value for FEED: name one export"),
    (["plan", "a", "--deployed", "OAK"], "Invalid value for FEED: name an export or --deployed SCHOOL, and not both"),
    (["sync"], "Invalid value for FEED: name one export"),
    (["announce"], "Missing argument 'SCHOOL'."),
    (["edit"], "Usage: mis-class-sync edit [OPTIONS] COMMAND"),
    (["edit", "add-member", "7A"], "Missing argument 'UPN'."),
    (["up", "--without", "User.Read"], "Invalid value for --without: User.Read is none of its permissions"),
    (["demo", "--tenant-answers", "colour=red"], "unknown answer colour"),
    (["login"], "Missing argument 'ADDRESS'."),
    (["status", "--run", "R"], "Invalid value for --run: name the school of the run too"),
    (["apply", "OAK"], "Missing argument 'PLAN'."),
    (["approve", "OAK"], "Missing argument 'HOLD'."),
    (["reject"], "Missing argument 'SCHOOL'."),
    (["explain", "OAK", "7A"], "Missing argument 'PERSON'."),
    (["undo", "OAK"], "Missing argument 'RUN'."),
    (["resync"], "Invalid value for SCHOOL: name a school or --tenant ID"),
    (["people"], "Missing argument 'SCHOOL'."),
    (["completion"], "Missing argument 'SHELL'."),
    (["completion", "cmd"], "Invalid value for SHELL: cmd is none of bash, zsh, fish, powershell"),
    (["chekc"], "No such command 'chekc'. Did you mean 'check'?"),
    (["check", "--jsn"], "No such option: --jsn"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), USAGE, ids=lambda value: " ".join(value) if type(value) is list else ""
)
def test_wrong_usage_names_the_fault_and_the_help(arguments: list[str], message: str, person: Person) -> None:
    ended = person.call(*arguments)
    assert ended.status == 2
    assert message in text_of(ended.stdout + ended.stderr)
    assert "Try 'mis-class-sync" in ended.stderr or not arguments or arguments == ["edit"]


DEPLOYED = [
    ["schools"],
    ["status"],
    ["plan", "--deployed", "OAK"],
    ["apply", "OAK", "d"],
    ["holds"],
    ["approve", "OAK", "d"],
    ["reject", "OAK", "d"],
    ["explain", "OAK", "7A", "p"],
    ["undo", "OAK", "R"],
    ["release", "OAK"],
    ["resync", "OAK"],
    ["people", "OAK"],
    ["doctor"],
]
_NOT_LOGGED_IN = (
    "you have not logged in to a deployment yet — run 'mis-class-sync login ADDRESS' with the address of your app, "
    "such as https://APP.azurewebsites.net\n"
)


@pytest.mark.parametrize("arguments", DEPLOYED, ids=" ".join)
def test_every_command_on_a_deployment_says_that_nobody_has_logged_in(arguments: list[str], person: Person) -> None:
    for more in ((), ("--json",)):
        ended = person.call(*arguments, *more)
        assert (ended.status, ended.stdout, ended.stderr) == (2, "", _NOT_LOGGED_IN)


def remember(person: Person, address: str) -> None:
    """As an earlier `login` did."""
    file = person.home / "settings" / "mis-class-sync" / "deployment.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    deployment = {"address": address, "client": CLIENT, "tenant": TENANT, "user": ""}
    file.write_text(json.dumps(deployment), encoding="utf-8")


@pytest.mark.parametrize("arguments", DEPLOYED, ids=" ".join)
def test_every_command_on_a_deployment_says_that_there_is_no_network(
    arguments: list[str], person: Person, closed: str
) -> None:
    person.sign_in("admin")
    remember(person, closed)
    ended = person.call(*arguments)
    sentence = f"{closed} cannot be reached (ConnectError) — check the address, and that this machine has a network\n"
    assert (ended.status, ended.stdout, ended.stderr) == (3, "", sentence)


_SIGN_IN = f"run 'az login --tenant {TENANT} --allow-no-subscriptions'"
AZ = [
    (
        "ERROR: Please run 'az login' to setup account.",
        f"you are not signed in to the Azure CLI — {_SIGN_IN}\n",
    ),
    (
        "AADSTS50020: User account 'head@other.example' from identity provider does not exist in tenant 'Oak'. "
        "To re-authenticate, please run: az login",
        f"Microsoft Entra ID gives you no token for this app (AADSTS50020) — sign in with an account of the app's "
        f"tenant: {_SIGN_IN}\n",
    ),
    ("disk on fire", f"the Azure CLI gave no token for this app — {_SIGN_IN}, then this again\n"),
]


@pytest.mark.parametrize(("told", "sentence"), AZ, ids=["signed out", "another tenant", "broken"])
def test_a_sign_in_that_fails_names_no_account_and_what_to_run(
    told: str, sentence: str, person: Person, closed: str
) -> None:
    person.fail_sign_in(told)
    remember(person, closed)
    ended = person.call("schools")
    assert (ended.status, ended.stdout, ended.stderr) == (2, "", sentence)


def test_without_the_azure_cli_it_is_named_with_where_to_get_it(person: Person, closed: str) -> None:
    remember(person, closed)
    ended = person.call("schools", PATH=str(person.home))
    assert (ended.status, ended.stderr) == (
        2,
        "the Azure CLI (az) is not installed — install it "
        f"(https://learn.microsoft.com/cli/azure/install-azure-cli), then {_SIGN_IN}\n",
    )


def _html(status: int) -> web.Response:
    return web.Response(status=status, text="<html>Hello</html>", content_type="text/html")


def _problem(status: int, what: str, remedy: str) -> web.Response:
    return web.json_response({"what": what, "remedy": remedy}, status=status, content_type="application/problem+json")


ANSWERS = [
    (200, _html(200), 3, " answers 200 with no answer of the admin API — check the address: 'mis-class-sync login "),
    (302, _html(302), 3, " answers 302 with no answer of the admin API — check the address: "),
    (404, _html(404), 3, " answers 404 with no answer of the admin API — check the address: "),
    (401, _html(401), 2, f" does not accept your sign-in — {_SIGN_IN}, then this again\n"),
    (403, _html(403), 3, " refuses every request (403) — see in the Azure portal whether the app runs, and which "),
    (502, _html(502), 3, " is not well: it answers 502 — try again in some minutes, and look at the app's health "),
    (
        "no role",
        _problem(403, "this needs the app role X", "ask an admin"),
        2,
        "this needs the app role X — ask an admin\n",
    ),
    ("conflict", _problem(409, "the plan has changed", "look at it"), 4, "the plan has changed — look at it\n"),
    ("too many", _problem(429, "you made many calls", "wait"), 3, "you made many calls — wait\n"),
    ("starting", _problem(503, "TENANT_ID is not set", "set it"), 3, "TENANT_ID is not set — set it\n"),
    ("other JSON", web.json_response([1], status=404), 3, " answers 404 with no answer of the admin API — "),
]


@pytest.mark.parametrize(("name", "answer", "status", "sentence"), ANSWERS, ids=lambda value: str(value)[:10])
async def test_what_an_address_answers_leads_to_one_sentence(
    name: object, answer: web.Response, status: int, sentence: str, person: Person
) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(
            status=answer.status, body=answer.body, headers={"Content-Type": answer.headers["Content-Type"]}
        )

    person.sign_in("admin")
    async with serve_all(handle) as address:
        remember(person, address)
        ended = await asyncio.to_thread(person.call, "schools", "--json")
    assert (ended.status, ended.stdout) == (status, "")
    assert ended.stderr.removeprefix(address).startswith(sentence)


ADDRESSES = [
    ("http://app.example", "http://app.example is not encrypted, so nothing was sent to it — name the address that "),
    ("https://", "https:// is no address of an app — name one like https://APP.azurewebsites.net\n"),
    ("https://a b", "https://a b is no address of an app — "),
    ("https://app:port", "https://app:port is no address of an app — "),
]


@pytest.mark.parametrize(("address", "sentence"), ADDRESSES, ids=lambda value: value[:20])
def test_an_address_that_is_none_is_not_called(address: str, sentence: str, person: Person) -> None:
    person.sign_in("admin")
    ended = person.call("login", address)
    assert ended.status == 2
    assert ended.stderr.startswith(sentence)
    assert not (person.home / "seen").exists()


@pytest.mark.parametrize("leads_back", [True, False], ids=["to itself", "elsewhere"])
async def test_the_sign_in_is_found_where_the_app_leads_a_browser_to_it(leads_back: bool, person: Person) -> None:
    """A token is requested for a registration alone whose sign-in leads back to this address."""
    addresses: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/.auth/login/aad":
            back = f"{addresses[0]}/.auth/login/aad/callback" if leads_back else "https://other.example/callback"
            page = f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/authorize"
            raise web.HTTPFound(f"{page}?client_id={CLIENT}&redirect_uri={back}&response_type=code")
        assert request.headers["Authorization"] == "Bearer token"
        return web.json_response([])

    person.sign_in("token")
    async with serve_all(handle) as address:
        addresses.append(address)
        ended = await asyncio.to_thread(person.call, "login", f"{address}/console?x=1", "--json")
    if leads_back:
        found = {"address": address, "client": CLIENT, "tenant": TENANT, "schools": 0}
        assert (ended.status, ended.document) == (0, found), ended.stderr
        assert f"--resource api://{CLIENT} --tenant {TENANT}" in person.az_calls
    else:
        assert ended.status == 2
        assert ended.stderr.startswith(f"{address} does not say which app registration signs its admins in — ")
        assert not (person.home / "seen").exists()


def test_a_file_of_the_login_that_is_spoilt_is_named(person: Person) -> None:
    remember(person, "https://app.example")
    (file,) = (person.home / "settings").rglob("*.json")
    file.write_text("{", encoding="utf-8")
    ended = person.call("schools")
    assert ended.status == 2
    assert ended.stderr.startswith(f"{file} cannot be read (JSONDecodeError) — run 'mis-class-sync login ADDRESS'")
