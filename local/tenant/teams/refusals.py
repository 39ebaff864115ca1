"""The error answers of Teams, in its words. What its own parts say comes wrapped."""

from __future__ import annotations

from local.tenant.directory.refusals import Refusal

_WRAPPED = (
    "Failed to execute Templates backend request CreateTeamFromGroupWithTemplateRequest. Request Url: "
    "https://teams.example/fabric/templates/api/groups/{group}/team, Request Method: PUT, "
    "Response Status Code: {status}, "
    'ErrorMessage : {{"errors":[{{"message":"{words}","errorCode":"{code}"}}]}}'
)


def _wrapped(status: int, code: str, group: str, words: str) -> Refusal:
    return Refusal(status, code, _WRAPPED.format(group=group, status=code, words=words, code="Unknown"))


def unknown_group(group: str) -> Refusal:
    return _wrapped(404, "NotFound", group, f"No group found with Group Id {group}")


def not_a_class(group: str) -> Refusal:
    words = "Education class teams can not be provisioned using a group which does not belong to a class"
    return _wrapped(400, "BadRequest", group, words)


def no_owner(group: str) -> Refusal:
    return _wrapped(400, "BadRequest", group, f"Group {group} must have one or more owners in order to create a Team")


def team_exists(group: str) -> Refusal:
    return _wrapped(409, "Conflict", group, f"The group {group} is already provisioned")


def no_team(group: str) -> Refusal:
    return Refusal(404, "NotFound", f"No team found with Group Id {group}")


def no_membership() -> Refusal:
    return Refusal(404, "NotFound", "The membership was not found")


def denied_by_teams(permissions: frozenset[str]) -> Refusal:
    listed = ", ".join(sorted(permissions))
    message = f"Missing role permissions on the request. API requires one of '{listed}'. Roles on the request ''."
    return Refusal(403, "Forbidden", message)


def bad_team_request(words: str) -> Refusal:
    return Refusal(400, "BadRequest", words)
