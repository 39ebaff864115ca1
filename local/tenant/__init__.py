"""The simulated Microsoft 365 tenant: Microsoft Graph over HTTP, with its refusals, limits and lag."""
