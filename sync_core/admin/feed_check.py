"""Reads a school's feed, with saved settings or with others that are not saved, and plans nothing."""

from __future__ import annotations

from sync_core.domain.school import SchoolSettings
from sync_core.planning.feed_report import FeedReport, report_on
from sync_core.services import Services


async def check_feed(settings: SchoolSettings, services: Services) -> FeedReport:
    """What the source of these settings has now. Writes nothing. Raises SnapshotRejected, Transient.

    The feed is compared with the last one of the school that was accepted.
    """
    snapshot = await services.mis.snapshot(settings)
    accepted = await services.schools.accepted_statistics(settings.school)
    return report_on(snapshot, settings.limits, accepted)
