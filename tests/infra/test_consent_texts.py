"""What the documents and the scripts say of each permission, of granting and of consent."""

from __future__ import annotations

import re
from collections.abc import Callable

from sync_core.domain.permissions import PERMISSIONS, Need, Permission
from sync_core.errors import LATER_GRANT
from tests.infra.bicep import ROOT

SCRIPTS = sorted((ROOT / "infra" / "scripts").glob("*.py"))

CONSENT_TEXTS = {
    "EduRoster.ReadWrite.All": "Read and write the organization's roster",
    "GroupMember.ReadWrite.All": "Read and write all group memberships",
    "GroupMember.Read.All": "Read all group memberships",
    "Member.Read.Hidden": "Read all hidden memberships",
    "User.Read.All": "Read all users' full profiles",
}
"""What Microsoft's consent page shows ("Microsoft Graph permissions reference")."""


def test_the_documents_say_why_each_permission_is_needed() -> None:
    pages = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in _LINES}
    for name, line in _LINES.items():
        lines = [line(permission) for permission in PERMISSIONS if permission.required or name == "operations"]
        assert [one for one in lines if one not in pages[name].splitlines()] == [], name


_NOTES = {Need.SYNC: "", Need.RESTORE: " (optional)", Need.TEAMS: " (for teams)", Need.OPEN_TEAMS: " (for teams)"}
_LINES: dict[str, Callable[[Permission], str]] = {
    "operations": lambda one: f"| `{one.name}`{_NOTES[one.need]} | {one.purpose} |",
    "deploy": lambda one: f"granted: {one.name} ({one.purpose})",
    "onboard-a-tenant": lambda one: f"> - *{CONSENT_TEXTS[one.name]}* (`{one.name}`): {one.purpose}.",
}


def test_nothing_asks_for_a_permission_to_change_users() -> None:
    files = [*SCRIPTS, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    assert [file.name for file in files if "User.ReadWrite" in file.read_text(encoding="utf-8")] == []


GRANTING = re.compile(
    r"\bgrant.*(Graph permission|\.All\b)|(Graph permission|\.All\b).*\bgrant|grant_graph\.py", re.IGNORECASE
)


WRAP = re.compile(r"(?<=[^\n|])\n(?=[^\n|])")
"""The end of a line within a paragraph, where a sentence goes on; a row of a table ends with its line."""


def test_whatever_speaks_of_granting_says_how_late_a_token_may_carry_a_grant() -> None:
    pages = [*SCRIPTS, *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
    granting = {name for name, text in texts.items() if GRANTING.search(WRAP.sub(" ", text))}
    assert granting >= {
        "deploy.md",
        "onboard-a-tenant.md",
        "operations.md",
        "security.md",
        "grant_graph.py",
    }
    # A script prints the text of the app.
    said = {name: " ".join(text.replace("{LATER_GRANT}", LATER_GRANT).split()) for name, text in texts.items()}
    later = "token may take up to 24 hours to carry a later grant"
    assert [name for name in sorted(granting) if later not in said[name]] == []


def test_the_consent_page_without_a_redirect_address_is_explained_where_consent_is_given() -> None:
    """The page of an app without a redirect URI ends with an error after the consent was given."""
    pages = [*SCRIPTS, *(ROOT / "docs").rglob("*.md")]
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
    consenting = {name for name, text in texts.items() if "/adminconsent?" in text}
    assert consenting == {"federate.py", "onboard-a-tenant.md"}
    assert [name for name in consenting if "AADSTS500113" not in texts[name]] == []
    assert [name for name in consenting if "is given all the same" not in texts[name]] == []
