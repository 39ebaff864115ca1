"""What a span records of a failure. The tests have a process of their own, because a process has one provider."""

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

HANDLED = "with tracing.message_handled('class-changes', {properties}): {code}"
REQUESTED = (
    "with tracing.graph_request('GET', 'https://graph.example/v1.0/groups/{id}?$filter=secret') as answered: {code}"
)
GROUP = "/v1.0/groups/12345678-1234-4234-8234-123456789012"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


Spans = Callable[[str], list[list[object]]]


@pytest.fixture(scope="module")
def spans() -> Iterator[Spans]:
    """A function that runs code in the process with the provider and returns the spans that ended."""
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
    ("code", "status", "description"),
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
def test_the_span_of_a_message_names_the_failure_and_no_person(
    spans: Spans, properties: dict[str, object], code: str, status: str, description: str | None
) -> None:
    body = HANDLED.format(properties=properties, code=code)
    assert spans(body) == [["process class-changes", status, description, 0]]


@pytest.mark.parametrize(
    ("code", "status", "description"),
    [
        ("answered(204, 0)", "OK", None),
        ("answered(429, 1)", "ERROR", None),
        ("answered(0, 0)", "ERROR", None),
        ("raise ValueError('Amy Quillfeather')", "ERROR", "ValueError"),
    ],
)
def test_the_span_of_a_graph_request_has_no_ids_in_its_name(
    spans: Spans, code: str, status: str, description: str | None
) -> None:
    body = REQUESTED.format(id=GROUP.rpartition("/")[2], code=code)
    assert spans(body) == [["GET /v1.0/groups/{id}", status, description, 0]]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("members/QW15IFF1aWxsZmVhdGhlcg%3D%3D", "members/{id}"),
        ("members/add", "members/add"),
        ("members", "members"),
        ("archive", "archive"),
    ],
)
def test_the_span_of_a_membership_of_a_team_has_no_text_that_graph_chose(spans: Spans, path: str, name: str) -> None:
    url = f"https://graph.example/v1.0/teams/{GROUP.rpartition('/')[2]}/{path}"
    body = f"with tracing.graph_request('DELETE', '{url}') as answered: answered(204, 0)"
    assert spans(body) == [[f"DELETE /v1.0/teams/{{id}}/{name}", "OK", None, 0]]


def test_the_sdks_spans_below_a_graph_request_are_suppressed(spans: Spans) -> None:
    inner = "trace.get_tracer('the SDK').start_span('a handler').end()"
    assert len(spans(REQUESTED.format(id="x", code=inner))) == 1
    assert len(spans(inner)) == 1
