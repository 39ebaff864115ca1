"""Applies one change in Graph, then records it."""
