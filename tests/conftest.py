"""What the whole suite tells at its end, and the storage emulator that parts of it share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from local.azurite import Azurite


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The faults that were injected and survived: each test of tests/faults records its own."""
    faults: Counter[str] = Counter()
    passed = {report.nodeid for report in terminalreporter.stats.get("passed", [])}
    # What a fixture says at its end is on the report of the teardown, which is listed under no name.
    for report in terminalreporter.stats.get("", []):
        if report.when == "teardown" and report.nodeid in passed:
            faults.update({name: int(times) for name, times in report.user_properties if name.startswith("fault: ")})
    if faults:
        terminalreporter.write_line(f"faults injected and survived: {sum(faults.values())}")
        for name, times in sorted(faults.items()):
            terminalreporter.write_line(f"  {times:5} {name.removeprefix('fault: ')}")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    folder = tmp_path_factory.mktemp("azurite")
    running = Azurite(folder / "data", folder / "azurite.log")
    running.start()
    yield running
    running.stop()
