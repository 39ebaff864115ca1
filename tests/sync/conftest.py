"""A simulated tenant for each module, with schools that have the same people."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from bench.simulated import SimulatedTenant
from local.tenant.answers import CHOICES
from tests.costs.test_graph_counts import Scene
from tests.forked import Forked
from tests.sync.tenant_story import RESTORE, Story, grant, make_tenant_school


@pytest.fixture(scope="module")
def simulated() -> Iterator[SimulatedTenant]:
    """A tenant that granted no optional permission."""
    with SimulatedTenant(spawn=Forked) as tenant:
        grant(tenant, RESTORE)
        yield tenant


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """The numbers of the schools in the tenant."""
    return count(1)


@pytest.fixture
def story(simulated: SimulatedTenant, numbers: Iterator[int], answer: tuple[str, str]) -> Iterator[Story]:
    """A new school in a tenant with `answer`, a name and its value; the others are the defaults."""
    simulated.simulation("POST", "switches", dict([answer]))
    school = make_tenant_school(next(numbers), simulated.id)
    yield Story(Scene(simulated), school, simulated.add_users(school.upns))
    simulated.simulation("POST", "switches", {choice.name: choice.values[0] for choice in CHOICES})
    grant(simulated, RESTORE)
