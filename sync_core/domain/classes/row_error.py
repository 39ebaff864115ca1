"""The last permanent refusal by Graph, as a row of the tables keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowError:
    """The last permanent refusal by Graph, in Graph's words, with the remedy."""

    code: str
    message: str
    remedy: str
