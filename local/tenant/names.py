"""What others know of the simulated tenant. The command line, which imports no more of it, starts sooner."""

from __future__ import annotations

TENANT_ID = "7c1f8e2a-4d3b-4f6a-9b0e-2d5c8a1e7f90"
DOMAIN = "school.onmicrosoft.com"
"""The domain of the accounts that are made in the tenant."""
IDENTITY_HEADER = "local"
CLIENT_ID = "c0000000-0000-4000-8000-000000000001"
"""The multi-tenant app that trusts the managed identity."""
