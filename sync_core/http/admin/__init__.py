"""The admin API: callers, routes, and the shapes of what they send and read."""
