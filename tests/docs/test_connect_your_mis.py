"""The blocks of docs/connect-your-mis.md work when pasted: valid settings, and senders whose webhooks are accepted."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from pydantic import TypeAdapter

from sync_core.admin.school_settings import SchoolBody
from sync_core.domain.school.settings import Mis
from sync_core.http.webhooks.schemas import read_event
from sync_core.http.webhooks.signature import signed_id
from tests.builders import NOON
from tests.cli.parsing import parse

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "connect-your-mis.md").read_text(encoding="utf-8")
EXPORT = DOCS / "export"
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ADDRESS = "https://APP/api/mis/SCHOOL/changes"


@pytest.mark.parametrize("block", BLOCKS)
def test_every_settings_block_is_valid(block: str) -> None:
    body = TypeAdapter(SchoolBody).validate_json(block)
    assert body.tenant == json.loads(block)["tenant"]


def test_the_settings_to_add_for_matching_are_valid() -> None:
    (table,) = re.findall(r"\| what the MIS has \|.*?\n\n", PAGE, re.DOTALL)
    fragments = [fragment for fragment in re.findall(r"`([^`]+)`", table) if fragment.startswith('"')]
    assert len(fragments) == 4
    for fragment in fragments:
        body = {**json.loads(BLOCKS[0]), **json.loads(f"{{{fragment}}}")}
        TypeAdapter(SchoolBody).validate_python(body)


def test_every_mis_has_a_row_and_every_kind_of_source_a_block() -> None:
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert rows[0] == "mis", "the head of the table"
    assert set(rows[1:]) == {mis.value for mis in Mis} - {"other"}
    kinds = {json.loads(block)["source"]["kind"] for block in BLOCKS}
    assert kinds == {"wonde", "oneroster", "container", "folder"}


def test_every_mis_has_a_page_that_says_how_to_get_its_data_out_and_where_that_was_seen() -> None:
    """Each page is of one MIS, names the value of its setting, and is linked from the table."""
    pages = {path.stem: path.read_text(encoding="utf-8") for path in EXPORT.glob("*.md") if path.name != "README.md"}
    linked = dict(re.findall(r"^\| \[[^]]+\]\(export/(\w+)\.md\) \| `(\w+)` \|", PAGE, re.MULTILINE))
    assert linked == {mis.value: mis.value for mis in Mis if mis is not Mis.OTHER}
    assert pages.keys() == linked.keys()
    for mis, page in pages.items():
        assert f'`"mis": "{mis}"`' in page
        sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
        assert list(sections) == ["Ways", "Steps", "What to know", "Then", "Seen on"], mis
        assert "](https://" in sections["Seen on"], mis
        assert "- Unknown: " in sections["What to know"], mis


def test_every_command_is_one_of_the_command_line() -> None:
    commands = re.findall(r"^\.venv/bin/python -m local (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command, comments=True)
        parsed = parse(words)
        assert (words[0], parsed["feed"]) == ("check", Path("export.zip"))


class _Receiver(HTTPServer):
    """Records the requests that it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers.items()), body))
        self.send_response(202)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def receiver() -> Iterator[_Receiver]:
    with _Receiver() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _python(block: str) -> list[str]:
    return [sys.executable, "-c", f"secret = {SECRET!r}\n{block}"]


def _shell(block: str) -> list[str]:
    return ["bash", "-euc", f"secret={SECRET!r}\n{block}"]


_NO_TOOLS = not (shutil.which("openssl") and shutil.which("curl"))


@pytest.mark.parametrize(
    ("fence", "run"),
    [
        pytest.param("```python\nimport json", _python, id="python"),
        pytest.param(
            "```\nbody=", _shell, id="shell", marks=pytest.mark.skipif(_NO_TOOLS, reason="openssl and curl send it")
        ),
    ],
)
def test_the_webhook_of_each_sample_sender_is_accepted(
    fence: str, run: Callable[[str], list[str]], receiver: _Receiver
) -> None:
    (rest,) = PAGE.split(fence)[1:]
    block = fence.partition("\n")[2] + rest.partition("```")[0]
    assert ADDRESS in block
    command = run(block.replace(ADDRESS, f"http://127.0.0.1:{receiver.server_port}/changes"))

    subprocess.run(command, check=True, capture_output=True, timeout=30)

    ((path, headers, body),) = receiver.requests
    assert path == "/changes"
    assert read_event(signed_id([SECRET], headers, body), NOON, body).groups == ("G1",)
