"""The workbook and the alerts ask only for what is emitted, and every alert leads to its page."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from sync_core import telemetry
from sync_core.announcements import Announcement
from sync_core.choices import FeedContainer
from sync_core.collect import Collected
from sync_core.errors import Applied, Malformed, Refused, SnapshotRejected, Transient
from sync_core.events import Cause, ChangeMembers
from sync_core.model import RunOutcome, RunRecord
from sync_core.ports import MessageFault
from tests.builders import NOON
from tests.infra.bicep import ROOT, text

QUERIES = sorted((ROOT / "infra" / "queries").glob("*.kql"))
CHANGE = ChangeMembers("T", "S1", "K1", "run", Cause.NIGHTLY)
FAULT = MessageFault("class-changes", "m", "S1|K1", 1, "what", "remedy", NOON)
DROP = FeedContainer("oak")
EMITTED: list[Callable[[], None]] = [
    *(
        lambda outcome=outcome: telemetry.school_synced(RunRecord("S1", "run", "nightly", NOON, outcome))
        for outcome in RunOutcome
    ),
    lambda: telemetry.change_settled(CHANGE, Applied(members_added=1)),
    lambda: telemetry.change_settled(CHANGE, Refused("Code", "remedy")),
    lambda: telemetry.message_failed(FAULT, Malformed("what", "remedy")),
    lambda: telemetry.webhook_accepted("S1", Announcement("msg", NOON), NOON + timedelta(seconds=1)),
    lambda: telemetry.webhook_refused("S1", Malformed("what", "remedy")),
    lambda: telemetry.access_changed("S1", "accessRevoked", paused=True),
    lambda: telemetry.drop_collected(Collected(DROP, 1, 1)),
    lambda: telemetry.drop_collected(Collected(DROP, 0, 0, SnapshotRejected("what", "remedy"))),
    lambda: telemetry.drop_collected(Collected(DROP, 0, 0, Transient("what", "remedy"))),
]


@pytest.fixture
def emitted(caplog: pytest.LogCaptureFixture) -> dict[str, dict[str, object]]:
    """The facts of each event by its name, as a log record carries them to Application Insights."""
    with caplog.at_level(logging.INFO, "mis_class_sync"):
        for emit in EMITTED:
            emit()
    found: dict[str, dict[str, object]] = {}
    for record in (one for one in caplog.records if one.name == "mis_class_sync"):
        facts = {name.removeprefix("sync."): value for name, value in vars(record).items() if name.startswith("sync.")}
        assert vars(record)["microsoft.custom_event.name"] == record.getMessage()
        found.setdefault(record.getMessage(), {}).update(facts)
    return found


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.stem)
def test_a_query_says_what_it_asks_and_asks_for_what_is_emitted(
    query: Path, emitted: dict[str, dict[str, object]]
) -> None:
    kql = query.read_text(encoding="utf-8")
    assert re.match(r"// [A-Z].*[.?]\n", kql)
    assert kql.count("(") == kql.count(")")
    names = set(re.findall(r'"((?:school|change|message|webhook|drop|mis)\.\w+)"', kql))
    assert names
    assert names <= emitted.keys()
    readings = re.findall(r'(\w+)\(Properties\["sync\.(\w+)"\]\)', kql)
    assert len(readings) == kql.count("sync.")
    for reading, name in readings:
        values = [emitted[event][name] for event in sorted(names) if name in emitted[event]]
        assert values, f"{name} is in none of {sorted(names)}"
        numbers = [isinstance(value, int) and not isinstance(value, bool) for value in values]
        assert reading in {"toint" if number else "tostring" for number in numbers}, name


def test_every_query_is_shown_or_alerts_and_no_other_is_named() -> None:
    named = re.findall(r"loadTextContent\('\.\./queries/([\w-]+)\.kql'\)", text("modules/portal.bicep"))
    assert sorted(named) == [query.stem for query in QUERIES]


def test_every_alert_leads_to_a_section_that_is_there() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", operations, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    portal = text("modules/portal.bicep")
    pages = re.findall(r"page: '([\w-]+)'", portal) + re.findall(r"operationsUrl\}#([\w-]+)'", portal)
    assert len(pages) == 9
    assert set(pages) <= anchors


def test_an_alert_looks_as_far_back_as_it_comes_often() -> None:
    """Otherwise what happens between two looks is never seen."""
    rows = re.findall(r"every: '(\w+)'\n\s+within: '(\w+)'", text("modules/portal.bicep"))
    assert len(rows) == 8
    assert all(every == within or within == "P2D" for every, within in rows)
