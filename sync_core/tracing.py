"""Spans: one trace from the timer or the webhook, through the queues, to each request to Graph.

An event is a log record. A trace begins with the timer or the webhook and goes with its messages through both queues to
each request to Graph.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sync_core.errors import SyncError

_NAMESPACE = "sync."
"""Before the name of every fact; a log record has attributes of its own."""


_TRACER = trace.get_tracer("mis_class_sync")


_W3C = TraceContextTextMapPropagator()


_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


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
        span.set_status(StatusCode.ERROR, failure.message if isinstance(failure, SyncError) else type(failure).__name__)
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
