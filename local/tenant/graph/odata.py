"""The part of OData that the app uses: simple filters, $select, pages with $skiptoken, and the tokens of deltas."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from local.tenant.directory.refusals import bad_request
from local.tenant.graph.context import Entity

DEFAULT_PAGE, LARGEST_PAGE = 100, 999

_IN = re.compile(r"(\w+) in \(((?:'[^']*',? ?)+)\)")
_LONGEST_IN = 15
_CLAUSE = re.compile(r"(?:(\w+) eq '((?:[^']|'')*)'|startswith\((\w+), ?'((?:[^']|'')*)'\))")


def matcher(text: str | None, allowed: Sequence[str]) -> Callable[[Entity], bool]:
    """`a eq 'x'` or `startswith(a,'x')`, joined by `or`, or one `a in ('x','y')`; case is ignored.

    Raises Refusal for any other filter.
    """
    if not text:
        return lambda _: True
    if (in_list := _IN.fullmatch(text)) and in_list[1] in allowed:
        values = {value.lower() for value in re.findall(r"'([^']*)'", in_list[2])}
        if len(values) > _LONGEST_IN:
            raise bad_request(f"Too many child clauses specified in search filter expression: {len(values)}.")
        return lambda entity: str(entity.get(in_list[1]) or "").lower() in values
    clauses: list[tuple[str, str, bool]] = []
    for part in text.split(" or "):
        clause = _CLAUSE.fullmatch(part.strip())
        name = (clause[1] or clause[3]) if clause else ""
        if not clause or name not in allowed:
            raise bad_request(f"Unsupported or invalid query filter clause specified: {part.strip()!r}.")
        value = clause[2] if clause[1] else clause[4]
        clauses.append((name, value.replace("''", "'").lower(), bool(clause[3])))

    def matches(entity: Entity) -> bool:
        for name, value, prefix in clauses:
            own = str(entity.get(name) or "").lower()
            if own.startswith(value) if prefix else own == value:
                return True
        return False

    return matches


def select(entity: Entity, query: dict[str, str]) -> Entity:
    wanted = query.get("$select")
    if not wanted:
        return entity
    return {name: entity[name] for name in ("id", *wanted.split(",")) if name in entity}


def page(items: Sequence[Entity], query: dict[str, str], base: str) -> Entity:
    """One page of `items`, with a link to the next; `base` is the URL without its query."""
    top = query.get("$top", str(DEFAULT_PAGE))
    if not top.isdecimal() or not 1 <= int(top) <= LARGEST_PAGE:
        raise bad_request(f"Invalid page size specified: '{top}'. Must be between 1 and {LARGEST_PAGE} inclusive.")
    start = read_token(query["$skiptoken"])["at"] if "$skiptoken" in query else 0
    end = start + int(top)
    answer: Entity = {"value": list(items[start:end])}
    if end < len(items):
        kept = [f"{name}={value}" for name, value in query.items() if name != "$skiptoken"]
        kept.append(f"$skiptoken={token({'at': end})}")
        answer["@odata.nextLink"] = f"{base}?{'&'.join(kept)}"
    return answer


def token(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def read_token(text: str) -> dict[str, Any]:
    try:
        content = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise bad_request("Badly formed token.") from None
    if not isinstance(content, dict):
        raise bad_request("Badly formed token.")
    return content
