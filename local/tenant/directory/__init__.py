"""The users, groups and classes of a simulated tenant, and where they are stored."""
