"""How MIS feeds are read, and how bad ones are rejected."""
