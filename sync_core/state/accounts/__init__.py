"""The accounts of tenants: packed into a few rows of Azure Tables, and cached in the worker."""
