"""docs/security-policies.md holds against the code, the templates and the workflows."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import yaml

from tests.docs.test_docs import ROOT
from tests.infra.bicep import app_settings, text

PAGE = (ROOT / "docs" / "security-policies.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
MODULES = [ROOT / "function_app.py", *sorted((ROOT / "sync_core").rglob("*.py"))]
CRYPTOGRAPHY = {"hashlib", "hmac", "secrets", "ssl", "random", "standardwebhooks", "cryptography", "jwt", "Crypto"}
WEEK = 7


def section(page: str, heading: str) -> str:
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(part: str) -> list[list[str]]:
    """The cells of each row of the tables, without heads."""
    lines = re.findall(r"^\| (.+) \|$", part, re.MULTILINE)
    cells = [line.split(" | ") for line in lines]
    heads = {number - 1 for number, row in enumerate(cells) if set("".join(row)) <= set("-: ")}
    return [row for number, row in enumerate(cells) if number not in heads and number - 1 not in heads]


@cache
def imports(module: Path) -> tuple[tuple[str, str], ...]:
    """Each imported module with the imported name."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += ((alias.name.partition(".")[0], "") for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found += ((node.module.partition(".")[0], alias.name) for alias in node.names)
    return tuple(found)


# --- data


def test_every_kind_of_data_has_a_level_and_every_level_its_rules() -> None:
    levels = [row[0] for row in rows(section(PAGE, "Levels of data"))]
    assert levels == ["restricted", "personal", "operational"]
    held = rows(section(SECURITY, "What is held, where, and for how long").split("security-policies.md")[0])
    assert len(held) == 20
    assert {row[1] for row in held} == set(levels)
    assert all(len(row) == 4 for row in held)


def test_every_table_of_the_app_is_in_the_list_of_data_or_has_nothing_about_people() -> None:
    store = (ROOT / "sync_core" / "state" / "store.py").read_text(encoding="utf-8")
    (named,) = re.findall(r"for name in \(([A-Z_, ]+)\)\n", store)
    listed = set(re.findall(r"table `(\w+)`", SECURITY))
    assert {name.replace("_", "").lower() for name in named.split(", ")} - listed == {"tenants", "faults"}
    assert "messagefaults" in listed


# --- keys and algorithms


def test_every_module_that_uses_cryptography_is_in_the_inventory() -> None:
    used = {
        str(module.relative_to(ROOT))
        for module in MODULES
        for imported, name in imports(module)
        if imported in CRYPTOGRAPHY or (imported, name) == ("uuid", "uuid4")
    }
    listed = re.findall(r"^\| `(sync_core/[\w/]+\.py)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(used)


def test_the_only_digest_is_sha_256_and_no_random_number_of_a_secret_is_predictable() -> None:
    digests = {name for module in MODULES for imported, name in imports(module) if imported == "hashlib"}
    code = "".join(module.read_text(encoding="utf-8") for module in MODULES)
    assert digests == {"sha256"}
    assert re.findall(r"hmac\.new\(.*, (\w+)\)", code) == ["sha256"] * code.count("hmac.new(")
    predictable = [module.name for module in MODULES for imported, _ in imports(module) if imported == "random"]
    assert predictable == ["rate_limiter.py", "limiter.py"]


def test_no_client_accepts_a_certificate_that_is_not_checked() -> None:
    code = "".join(module.read_text(encoding="utf-8") for module in MODULES)
    for weakened in (
        "verify=",
        "verify_mode",
        "check_hostname",
        "CERT_NONE",
        "_create_unverified",
        "connection_verify",
    ):
        assert weakened not in code
    assert re.findall(r"ssl\.\w+", code) == ["ssl.create_default_context"]


# --- connections


def test_every_host_that_the_code_names_is_among_the_connections() -> None:
    part = section(PAGE, "Connections")
    strings = (
        node.value
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    hosts = {host for string in strings for host in re.findall(r"https?://([a-z0-9.-]+\.[a-z]{2,})", string)}
    names_of_things = {"schemas.microsoft.com", "schemas.xmlsoap.org", "purl.imsglobal.org"}
    assert sorted(host for host in hosts - names_of_things if f"`{host}`" not in part) == []
    assert "graph.microsoft.com" in hosts


def test_every_setting_with_an_address_is_among_the_connections() -> None:
    part = section(PAGE, "Connections")
    addresses = [name for name in app_settings() if re.search("ENDPOINT|_URL|Namespace|CONNECTION_STRING", name)]
    assert len(addresses) == 4
    assert [name for name in addresses if f"`{name}`" not in part] == []


# --- sessions


def test_a_session_lives_for_as_long_as_the_page_says() -> None:
    assert "| 1 hour after the sign-in (`cookieExpiration` of the template) |" in PAGE
    template = text("modules/app.bicep")
    assert re.search(r"cookieExpiration: \{\s+convention: 'FixedTime'\s+timeToExpiration: '01:00:00'\s+\}", template)
    assert re.search(r"tokenStore: \{\s+enabled: false\s+\}", template)


# --- updates


def test_components_are_watched_more_often_than_the_shortest_time_to_mend_them() -> None:
    days = [int(value) for value in re.findall(r"\| (\d+) days \|$", section(PAGE, "Updates of components"), re.M)]
    assert days == [7, 30, 90, 90]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8"))
    (schedule,) = workflow[True]["schedule"]
    assert schedule["cron"].split()[2:] == ["*", "*", "*"], "each day"
    commands = [step.get("run", "") for step in workflow["jobs"]["pip-audit"]["steps"]]
    assert "pip-audit --requirement requirements.txt" in commands
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {one["schedule"]["interval"] for one in updates} == {"weekly"}
    assert all(WEEK + one["cooldown"]["default-days"] < days[1] for one in updates)
