"""A short soak in every run of the suite. `python -m tests.faults.soak` runs a long one."""

from __future__ import annotations

import random

import pytest

from tests.faults.conftest import FaultyWorld
from tests.faults.soak import Soak

pytestmark = pytest.mark.usefixtures("record_faults")


def test_random_operations_end_in_the_expected_state(faulty_world: FaultyWorld) -> None:
    soak = Soak(faulty_world, random.Random(1))
    soak.run(360)
    assert soak.done["comparison"] == 3
    assert soak.done["night"] == 6
