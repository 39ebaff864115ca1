"""Applying one change to Graph."""
