"""What a span says of a failure: the provider of spans is a process's own, and so is each test's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

_SERVER = """
import json, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, ALWAYS_ON
from sync_core import tracing
from sync_core.errors import Transient

exporter = InMemorySpanExporter()
provider = TracerProvider(sampler=ParentBased(ALWAYS_ON))
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
for line in sys.stdin:
    exporter.clear()
    try:
        exec(json.loads(line))
    except BaseException:
        pass
    spans = exporter.get_finished_spans()
    ended = [(span.name, span.status.status_code.name, span.status.description, len(span.events)) for span in spans]
    print(json.dumps(ended), flush=True)
"""

HANDLED = "with tracing.message_handled('class-changes', {properties}): {what}"
REQUESTED = (
    "with tracing.graph_request('GET', 'https://graph.example/v1.0/groups/{id}?$filter=secret') as answered: {what}"
)
GROUP = "/v1.0/groups/12345678-1234-4234-8234-123456789012"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


Spans = Callable[[str], list[list[object]]]


@pytest.fixture(scope="module")
def spans() -> Iterator[Spans]:
    """Runs a body in a process with a provider of its own, and returns the spans that ended."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def run(body: str) -> list[list[object]]:
            stdin.write(json.dumps(body) + "\n")
            stdin.flush()
            ended: list[list[object]] = json.loads(stdout.readline())
            return ended

        yield run
        stdin.close()


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        ("pass", "UNSET", None),
        ("raise Transient('the queue is away', 'wait')", "ERROR", "the queue is away"),
        ("raise ValueError('Amy Quillfeather')", "ERROR", "ValueError"),
        ("raise KeyboardInterrupt", "ERROR", "KeyboardInterrupt"),
    ],
)
@pytest.mark.parametrize(
    "properties", [{}, {"traceparent": TRACE}, {"traceparent": "junk", "tracestate": 7}, {"traceparent": b"\x00"}]
)
def test_a_message_is_a_span_that_says_how_it_failed_and_not_about_whom(
    spans: Spans, properties: dict[str, object], what: str, status: str, words: str | None
) -> None:
    body = HANDLED.format(properties=properties, what=what)
    assert spans(body) == [["process class-changes", status, words, 0]]


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        ("answered(204, 0)", "OK", None),
        ("answered(429, 1)", "ERROR", None),
        ("answered(0, 0)", "ERROR", None),
        ("raise ValueError('Amy Quillfeather')", "ERROR", "ValueError"),
    ],
)
def test_a_request_to_graph_is_a_span_without_ids_in_its_name(
    spans: Spans, what: str, status: str, words: str | None
) -> None:
    body = REQUESTED.format(id=GROUP.rpartition("/")[2], what=what)
    assert spans(body) == [["GET /v1.0/groups/{id}", status, words, 0]]


def test_what_is_done_below_a_request_to_graph_is_no_span(spans: Spans) -> None:
    inner = "trace.get_tracer('the SDK').start_span('a handler').end()"
    assert len(spans(REQUESTED.format(id="x", what=inner))) == 1
    assert len(spans(inner)) == 1
