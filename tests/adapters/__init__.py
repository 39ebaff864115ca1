"""Adapters against servers that misbehave on demand."""
