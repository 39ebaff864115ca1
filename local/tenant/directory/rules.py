"""What a tenant allows in the names and the people of a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from local.tenant.directory.objects import Collection, Group, User
from local.tenant.directory.refusals import Refusal, bad_request, guest_refused, quota_exceeded

_FORBIDDEN_IN_NICKNAME = set("@()\\/[]\"';:<>, ")
_WITHOUT_MAILBOX = set("&*?|{}+")
_LONGEST = {"displayName": 256, "mailNickname": 64, "description": 1024}
_QUOTA: dict[Collection, int] = {"owners": 100, "members": 25_000}
_NAME_PREFIX, _NICKNAME_PREFIX = "School ", "school-"


def check_required(fields: Mapping[str, Any]) -> None:
    for required in ("displayName", "mailNickname"):
        if not isinstance(fields.get(required), str) or not fields[required]:
            raise bad_request(f"A value is required for property '{required}' of resource 'Group'.")


def check_values(fields: Mapping[str, Any]) -> None:
    """Lengths, the characters of a nickname, and the values of externalSource."""
    for name, longest in _LONGEST.items():
        if len(fields.get(name) or "") > longest:
            raise _invalid(name)
    nickname = fields.get("mailNickname", "")
    if not nickname.isascii() or _FORBIDDEN_IN_NICKNAME & set(nickname):
        raise _invalid("mailNickname")
    if fields.get("externalSource") not in (None, "sis", "manual"):
        raise _invalid("externalSource")


def _invalid(name: str) -> Refusal:
    return bad_request(f"Invalid value specified for property '{name}' of resource 'Group'.")


def named_by_policy(fields: Mapping[str, Any], policy: Literal["none", "changes", "refuses"]) -> dict[str, Any]:
    """The fields of a new group as the naming policy leaves them. Raises Refusal."""
    named = {
        **fields,
        "displayName": _prefixed(fields["displayName"], _NAME_PREFIX),
        "mailNickname": _prefixed(fields["mailNickname"], _NICKNAME_PREFIX),
    }
    if policy == "none" or named == fields:
        return dict(fields)
    if policy == "changes":
        return named
    message = "The property is missing a required prefix/suffix per your organization's Group naming requirements."
    missing = {"code": "MissingPrefixSuffix", "target": "displayName"}
    raise Refusal(400, "Request_BadRequest", message, details=[missing])


def _prefixed(text: str, prefix: str) -> str:
    return text if text.startswith(prefix) else prefix + text


def gets_mailbox(display_name: str) -> bool:
    """Whether Exchange makes the mailbox of the group; Graph answers a name with such a character as any other."""
    return not _WITHOUT_MAILBOX & set(display_name)


def check_guest(user: User) -> None:
    if user.userType == "Guest":
        raise guest_refused()


def check_quota(group: Group, collection: Collection, added: int) -> None:
    people = len(group.people(collection)) + added
    if people > _QUOTA[collection]:
        raise quota_exceeded(collection, people, _QUOTA[collection])
