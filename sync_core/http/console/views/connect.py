"""The pages that connect a school: the ways, what a feed has, and what the first sync would do, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from sync_core.admin.plans.difference import PlanTotals
from sync_core.admin.school_settings import Fault
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import RunOutcome
from sync_core.domain.school.settings import Mis
from sync_core.domain.school.year import in_years
from sync_core.http.admin.dependencies import PATH_ID
from sync_core.http.console.formats import count
from sync_core.http.console.views.settings.fields import SOURCES, Setting, settings_at
from sync_core.http.console.views.settings.words import word_for
from sync_core.planning.feed_report import FeedReport, GroupsOfType, Identities
from sync_core.planning.preview.preview import Preview

ZIP = "zip"
WAYS: Mapping[str, tuple[str, str]] = {
    "wonde": ("Wonde", "Wonde reads the MIS, and the school approves this app at Wonde. Nothing to export."),
    "oneroster": ("A OneRoster server", "The MIS, or a vendor in front of it, has a OneRoster 1.1 or 1.2 server."),
    "container": ("A file drop", "The MIS exports OneRoster or School Data Sync CSV on a schedule."),
    ZIP: ("A zip file, once", "Try an export set now. It is read in memory and kept nowhere, and nothing is saved."),
}
"""The ways to read an MIS, each with its name and when to use it."""
STEPS = ("MIS", "Way", "Source", "Check", "Matching", "Names", "Plan")
EXAMPLES = 12
"""New classes whose names are shown."""

_MATCHING = ("students", "staff")
_NAMES = ("types", "name_identifier", "admin_owners", "teaching_owners")


def mis_choices() -> Mapping[str, str]:
    return {each.value: word_for(each) for each in Mis}


def source_settings(way: str) -> tuple[Setting, ...]:
    """What a way asks for. A zip file is tried for a school whose files come to a file drop later."""
    if way == ZIP:
        return (*settings_at("id"), *_settings(_MATCHING), *_settings(_NAMES))
    return (*settings_at("id"), *settings_at("name"), *settings_at("tenant"), *settings_at("source", way))


def matching_settings() -> tuple[Setting, ...]:
    return _settings(_MATCHING)


def names_settings() -> tuple[Setting, ...]:
    return _settings(_NAMES)


def _settings(names: Iterable[str]) -> tuple[Setting, ...]:
    return tuple(setting for name in names for setting in settings_at(name))


def first_body(mis: str, way: str, tenant: str) -> dict[str, Any]:
    """A body with the defaults of its source, which has yet to be filled in."""
    kind = "container" if way == ZIP else way
    given = {field.name: _plain(field.default) for field in fields(SOURCES[kind]) if field.default is not MISSING}
    types = [each.value for each in GroupType if mis != Mis.SCHOLARPACK or each is not GroupType.TEACHING]
    return {"tenant": tenant, "mis": mis, "types": types, "source": {**given, "kind": kind}}


def with_folder(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a school that is tried by a zip file: its file drop is the folder with the school's id."""
    folder = re.sub(r"[^A-Za-z0-9_-]+", "-", str(body.get("id", ""))).strip("-") or "school"
    return {**body, "source": {"kind": "container", "folder": folder}}


def id_faults(body: Mapping[str, Any]) -> tuple[Fault, ...]:
    """An id becomes part of addresses and keys."""
    id_ = body.get("id")
    if isinstance(id_, str) and len(id_) <= 64 and re.match(PATH_ID, id_):
        return ()
    remedy = "correct the id of the school"
    return (Fault("id: should be 1 to 64 letters, digits and any of . _ ~ : @ + = { } -", remedy),)


TAKEN = Fault(
    "id: is that of a school that is connected already; type another id, or change that school on its page Settings",
    "type another id, or change the settings of that school",
)


def _plain(value: Any) -> Any:
    return [str(each) for each in value] if isinstance(value, tuple) else value and str(value)


# --- the check of a feed


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What a feed has, in a line."""

    label: str
    text: str


def feed_facts(report: FeedReport) -> list[Fact]:
    years = [f"{in_years(year)} ({count(each, 'group')})" for year, each in report.academic_years.items()]
    other_year = "" if not years or report.current_year in report.academic_years else ". Today is in another year"
    rows = [
        ("Format", report.format),
        ("School", ", ".join(filter(None, (report.name, report.dfe_code and f"DfE code {report.dfe_code}")))),
        ("Academic year", (", ".join(years) or "none") + other_year),
        *((word_for(each.type), _groups(each)) for each in report.groups),
        ("Pupils in groups", _identities(report.students)),
        ("Teachers in groups", _identities(report.teachers)),
        *(
            ("Left out", f"{count(each.left_out)} of {count(each.rows, 'row')} of {each.source}")
            for each in report.left_out_of
        ),
        *(("Note", _capital(note)) for note in report.notes),
    ]
    return [Fact(label=label, text=text) for label, text in rows if text]


def rejections(report: FeedReport) -> list[str]:
    return [f"{_capital(each.what)}. {_capital(each.remedy)}." for each in report.rejections]


def _groups(groups: GroupsOfType) -> str:
    if not groups.groups:
        return "none"
    ownerless = groups.type is GroupType.TEACHING and groups.without_teachers
    without = f", {count(groups.without_teachers)} without a teacher" if ownerless else ""
    people = f"{count(groups.students, 'pupil')}, {count(groups.teachers, 'teacher')}"
    return f"{count(groups.groups, 'group')} with {people}{without}"


def _identities(people: Identities) -> str:
    return (
        f"{count(people.people)}: {count(people.with_username)} with a user name "
        f"({count(people.username_is_address)} of them an address), {count(people.with_email)} with an e-mail address, "
        f"{count(people.with_neither)} with neither"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- the names, and the plan


@dataclass(frozen=True, slots=True, kw_only=True)
class NameShown:
    """A new class: its group in the MIS, and what it will be called."""

    group: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPlan:
    """What the first sync would do. `failure` says why there is no plan, if there is none."""

    names: Sequence[NameShown]
    created: int
    totals: Sequence[Fact]
    notes: Sequence[str]
    failure: str


def first_plan(preview: Preview) -> FirstPlan:
    totals, run = PlanTotals.of(preview), preview.run
    planned = run.outcome is RunOutcome.PLANNED
    created = [change for change in preview.classes if change.create]
    people = sum(change.wanted.members or 0 for change in created)
    rows = (
        ("Classes to create", f"{count(totals.created)}, with {count(people, 'membership')}"),
        ("Classes that there are, to change", count(totals.changed)),
        ("People leaving a class", count(totals.leaving)),
        ("Classes held for a decision", count(totals.held)),
        ("Classes without an owner", count(len(run.ownerless))),
        ("People without an account", count(totals.without_account)),
        ("People with an account in doubt", count(len(run.people_ambiguous))),
    )
    return FirstPlan(
        names=[NameShown(group=change.group_name, name=change.name) for change in created[:EXAMPLES]],
        created=len(created),
        totals=[Fact(label=label, text=text) for label, text in rows],
        notes=[_capital(note) for note in run.notes] if planned else [],
        failure="" if planned else ". ".join(map(_capital, run.notes)) + ".",
    )
