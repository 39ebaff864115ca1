"""Exact counts of requests and work."""
