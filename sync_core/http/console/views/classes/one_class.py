"""What the page of a class shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from sync_core.admin.classes.objections import ClassAction
from sync_core.admin.classes.one_class import ClassPerson, OneClass, Seen
from sync_core.admin.overview.schools import Light, Sign
from sync_core.domain.classes.desired import Reason, Rule
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassState
from sync_core.domain.ids import AccountId, ClassId, RunId
from sync_core.domain.runs import Cause
from sync_core.http.console.formats import count
from sync_core.http.console.paging import Paged, page_of
from sync_core.http.console.views.classes import states
from sync_core.http.console.views.classes.choices import FOLLOW, OwnerRow, owner_rows
from sync_core.http.console.views.classes.groups import ACTIONS
from sync_core.http.console.views.classes.team import TeamView, team_view
from sync_core.planning.explain.model import Role

CHANGES = 20
"""Changes of the history that the page lists, newest first."""
_ENTRA = "https://entra.microsoft.com/#view/Microsoft_AAD_IAM/GroupDetailsMenuBlade/~/Overview/groupId/"
_SEEN = {
    Seen.SAME: Sign(light=Light.GOOD, text="as wanted"),
    Seen.MISSING: Sign(light=Light.WAITS, text="not there yet"),
    Seen.EXTRA: Sign(light=Light.WAITS, text="not wanted"),
    Seen.EXTRA_OWNER: Sign(light=Light.GOOD, text="owner added by hand"),
    Seen.UNKNOWN: Sign(light=Light.WAITS, text="not known"),
    Seen.NO_CLASS: Sign(light=Light.WAITS, text="no class"),
}
_REASONS = {
    Rule.STUDENT: "student of the group",
    Rule.TEACHER: "teacher of the group",
    Rule.ADMIN_OWNER: "admin owner in the settings",
    Rule.CREATOR: "requested the class",
    Rule.IN_DOUBT: "several accounts could be theirs, and they were in the class before",
    Rule.EXTRA_OWNER: "extra owner",
    Rule.PINNED: "was in the class when an admin pinned it",
    Rule.UNDONE: "was in the class before a run that was undone",
}
_CAUSES = {
    Cause.NIGHTLY: "in the night",
    Cause.WEBHOOK: "after a webhook event",
    Cause.FILE_DROP: "after a file drop",
    Cause.ADMIN: "at a request",
}


def open_in_microsoft_365(class_id: ClassId) -> str:
    """The group in the Entra admin center, whose page the class's owners and members can be seen on."""
    return _ENTRA + quote(class_id, safe="")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    account: AccountId
    wanted: str
    there: str
    mis: str
    sign: Sign
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A change of the history in words, and the people whom it is about, by what happened to them."""

    at: datetime
    run: RunId
    cause: str
    what: str
    people: Mapping[str, tuple[AccountId, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionLink:
    """An action, and where it leads; `why_not` and `remedy` if it is impossible now."""

    name: str
    address: str
    main: bool
    why_not: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassView:
    """`differing` counts the people who are not in Microsoft 365 as wanted; None if that is not known."""

    name: str
    sign: Sign
    sentence: str
    address: str
    open: str
    team: TeamView | None
    people: Paged[PersonRow]
    differing: int | None
    changes: tuple[ChangeRow, ...]
    more_changes: int
    actions: tuple[ActionLink, ...]
    follows: str
    extra_owners: tuple[OwnerRow, ...]


def class_view(found: OneClass, page: int, path: str, query: Mapping[str, str]) -> ClassView:
    record, wanted = found.record, found.record.desired
    name = record.actual.name if record.actual and not record.gone else wanted.name
    rows = [person_row(person) for person in found.people]
    known = found.there is not None and found.there.found and found.there.members is not None
    return ClassView(
        name=name.display_name,
        sign=states.sign_of(record.outline),
        sentence=states.sentence_of(record.state),
        address=name.mail_nickname,
        open=open_in_microsoft_365(record.actual.class_id) if record.actual and not record.gone else "",
        team=team_view(record),
        people=page_of(rows, page, path, query),
        differing=sum(person.seen in (Seen.MISSING, Seen.EXTRA) for person in found.people) if known else None,
        changes=tuple(map(change_row, found.history[:CHANGES])),
        more_changes=max(0, len(found.history) - CHANGES),
        actions=tuple(_action_links(found)),
        follows=FOLLOW[found.chosen.follow][0],
        extra_owners=owner_rows(found.chosen),
    )


def person_row(person: ClassPerson) -> PersonRow:
    return PersonRow(
        account=person.account,
        wanted=_role(person.wanted),
        there="not known" if person.seen is Seen.UNKNOWN else _role(person.there),
        mis=_role(person.mis),
        sign=_SEEN[person.seen],
        why=_why(person.reason) if person.reason else "",
    )


def in_order(rows: Iterable[PersonRow], names: Mapping[AccountId, str]) -> list[PersonRow]:
    """The rows of a page: those who differ first, then owners, each in the order of their names."""
    return sorted(
        rows,
        key=lambda row: (row.sign.light is Light.GOOD, row.wanted != Role.OWNER, names[row.account].casefold()),
    )


def change_row(change: AppliedDelta) -> ChangeRow:
    moved = {
        "joined": change.members_added,
        "left": change.members_removed,
        "became owner": change.owners_granted,
        "lost the ownership": change.owners_revoked,
        "were added to the team": change.team_added,
        "were taken out of the team": change.team_removed,
    }
    events = {
        "created": change.created,
        "taken for the group": change.adopted,
        "deleted": change.deleted,
        "restored": change.restored,
        "renamed": change.renamed,
        "team requested": change.team_made,
        "team activated": change.team_opened,
        "team archived": change.team_archived,
        "team restored from the archive": change.team_unarchived,
    }
    parts = [event for event, happened in events.items() if happened]
    parts += [f"{count(len(people), 'person', 'people')} {what}" for what, people in moved.items() if people]
    return ChangeRow(
        at=change.at,
        run=change.run,
        cause=_CAUSES[change.cause],
        what=", ".join(parts),
        people={what: tuple(sorted(people)) for what, people in moved.items() if people},
    )


def people_to_name(view: ClassView) -> Iterable[AccountId]:
    """Whose names the page shows, in its order."""
    yield from (account for row in view.extra_owners for account in (row.account, row.given_by))
    yield from (row.account for row in view.people.rows)
    for change in view.changes:
        for people in change.people.values():
            yield from people


def _action_links(found: OneClass) -> Iterable[ActionLink]:
    """What can be done with the class, the usual action of its state first and marked as the main one."""
    school, key = quote(found.record.school, safe=":@+="), quote(found.record.key, safe="")
    review = f"/schools/{school}/groups/actions?key={key}&action="
    addresses = {
        ClassAction.RESYNC: f"{review}{ClassAction.RESYNC}",
        ClassAction.RELEASE: f"{review}{ClassAction.RELEASE}",
        ClassAction.RESTORE: f"{review}{ClassAction.RESTORE}",
        ClassAction.CREATE: f"/schools/{school}/groups/{key}/create",
        ClassAction.DELETE: f"/schools/{school}/classes/{key}/delete",
    }
    usual = _USUAL.get(found.record.state, ClassAction.RESYNC)
    for action in sorted(addresses, key=lambda each: each is not usual):
        refusal = found.objections[action]
        yield ActionLink(
            name=ACTIONS[action],
            address=addresses[action],
            main=action is usual and refusal is None,
            why_not=refusal.message if refusal else "",
            remedy=refusal.remedy if refusal else "",
        )


_USUAL = {
    ClassState.PINNED: ClassAction.RELEASE,
    ClassState.DELETED: ClassAction.RESTORE,
    ClassState.GONE: ClassAction.RESTORE,
}


def _role(role: Role | None) -> str:
    return role or "–"


def _why(reason: Reason) -> str:
    words = _REASONS[reason.rule]
    return f"{words}, MIS id {reason.person}" if reason.person else words
