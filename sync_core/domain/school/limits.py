"""How much of a school a plan may change without an admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from sync_core.domain.constraints import FORM, Exact, Meaning

_Share = Annotated[float, Exact(), Ge(0), Le(1)]


_Times = Annotated[float, Exact(), Ge(0), Le(1_000_000)]


_People = Annotated[int, Exact(), Ge(1), Le(1_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is too destructive to run without an admin's approval; shares are of 1, and 1 switches a limit off."""

    __pydantic_config__ = FORM
    smallest_snapshot: Annotated[
        _Share, Meaning("Groups, students or enrolments of a feed, per one of the last accepted feed; 0 accepts any")
    ] = 0.8
    class_loss: Annotated[_Share, Meaning("Students whom a class loses, if at least class_loss_people")] = 0.4
    class_loss_people: _People = 5
    turnover: Annotated[_Share, Meaning("Students of a class who are others than before")] = 0.8
    school_loss: Annotated[_Share, Meaning("Memberships lost in one plan, if at least school_loss_people")] = 0.1
    school_loss_people: _People = 5
    week_loss: Annotated[_Share, Meaning("Memberships lost in seven days, if at least school_loss_people")] = 0.2
    new_classes: Annotated[_Times, Meaning("Classes made in one plan, per group of the last accepted feed")] = 3.0
    unmatched: Annotated[
        _Share, Meaning("Students, or staff, who find no account of their own, if at least unmatched_people")
    ] = 0.2
    unmatched_people: _People = 10
    left_out: Annotated[
        _Share,
        Meaning("Rows of one file that cannot be read, if more than left_out_rows; above it the feed is rejected"),
    ] = 0.02
    left_out_rows: _People = 20


USUAL_LIMITS = Limits()
