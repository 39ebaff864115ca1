"""The only owner of the names of events and spans, which hold ids and counts only: queries and alerts rely on them.

An event is a log record. A trace begins with the timer or the webhook and goes with its messages through both queues to
each request to Graph.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sync_core.announcements import Announcement
from sync_core.choices import FeedFolder
from sync_core.errors import AlreadySo, Applied, Outcome, Refused, SnapshotRejected, SyncError
from sync_core.events import Change, RefreshTenant
from sync_core.model import RunOutcome, RunRecord
from sync_core.ports import Collected, MessageFault

_NAMESPACE = "sync."
"""Before the name of every fact; a log record has attributes of its own."""
_CUSTOM_EVENT = "microsoft.custom_event.name"
"""By which azure-monitor-opentelemetry makes a record a row of AppEvents ("Add custom events")."""
_LOG = logging.getLogger("mis_class_sync")

_TRACER = trace.get_tracer("mis_class_sync")
_W3C = TraceContextTextMapPropagator()
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def night_began(run: str, schools: Iterable[str]) -> None:
    """An event for each school that is to be synced: what never comes to a run is missed by it."""
    for school in schools:
        _emit(logging.INFO, "school.due", school=school, run=run)


def tenant_refreshed(request: RefreshTenant, schools: int) -> None:
    _emit(logging.INFO, "tenant.refreshed", tenant=request.tenant, run=request.run, schools=schools)


def school_synced(run: RunRecord) -> None:
    """One event for each outcome: school.planned, school.rejected, school.paused, school.refused."""
    _emit(
        logging.ERROR if run.outcome is RunOutcome.REJECTED or run.held else logging.INFO,
        f"school.{run.outcome}",
        school=run.school,
        run=run.run,
        cause=run.cause,
        action=run.action,
        groups=run.groups,
        created=len(run.created),
        changed=len(run.changed),
        unchanged=run.unchanged,
        held=len(run.held),
        removals=run.removals,
        gone=len(run.gone),
        ended=len(run.ended),
        expired=len(run.expired),
        people_without_account=len(run.people_without_account),
        people_disabled=len(run.people_disabled),
        people_ambiguous=len(run.people_ambiguous),
        notes="; ".join(run.notes),
    )


def webhook_accepted(school: str, announcement: Announcement, due: datetime) -> None:
    _emit(
        logging.INFO,
        "webhook.accepted",
        school=school,
        webhook=announcement.id,
        groups=len(announcement.groups),
        people=len(announcement.people),
        whole=announcement.whole,
        planned=due.isoformat(),
    )


def webhook_refused(school: str, error: SyncError) -> None:
    """`school` is empty where there is no such school."""
    _emit(logging.WARNING, "webhook.refused", school=school, error=type(error).__name__, what=error.what)


def access_changed(school: str, event: str, paused: bool) -> None:
    """What a vendor told of its access to a school; `paused` where that paused it."""
    _emit(logging.ERROR if paused else logging.INFO, "mis.access_changed", school=school, access=event, paused=paused)


def drop_collected(collected: Collected) -> None:
    """One event for each drop with something new: drop.taken, drop.not_taken, drop.failed."""
    where = collected.drop.path if isinstance(collected.drop, FeedFolder) else collected.drop.folder
    if collected.schools or collected.moved:
        _emit(logging.INFO, "drop.taken", drop=where, schools=collected.schools, moved=collected.moved)
    match collected.failure:
        case None:
            return
        case SnapshotRejected(what=what, remedy=remedy):
            _emit(logging.INFO, "drop.not_taken", drop=where, what=what, remedy=remedy)
        case SyncError(what=what, remedy=remedy):
            _emit(logging.ERROR, "drop.failed", drop=where, what=what, remedy=remedy)


def admin_asked(caller: str, school: str, action: str, key: str, run: str) -> None:
    """`caller` is an Entra id: who asked for what stays on record."""
    _emit(logging.INFO, "admin.asked", caller=caller, school=school, action=action, run=run, **{"class": key})


def change_settled(change: Change, outcome: Outcome) -> None:
    where = {"school": change.school, "class": change.key, "run": change.run, "kind": change.kind}
    match outcome:
        case Applied():
            _emit(logging.INFO, "change.applied", **where, **asdict(outcome))
        case AlreadySo():
            _emit(logging.INFO, "change.already_so", **where)
        case Refused(code, remedy, done):
            _emit(logging.ERROR, "change.refused", **where, code=code, remedy=remedy, **asdict(done))


def message_failed(fault: MessageFault, error: SyncError) -> None:
    _emit(
        logging.WARNING,
        "message.failed",
        queue=fault.queue,
        message=fault.message_id,
        session=fault.session,
        deliveries=fault.deliveries,
        error=type(error).__name__,
        what=fault.what,
        remedy=fault.remedy,
    )


def trace_to_carry() -> dict[str, str]:
    """The trace under way, as properties for a message to carry (W3C Trace Context); empty where there is none."""
    carried: dict[str, str] = {}
    _W3C.inject(carried)
    return carried


@contextmanager
def message_handled(queue: str, properties: Mapping[str, object]) -> Iterator[None]:
    """A span for one message, in the trace that its `properties` carry.

    The host is not relied on: one without azure-functions-host pull 11946 (August 2026) begins a new trace with each
    message of a session, and any may sample. What a message does is always kept.
    """
    host = trace.get_current_span().get_span_context()
    carried = {name: value for name, value in properties.items() if isinstance(value, str)}
    sender = trace.get_current_span(_W3C.extract(carried, Context())).get_span_context()
    parent = sender if sender.is_valid else host
    with (
        _TRACER.start_as_current_span(
            f"process {queue}",
            trace.set_span_in_context(_seen_as(parent, TraceFlags.SAMPLED)) if parent.is_valid else None,
            SpanKind.CONSUMER,
            {"messaging.system": "servicebus", "messaging.destination": queue},
            [Link(host)] if host.is_valid and host.trace_id != parent.trace_id else [],
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
        _failing(span),
    ):
        yield


class GraphRequest(Protocol):
    """What is still to be told of a request to Graph that was begun."""

    def __call__(self, status: int, throttled: int) -> None:
        """The answer's status, 0 for none; how many requests in it Graph refused for now."""


@contextmanager
def graph_request(method: str, url: str) -> Iterator[GraphRequest]:
    """A span for one request to Graph. `url` may hold ids; its query is not told.

    The SDK makes a dozen spans of its own for each step of its pipeline, which nobody looks at: below a span that is
    not sampled they are none.
    """
    place = urlsplit(url)
    kind = _ID.sub("{id}", place.path)
    with _TRACER.start_as_current_span(
        f"{method} {kind}",
        kind=SpanKind.CLIENT,
        attributes={
            "http.request.method": method,
            "url.full": f"{place.scheme}://{place.netloc}{kind}",
            "server.address": place.hostname or "",
            "server.port": place.port or 443,
            f"{_NAMESPACE}path": place.path,
        },
        record_exception=False,
        set_status_on_exception=False,
    ) as span:

        def answered(status: int, throttled: int) -> None:
            span.set_attribute("http.response.status_code", status)
            span.set_attribute(f"{_NAMESPACE}throttled", throttled)
            span.set_status(StatusCode.OK if 0 < status < 400 else StatusCode.ERROR)

        with _failing(span), trace.use_span(_seen_as(span.get_span_context(), TraceFlags.DEFAULT)):
            yield answered


@contextmanager
def _failing(span: Span) -> Iterator[None]:
    """What is raised is the failure of the span: in our own words or by its type, for a stranger may name somebody."""
    try:
        yield
    except BaseException as failure:
        span.set_status(StatusCode.ERROR, failure.what if isinstance(failure, SyncError) else type(failure).__name__)
        raise


def _seen_as(span: SpanContext, flags: int) -> Span:
    """That span as a parent whose children are sampled, or are not."""
    return NonRecordingSpan(
        SpanContext(span.trace_id, span.span_id, span.is_remote, TraceFlags(flags), span.trace_state)
    )


def place_of(failure: BaseException) -> str:
    """Where an exception was raised: file and line, without anything that it says."""
    frames = traceback.extract_tb(failure.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def _emit(level: int, name: str, **facts: object) -> None:
    """Flat attributes: what Application Insights makes a row of, and the local host a line."""
    attributes = {f"{_NAMESPACE}{fact}": value for fact, value in facts.items()}
    _LOG.log(level, name, extra={_CUSTOM_EVENT: name, **attributes})
