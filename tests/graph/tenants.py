"""Microsoft's client for Graph, at a server of a test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bench.simulated import FixedToken
from sync_core.backoff import WaitBudget
from sync_core.clock import Clock
from sync_core.graph.client import GraphClient
from sync_core.graph.connections import graph_request_adapter
from sync_core.graph.rate_limiter import RateLimiter
from sync_core.graph.sending import Sender
from sync_core.graph.teams.class_teams import GraphTeams
from sync_core.graph.teams.limiter import TeamsLimiter
from sync_core.graph.tenant import GraphTenant
from sync_core.messaging.messages import Priority


def tenants_at(url: str, clock: Clock) -> Callable[[], GraphTenant]:
    """Makes a tenant for each delivery, with a wait budget of a minute. All share the rate limiter of their process."""
    adapter = graph_request_adapter(FixedToken("token"), f"{url}/v1.0")
    rate_limiter = RateLimiter(clock, jitter=lambda: 1.0)
    minute = timedelta(minutes=1)
    return lambda: GraphTenant(GraphClient(adapter, rate_limiter, Priority.BULK, WaitBudget(clock, minute)))


def teams_at(url: str, clock: Clock) -> Callable[[], GraphTeams]:
    """Makes the teams of a tenant for each delivery, with a wait budget of a minute. All share one limiter."""
    adapter = graph_request_adapter(FixedToken("token"), f"{url}/v1.0")
    limiter = TeamsLimiter(clock, jitter=lambda: 1.0)
    minute = timedelta(minutes=1)
    return lambda: GraphTeams(Sender(adapter, limiter, Priority.BULK, WaitBudget(clock, minute)))
