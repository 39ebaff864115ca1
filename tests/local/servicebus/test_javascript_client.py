"""Microsoft's JavaScript client against the stand-in: it has another AMQP library than the Python client."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.node_packages import PACKAGES, node
from local.servicebus import connection_string
from tests.forked import Forked

_PLAIN = ("send", "batch", "schedule", "abandon", "defer", "dead", "dead-deferred", "lock", "peek")
_SESSIONS = ("sessions", "next")


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each scenario of client.js observed, all of them in one process."""
    folder = tmp_path_factory.mktemp("bus")
    queues = [
        {"Name": f"js-{name}", "Properties": {"RequiresSession": sessions}}
        for names, sessions in ((_PLAIN, False), (_SESSIONS, True))
        for name in names
    ]
    config = folder / "Config.json"
    config.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Queues": queues}]}}), encoding="utf-8")
    options = ("--config", str(config), "--port", "0", "--status-port", "0")
    child = Forked("local.servicebus", options, folder / "bus.log", {})
    try:
        request = {"connectionString": connection_string(child.ready_line()["port"]), "packages": str(PACKAGES)}
        command = [node(), Path(__file__).with_name("client.js")]
        done = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert child.alive()
    finally:
        child.stop()
    assert "connection closed" not in (folder / "bus.log").read_text(encoding="utf-8")
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (
            "send",
            {
                "body": {"a": [1, "x"]},
                "messageId": "m",
                "subject": "s",
                "correlationId": "c",
                "applicationProperties": {
                    "text": "é", "number": 7, "real": 1.5, "yes": True, "none": None, "at": 0,
                },
            },
        ),
        ("batch", list(range(50))),
        ("schedule", [["stays", "scheduled", True]]),
        ("abandon", {"kept": 1, "changed": "after", "added": True, "deliveryCount": 1}),
        ("defer", ["x", {"why": "later"}]),
        (
            "deadLetter",
            {
                "deadLetterReason": "why", "deadLetterErrorDescription": "because", "deadLetterSource": "js-dead",
                "DeadLetterReason": "why", "DeadLetterErrorDescription": "because", "kept": 1, "step": 3,
            },
        ),
        ("deferredDeadLetter", ["why", 4]),
        ("lock", True),
        ("peek", ["a", ["b", "c"]]),
        ("session", {"bodies": [1, 2, 3], "state": {"step": 2}, "renewed": True, "refused": "SessionCannotBeLocked"}),
        ("nextSession", ["N", "x"]),
        ("unknownQueue", "MessagingEntityNotFound"),
    ],
)  # fmt: skip
def test_a_scenario_of_the_javascript_client(observed: dict[str, Any], scenario: str, expected: object) -> None:
    assert observed[scenario] == expected
