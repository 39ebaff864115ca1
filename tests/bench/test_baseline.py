"""Both sides of the first night do the same work and cost what the results say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.baseline import plain_script
from bench.first_night import run
from bench.school import make_school
from bench.simulated import SimulatedTenant
from sync_core.domain.classes.desired import DesiredClass
from tests.forked import Forked


@pytest.fixture
def tenant() -> Iterator[SimulatedTenant]:
    with SimulatedTenant(spawn=Forked) as tenant:
        yield tenant


@pytest.fixture
def desired_classes(tenant: SimulatedTenant) -> tuple[DesiredClass, ...]:
    """Three classes whose people have accounts."""
    school = make_school(1, 3, tenant.id)
    return school.classes(tenant.add_users(school.upns))


def test_a_first_night_takes_33_writes_per_class_one_by_one_and_5_with_the_sync() -> None:
    result = run(classes=3, our_rate=5.0, plain_rate=5.0)  # raises if a tenant differs from the desired classes
    assert result.plain.spent.writes == 3 * 33
    assert result.ours.spent.writes == 3 * 5 == result.least_writes


async def test_the_script_sends_a_request_for_each_difference(
    tenant: SimulatedTenant, desired_classes: tuple[DesiredClass, ...]
) -> None:
    first, second, third = desired_classes
    stranger, pupil = sorted(third.members - first.members)[0], sorted(second.members - second.owners)[0]
    existing = [
        replace(first, members=first.members | {stranger}),
        replace(second, members=second.members - {pupil}),
        replace(third, owners=frozenset(sorted(third.owners)[:1])),
    ]
    ids = tenant.seed("S1", existing)
    assert len(tenant.differences(desired_classes)) == 3
    before = tenant.spent()
    script = plain_script(tenant.credential(), tenant.graph_url)
    assert await script.later_night(dict(zip(ids, desired_classes, strict=True))) == 3
    assert tenant.differences(desired_classes) == []
    spent = tenant.spent() - before
    assert (spent.requests, spent.writes) == (3 * 2 + 3, 3)


def test_a_tenant_that_differs_is_noticed(tenant: SimulatedTenant, desired_classes: tuple[DesiredClass, ...]) -> None:
    assert len(tenant.differences(desired_classes)) == 3
    tenant.seed("S1", desired_classes)
    assert tenant.differences(desired_classes) == []
    assert len(tenant.differences(desired_classes[1:])) == 1
