"""Faults on demand: the next matching requests get an error in Graph's words, or lose their answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

from local.tenant.directory.refusals import Refusal
from local.tenant.graph.context import Request

_WORDS = {
    409: ("Directory_ConcurrencyViolation", "Unable to complete the request due to data concurrency violation."),
}
_NAMES = {"method", "path", "query", "times", "status", "code", "message", "retry_after", "after_work"}


@dataclass(slots=True)
class Fault:
    """The fault of the next `times` matching requests: an error, or with `after_work` the work without an answer.

    `query` is matched with "name=value" of each parameter, joined by "&". The status is 500 unless it is given.
    """

    method: str
    path: re.Pattern[str]
    query: re.Pattern[str]
    times: int
    status: int
    code: str
    message: str
    retry_after: int | None
    after_work: bool

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Self:
        """Raises ValueError for an unknown name or a pattern that is no regular expression."""
        if unknown := sorted(body.keys() - _NAMES):
            raise ValueError(f"unknown {unknown[0]}; a fault has {', '.join(sorted(_NAMES))}")
        status = int(body.get("status") or 500)
        code, message = _WORDS.get(status, ("InjectedFault", "A fault on demand."))
        try:
            path, query = re.compile(body.get("path", "")), re.compile(body.get("query", ""))
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return cls(
            method=body.get("method", "*"),
            path=path,
            query=query,
            times=int(body.get("times", 1)),
            status=status,
            code=body.get("code", code),
            message=body.get("message", message),
            retry_after=body.get("retry_after"),
            after_work=bool(body.get("after_work", False)),
        )

    def matches(self, request: Request) -> bool:
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        suits = self.method in ("*", request.method) and self.path.search(request.path) and self.query.search(query)
        return bool(self.times and suits)

    def refusal(self) -> Refusal:
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return Refusal(self.status, self.code, self.message, headers)
