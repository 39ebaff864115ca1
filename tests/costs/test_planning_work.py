"""Planning does the same work per membership for any size of school."""

from __future__ import annotations

from bench.planning import calls_of_first_plan, make_large_school
from local.school_settings import parse_school_settings
from local.tenant.names import DOMAIN
from sync_core.domain.school.sources import FeedFolder


def test_the_work_grows_linearly_with_the_school() -> None:
    settings = parse_school_settings({"account_domain": DOMAIN}, school="S", tenant="T", source=FeedFolder("memory"))
    small, large = (
        calls_of_first_plan(*plan) for plan in ((s, settings, a) for s, a in map(make_large_school, (100, 1000)))
    )
    assert large <= 10.2 * small
