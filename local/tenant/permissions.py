"""The application permissions that each call of Graph needs, any one of those listed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from local.tenant.answers import Answers
from local.tenant.directory.refusals import denied
from local.tenant.teams.refusals import denied_by_teams

HIDDEN_MEMBERS = "Member.Read.Hidden"
GRANTED = (
    "EduRoster.ReadWrite.All",
    "GroupMember.ReadWrite.All",
    "GroupMember.Read.All",
    HIDDEN_MEMBERS,
    "User.Read.All",
    "Group.ReadWrite.All",
    "Team.Create",
    "TeamMember.ReadWrite.All",
    "Team.ReadBasic.All",
    "TeamSettings.ReadWrite.All",
)
"""What the app has unless it is started without."""

# The permission file lists GroupMember.ReadWrite.All for none of the reads.
_READ_GROUPS = frozenset({"GroupMember.Read.All", "Group.Read.All", "Group.ReadWrite.All"})
_WRITE_MEMBERS = frozenset({"GroupMember.ReadWrite.All", "Group.ReadWrite.All"})
_WRITE_GROUPS = frozenset({"Group.ReadWrite.All"})
_READ_DELETED = frozenset({"Group.Read.All", "Group.ReadWrite.All"})
_READ_CLASSES = frozenset({"EduRoster.ReadWrite.All", "EduRoster.Read.All"})
_WRITE_CLASSES = frozenset({"EduRoster.ReadWrite.All"})
_LIST_USERS = frozenset({"User.Read.All", "User.ReadBasic.All"})
_USERS_DELTA = frozenset({"User.Read.All"})
_MAKE_TEAMS = frozenset({"Team.Create"})
_READ_TEAMS = frozenset({"Team.ReadBasic.All", "TeamSettings.Read.All", "TeamSettings.ReadWrite.All"})
_WRITE_TEAMS = frozenset({"TeamSettings.ReadWrite.All"})
_READ_TEAM_MEMBERS = frozenset({"TeamMember.Read.All", "TeamMember.ReadWrite.All"})
_WRITE_TEAM_MEMBERS = frozenset({"TeamMember.ReadWrite.All"})
_NOBODY: frozenset[str] = frozenset()

_NEEDS: tuple[tuple[str, re.Pattern[str], frozenset[str]], ...] = tuple(
    (method, re.compile(pattern), needs)
    for method, pattern, needs in (
        ("DELETE", r"/users/[^/]+", _NOBODY),
        ("DELETE", r"/(education/classes|groups)/[^/]+/(members|teachers|owners)/[^/]+", _NOBODY),
        ("GET", r"/users/delta(\(\))?", _USERS_DELTA),
        ("GET", r"/users(/[^/]+)?", _LIST_USERS),
        ("GET", r"/education/classes(/.+)?", _READ_CLASSES),
        ("(POST|PATCH|DELETE)", r"/education/classes(/.+)?", _WRITE_CLASSES),
        ("GET", r"/groups(/.+)?", _READ_GROUPS),
        ("(POST|DELETE)", r"/groups/[^/]+/members/.+", _WRITE_MEMBERS),
        ("(POST|PATCH|DELETE)", r"/groups(/.+)?", _WRITE_GROUPS),
        ("GET", r"/directory/deletedItems/.+", _READ_DELETED),
        ("POST", r"/directory/deletedItems/[^/]+/restore", _WRITE_GROUPS),
        ("POST", r"/teams", _MAKE_TEAMS),
        ("GET", r"/teams\('[^']+'\)/operations.*", _READ_TEAMS),
        ("GET", r"/teams/[^/]+", _READ_TEAMS),
        ("PATCH", r"/teams/[^/]+", _WRITE_TEAMS),
        ("POST", r"/teams/[^/]+/(archive|unarchive)", _WRITE_TEAMS),
        ("GET", r"/teams/[^/]+/members(/.+)?", _READ_TEAM_MEMBERS),
        ("(POST|PATCH|DELETE)", r"/teams/[^/]+/members/.+", _WRITE_TEAM_MEMBERS),
    )
)


def needs(method: str, path: str, body: Mapping[str, object], answers: Answers) -> frozenset[str]:
    """The permissions of which a caller must have one; none for the calls that the tenant refuses to everybody.

    Raises LookupError for a path that no row covers.
    """
    members_only = method == "PATCH" and path.startswith("/groups/") and body.keys() == {"members@odata.bind"}
    if members_only and answers.patch_members == "accepted":
        return _WRITE_MEMBERS
    for methods, pattern, permissions in _NEEDS:
        if re.fullmatch(methods, method) and pattern.fullmatch(path):
            return permissions
    raise LookupError(f"no permission is known for {method} {path}")


def check(method: str, path: str, body: Mapping[str, object], roles: frozenset[str], answers: Answers) -> None:
    """Raises Refusal if the roles of a token do not cover the call."""
    permissions = needs(method, path, body, answers)
    if permissions and not permissions & roles:
        raise denied_by_teams(permissions) if path.startswith("/teams") else denied()
