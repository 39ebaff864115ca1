"""A short soak with every run of the suite; `python -m tests.faults.soak` is the long one."""

from __future__ import annotations

import random

import pytest

from tests.faults.conftest import Afflicted
from tests.faults.soak import Soak

pytestmark = pytest.mark.usefixtures("tell")


def test_random_operations_end_as_expected(afflicted: Afflicted) -> None:
    soak = Soak(afflicted, random.Random(1))
    soak.run(360)
    assert soak.done["comparison"] == 3
    assert soak.done["night"] == 6
