"""The settings page of a school, and what a change of settings would do, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync_core.admin.plans.difference import PlanDifference, PlanTotals
from sync_core.admin.school_settings import Fault
from sync_core.domain.ids import AccountId
from sync_core.domain.runs import Changed, RunOutcome, SettingsChange, values_by_place
from sync_core.domain.school.settings import SchoolSettings
from sync_core.http.console.formats import count
from sync_core.http.console.views.settings.fields import FilledField, Setting, fill_in, settings_at, value_in_words
from sync_core.http.console.views.settings.words import LABELS, SECTIONS
from sync_core.planning.preview.preview import ClassChange

LISTED = 50
"""Classes of a difference that one page lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionShown:
    """A section of the form, filled in."""

    id: str
    title: str
    hint: str
    fields: Sequence[FilledField]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowShown:
    """Something before and after, in words: a setting, a total, or what a sync does to a class."""

    label: str
    before: str
    after: str

    @property
    def differs(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeShown:
    """Who changed settings, when, and which. `first`: the school was added."""

    at: datetime
    who: str
    first: bool
    settings: Sequence[RowShown]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanShown:
    """The difference of two plans. `failure` says why there is none with the new settings, if so."""

    at: datetime
    totals: Sequence[RowShown]
    classes: Sequence[RowShown]
    differing: int
    failure: str


# --- the form


def settings_on_page(settings: SchoolSettings, all_schools: bool) -> tuple[Setting, ...]:
    """The settings that this caller may change here, in the order of the page."""
    return tuple(
        setting
        for section in SECTIONS
        if all_schools or not section.for_all_schools
        for name in section.settings
        for setting in settings_at(name, settings.source.kind)
    )


def sections_of(
    settings: SchoolSettings, all_schools: bool, body: Mapping[str, Any], faults: Sequence[Fault] = ()
) -> tuple[SectionShown, ...]:
    return tuple(
        SectionShown(
            id=section.id,
            title=section.title,
            hint=section.hint,
            fields=[
                filled
                for name in section.settings
                for filled in fill_in(settings_at(name, settings.source.kind), body, faults)
            ],
        )
        for section in SECTIONS
        if all_schools or not section.for_all_schools
    )


def source_rows(settings: SchoolSettings) -> list[RowShown]:
    """Where the MIS is read from, for people who may not change it."""
    values = {place: text for place, text in values_by_place(settings).items() if place.startswith("source.") and text}
    return [_setting_row(place, Changed("", text)) for place, text in values.items()]


# --- what changed, and what would


def setting_rows(changes: Mapping[str, Changed]) -> list[RowShown]:
    return [_setting_row(place, changed) for place, changed in changes.items()]


def change_shown(change: SettingsChange, names: Mapping[AccountId, str]) -> ChangeShown:
    who = names.get(change.by, change.by) if change.by else "at the request of Wonde"
    return ChangeShown(at=change.at, who=who, first="school" in change.settings, settings=setting_rows(change.settings))


def _setting_row(place: str, changed: Changed) -> RowShown:
    before, after = (value_in_words(place, text) or "–" for text in (changed.before, changed.after))
    return RowShown(label=LABELS.get(place, place), before=before, after=after)


_TOTALS: Mapping[str, str] = {
    "created": "Classes to create",
    "changed": "Classes to change",
    "joining": "People joining a class",
    "leaving": "People leaving a class",
    "held": "Classes held for a decision",
    "without_account": "People without an account",
}


def plan_shown(difference: PlanDifference) -> PlanShown:
    now, then = PlanTotals.of(difference.now), PlanTotals.of(difference.then)
    run = difference.then.run
    rows = [
        RowShown(label=_title(each.now or each.then), before=_effect(each.now), after=_effect(each.then))
        for each in difference.classes[:LISTED]
    ]
    return PlanShown(
        at=difference.at,
        totals=[
            RowShown(label=label, before=count(getattr(now, name)), after=count(getattr(then, name)))
            for name, label in _TOTALS.items()
        ],
        classes=rows,
        differing=len(difference.classes),
        failure="" if run.outcome is RunOutcome.PLANNED else _sentence(run.notes),
    )


def _sentence(notes: Iterable[str]) -> str:
    text = ". ".join(note[:1].upper() + note[1:] for note in notes)
    return f"No plan could be made with these settings. {text}."


def _title(change: ClassChange | None) -> str:
    assert change
    return f"{change.group_name} – {change.name}" if change.group_name else change.name


def _effect(change: ClassChange | None) -> str:
    """`created with 28 people`, `3 join, 1 leaves`."""
    if change is None:
        return "nothing"
    if change.delete:
        return "deleted, as an admin requested"
    if change.create:
        return f"created with {count(change.wanted.members or 0, 'person', 'people')} as {change.name}"
    parts = (
        ("joins", "join", len(change.members_added)),
        ("leaves", "leave", len(change.members_removed)),
        ("becomes an owner", "become owners", len(change.owners_granted)),
        ("stops being an owner", "stop being owners", len(change.owners_revoked)),
    )
    texts = [count(number, one, many) for one, many, number in parts if number]
    return ", ".join(texts) or "its people stay"
