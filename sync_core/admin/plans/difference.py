"""What other settings would change about the next sync of a school. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sync_core.admin.overview.matching import OneReading
from sync_core.admin.supposed import preview_settings
from sync_core.domain.ids import ClassKey
from sync_core.domain.school.settings import SchoolSettings
from sync_core.planning.preview.preview import ClassChange, Preview
from sync_core.services import Services

_READ_BY = ("source", "time_zone", "year_starts_in")
"""The settings that decide what a reading of the MIS has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTotals:
    """The numbers of a plan: classes, memberships (`joining` a class that there is, `leaving` one), and people."""

    created: int
    changed: int
    joining: int
    leaving: int
    held: int
    without_account: int

    @classmethod
    def of(cls, preview: Preview) -> PlanTotals:
        there = [change for change in preview.classes if not change.create]
        return cls(
            created=len(preview.run.created),
            changed=len(preview.run.changed),
            joining=sum(len(change.members_added) for change in there),
            leaving=sum(len(change.members_removed) for change in there),
            held=len(preview.run.held),
            without_account=len(preview.run.people_without_account),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDifference:
    """One class of which the two plans differ. A plan that would do nothing to it has None."""

    key: ClassKey
    now: ClassChange | None
    then: ClassChange | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDifference:
    """Two plans of the same moment: with the settings that are saved (`now`), and with others (`then`)."""

    at: datetime
    now: Preview
    then: Preview
    classes: tuple[ClassDifference, ...]


async def compare_plans(saved: SchoolSettings, wanted: SchoolSettings, services: Services) -> PlanDifference:
    """Both plans, of a paused school too. The MIS is read once if the settings do not say otherwise.

    Raises UnknownSetting, Conflict.
    """
    before, after = replace(saved, enabled=True), replace(wanted, enabled=True)
    if all(getattr(before, name) == getattr(after, name) for name in _READ_BY):
        services = replace(services, reading=replace(services.reading, mis=OneReading(services.mis)))
    now = await preview_settings(before, services)
    then = await preview_settings(after, services)
    return PlanDifference(at=services.clock.now(), now=now, then=then, classes=differing_classes(now, then))


def differing_classes(now: Preview, then: Preview) -> tuple[ClassDifference, ...]:
    """In order of key."""
    first, second = _by_key(now), _by_key(then)
    return tuple(
        ClassDifference(key=key, now=first.get(key), then=second.get(key))
        for key in sorted(first.keys() | second.keys())
        if _effect(first.get(key)) != _effect(second.get(key))
    )


def _by_key(preview: Preview) -> Mapping[ClassKey, ClassChange]:
    return {change.key: change for change in preview.classes}


def _effect(change: ClassChange | None) -> object:
    """What would be done, without why."""
    return change and replace(change, why={}, as_of=None)
