"""A short storm in every run of the suite. `python -m tests.faults.storm` runs a long one."""

from __future__ import annotations

import pytest

from tests.faults.storm import start_storm
from tests.flow.trust import start_trust


def test_random_actions_and_messages_leave_no_class_wrong_and_no_error_unexplained(
    tmp_path_factory: pytest.TempPathFactory, storage: str
) -> None:
    with (
        start_trust(tmp_path_factory.mktemp("storm"), storage, deliveries=2) as trust,
        start_storm(trust, 1) as storm,
    ):
        storm.begin_night()
        for _ in range(10):
            storm.act()
        storm.send()
        storm.come_to_rest()
    assert storm.wrong == []
    assert sum(storm.answers.values()) > 10, storm.answers
    assert sum(times for what, times in storm.done.items() if what.startswith("message on ")) == 50
