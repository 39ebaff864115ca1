"""All events, with ids and counts only. Queries and alerts rely on their names."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime

from sync_core.domain.classes.outcomes import AlreadySo, Applied, Outcome, Refused
from sync_core.domain.ids import AccountId, ClassKey, RunId, SchoolId, plain_id
from sync_core.domain.permissions import TenantCheck
from sync_core.domain.runs import FileDropCheck, RunOutcome, RunRecord
from sync_core.domain.school.sources import FeedFolder
from sync_core.domain.webhooks import WebhookEvent
from sync_core.errors import ReadingFailed, SnapshotRejected, SyncError, UnknownSetting, without_addresses
from sync_core.messaging.messages import Change, RefreshTenant
from sync_core.messaging.port import MessageFault
from sync_core.tracing import NAMESPACE

_CUSTOM_EVENT = "microsoft.custom_event.name"
"""The attribute that makes a log record a row of AppEvents (azure-monitor-opentelemetry, "Add custom events")."""

_LOG = logging.getLogger("mis_class_sync")

# Clients that log each request: its address has ids of people, and its headers are nobody's business.
for _client in ("azure.core.pipeline.policies.http_logging_policy", "httpx"):
    logging.getLogger(_client).setLevel(logging.WARNING)


def night_began(run: RunId, schools: Iterable[SchoolId]) -> None:
    """An event for each school to sync: a query finds those that never had a run."""
    for school in schools:
        _emit(logging.INFO, "school.due", school=school, run=run)


def schools_unreadable(schools: Mapping[SchoolId, UnknownSetting]) -> None:
    for school, reason in schools.items():
        _emit(logging.ERROR, "school.unreadable", school=school, message=reason.message, remedy=reason.remedy)


def date_ahead(school: SchoolId, run: RunId, name: str, day: date, classes: int, people: int) -> None:
    """Something large happens tomorrow, by a date of the school's calendar, to so many classes and people."""
    facts = {"date": name, "day": day.isoformat(), "classes": classes, "people": people}
    _emit(logging.INFO, "calendar.ahead", school=school, run=run, **facts)


def tenant_refreshed(request: RefreshTenant, schools: int) -> None:
    _emit(logging.INFO, "tenant.refreshed", tenant=request.tenant, run=request.run, schools=schools)


def tenant_blocked(request: RefreshTenant, check: TenantCheck) -> None:
    """`permissions` are the names of those that are required and missing; none if the app gets no token."""
    names = ", ".join(permission.name for permission in check.permissions if permission.missing)
    facts = {"tenant": request.tenant, "run": request.run, "permissions": names}
    _emit(logging.ERROR, "tenant.blocked", **facts, message=check.what, remedy=check.remedy)


def school_synced(run: RunRecord) -> None:
    """Emits school.planned, .rejected, .paused, .blocked or .refused, with counts in place of lists of ids."""
    facts = {name: len(value) if isinstance(value, tuple) else value for name, value in asdict(run).items()}
    for name in ("id", "at", "outcome", "requested_by", "notes"):
        del facts[name]
    facts["held_because"] = ", ".join(run.held_because)
    failed = run.outcome in (RunOutcome.REJECTED, RunOutcome.BLOCKED)
    level = logging.ERROR if failed or run.held else logging.INFO
    _emit(level, f"school.{run.outcome}", **facts, run=run.id, notes="; ".join(run.notes))


def webhook_accepted(school: SchoolId, event: WebhookEvent, due: datetime) -> None:
    scope = {"groups": len(event.groups), "people": len(event.people), "whole": event.whole}
    _emit(logging.INFO, "webhook.accepted", school=school, webhook=plain_id(event.id), **scope, planned=due.isoformat())


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRequest:
    """A request over HTTP that was refused. Nothing in it is text of the sender.

    `route` is the template of the path below /api/admin, empty where none was found. `caller` is an Entra id, empty if
    nobody is signed in. `school` is empty unless it exists. `error` is the class of the error, or the status in words.
    """

    function: str
    method: str
    route: str = ""
    status: int
    error: str
    message: str = ""
    caller: str = ""
    school: str = ""


MAX_REFUSALS_OF_ONE = 30
"""Events in a minute about the refused requests of one caller, or to one school."""
MAX_REFUSALS = 300
"""The same of all of them together."""


@dataclass(slots=True)
class Refusals:
    """The events about the refused requests of one process. Past a limit they are counted: a flood fills no log.

    `without_event` of an event is the number of refused requests before it that have none.
    """

    _minute: str = ""
    _events: Counter[str] = field(default_factory=Counter)
    _without_event: int = 0

    def webhook(self, school: SchoolId | None, error: SyncError, now: datetime) -> None:
        """`school` is None, and empty in the event, if the school is unknown."""
        facts = {"school": school or "", "error": type(error).__name__, "message": error.message}
        self._emit("webhook.refused", f"school {school}", now, facts)

    def request(self, refused: RefusedRequest, now: datetime) -> None:
        self._emit("request.refused", f"caller {refused.caller}", now, asdict(refused))

    def _emit(self, name: str, sender: str, now: datetime, facts: Mapping[str, object]) -> None:
        minute = f"{now:%Y%m%dT%H%M}"
        if minute != self._minute:
            self._minute, self._events = minute, Counter()
        if self._events[sender] >= MAX_REFUSALS_OF_ONE or self._events.total() >= MAX_REFUSALS:
            self._without_event += 1
            return
        self._events[sender] += 1
        _emit(logging.WARNING, name, **facts, without_event=self._without_event)
        self._without_event = 0


def access_changed(school: SchoolId, event: str, paused: bool) -> None:
    """A vendor reported a change of its access to a school; `paused` says whether that paused the school."""
    _emit(logging.ERROR if paused else logging.INFO, "mis.access_changed", school=school, access=event, paused=paused)


def file_drop_checked(checked: FileDropCheck) -> None:
    """Emits file_drop.synced, file_drop.rejected and file_drop.failed as they apply; none where nothing is new."""
    folder = checked.drop.path if isinstance(checked.drop, FeedFolder) else checked.drop.folder
    if checked.schools or checked.archived:
        _emit(logging.INFO, "file_drop.synced", file_drop=folder, schools=checked.schools, archived=checked.archived)
    if failure := checked.failure:
        rejected = isinstance(failure, SnapshotRejected) and not isinstance(failure, ReadingFailed)
        level, name = (logging.INFO, "file_drop.rejected") if rejected else (logging.ERROR, "file_drop.failed")
        _emit(level, name, file_drop=folder, message=failure.message, remedy=failure.remedy)


def admin_requested(
    caller: AccountId, school: SchoolId, action: str, key: ClassKey, run: RunId, reason: str = ""
) -> None:
    """`caller` is an Entra id, kept to show who requested what. `reason` is what the caller gave as theirs."""
    facts = {"caller": caller, "school": school, "action": action, "class": key, "run": run, "reason": reason}
    _emit(logging.INFO, "admin.requested", **facts)


def change_settled(change: Change, outcome: Outcome) -> None:
    facts = {"school": change.school, "class": change.key, "run": change.run, "kind": change.kind}
    match outcome:
        case Applied():
            _emit(logging.INFO, "change.applied", **facts, **asdict(outcome))
        case AlreadySo():
            _emit(logging.INFO, "change.already_so", **facts)
        case Refused(code, remedy, done):
            _emit(logging.ERROR, "change.refused", **facts, code=code, remedy=remedy, **asdict(done))


def message_failed(fault: MessageFault, error: SyncError) -> None:
    facts = asdict(fault) | {name: _plain(getattr(fault, name)) for name in ("message_id", "session")}
    del facts["at"]
    _emit(logging.WARNING, "message.failed", **facts, error=type(error).__name__)


def function_failed(function: str, error: SyncError) -> None:
    """A timer, or a request over HTTP, ended in `error`. A message that failed is `message_failed`."""
    facts = {"function": function, "error": type(error).__name__}
    _emit(logging.ERROR, "function.failed", **facts, message=error.message, remedy=error.remedy)


def _plain(text: str) -> str:
    """A text of several ids: a session is a school and a class."""
    return "|".join(map(plain_id, text.split("|")))


def _emit(level: int, name: str, **facts: object) -> None:
    """Log an event with flat attributes: Application Insights makes a row of it, and the local host a line."""
    attributes = {
        f"{NAMESPACE}{fact}": without_addresses(value) if isinstance(value, str) else value
        for fact, value in facts.items()
    }
    _LOG.log(level, name, extra={_CUSTOM_EVENT: name, **attributes})
