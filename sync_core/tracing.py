"""Spans: one trace from the timer or the webhook, through the queues, to each request to Graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sync_core.errors import SyncError, without_addresses

NAMESPACE = "sync."
"""The prefix of our attribute names; a log record has attributes of its own."""

_TRACER = trace.get_tracer("mis_class_sync")
_W3C = TraceContextTextMapPropagator()
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_MEMBERSHIP = re.compile(r"(/teams/[^/]+/members/)(?!add$)[^/]+")
"""The id of a membership, which has no form: Graph may put any text into it."""


def trace_to_carry() -> dict[str, str]:
    """The current trace as message properties (W3C Trace Context); empty where there is none."""
    carried: dict[str, str] = {}
    _W3C.inject(carried)
    return carried


def message_handled(queue: str, properties: Mapping[str, object]) -> AbstractContextManager[Span]:
    """A span for one message, in the trace that its `properties` carry; always sampled.

    The host's trace is not enough: a host without azure-functions-host pull 11946 (August 2026) begins a new trace with
    each message of a session, and any host may sample.
    """
    host = trace.get_current_span().get_span_context()
    carried = {name: value for name, value in properties.items() if isinstance(value, str)}
    sender = trace.get_current_span(_W3C.extract(carried, Context())).get_span_context()
    parent = sender if sender.is_valid else host
    attributes = {"messaging.system": "servicebus", "messaging.destination": queue}
    context = trace.set_span_in_context(_with_flags(parent, TraceFlags.SAMPLED)) if parent.is_valid else None
    links = [Link(host)] if host.is_valid and host.trace_id != parent.trace_id else []
    return _span(f"process {queue}", SpanKind.CONSUMER, attributes, context, links)


@contextmanager
def graph_request(method: str, url: str) -> Iterator[Callable[[int, int], None]]:
    """A span for one request to Graph. `url` may hold ids; its query is not recorded.

    The function that it yields records the answer: its status, or 0 for none, and the number of throttled requests.
    """
    address = urlsplit(url)
    path = _MEMBERSHIP.sub(r"\1{id}", address.path)
    route = _ID.sub("{id}", path)
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "url.full": f"{address.scheme}://{address.netloc}{route}",
        "server.address": address.hostname or "",
        "server.port": address.port or 443,
        f"{NAMESPACE}path": path,
    }
    with _span(f"{method} {route}", SpanKind.CLIENT, attributes) as span:

        def record_answer(status: int, throttled: int) -> None:
            span.set_attribute("http.response.status_code", status)
            span.set_attribute(f"{NAMESPACE}throttled", throttled)
            span.set_status(StatusCode.OK if 0 < status < 400 else StatusCode.ERROR)

        with unrecorded():
            yield record_answer


@contextmanager
def unrecorded() -> Iterator[None]:
    """No span within: an unsampled parent suppresses the dozen that the SDK makes, which nobody reads."""
    with trace.use_span(_with_flags(trace.get_current_span().get_span_context(), TraceFlags.DEFAULT)):
        yield


@contextmanager
def _span(
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, str | int],
    context: Context | None = None,
    links: Sequence[Link] = (),
) -> Iterator[Span]:
    """A span that records a failure: the message of a SyncError, else only the type, since a text may hold names."""
    with _TRACER.start_as_current_span(
        name, context, kind, attributes, links, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as failure:
            text = failure.message if isinstance(failure, SyncError) else type(failure).__name__
            span.set_status(StatusCode.ERROR, without_addresses(text))
            raise


def _with_flags(span: SpanContext, flags: int) -> Span:
    """The span as a parent that decides whether its children are sampled."""
    context = SpanContext(span.trace_id, span.span_id, span.is_remote, TraceFlags(flags), span.trace_state)
    return NonRecordingSpan(context)
