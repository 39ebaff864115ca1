"""The error answers of the simulated tenant, in Graph's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NICKNAME_TAKEN = "Another object with the same value for property mailNickname already exists."


class Refusal(Exception):
    """An error answer, with Graph's code and message; `details` are {"code", "target"}."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        details: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers, self.details = dict(headers or {}), list(details)


def not_found(id_: str) -> Refusal:
    message = f"Resource '{id_}' does not exist or one of its queried reference-property objects are not present."
    return Refusal(404, "Request_ResourceNotFound", message)


def bad_request(message: str) -> Refusal:
    return Refusal(400, "Request_BadRequest", message)


def denied() -> Refusal:
    return Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def guest_refused() -> Refusal:
    message = "Guests users are not allowed to join this Unified Group due to policy setting"
    return Refusal(403, "Authorization_RequestDenied", message)


def quota_exceeded(collection: str, people: int, quota: int) -> Refusal:
    message = f"Unable to perform operation as '{people}' would exceed the maximum quota count '{quota}'"
    return Refusal(403, "Directory_QuotaExceeded", f"{message} for forward-link {collection}.")


def already_there(collection: str) -> Refusal:
    message = "One or more added object references already exist for the following modified properties"
    return bad_request(f"{message}: '{collection}'.")


def no_such_reference(collection: str) -> Refusal:
    message = "One or more removed object references do not exist for the following modified properties"
    return bad_request(f"{message}: '{collection}'.")
