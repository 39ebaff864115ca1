"""The pure planning code, by example."""
