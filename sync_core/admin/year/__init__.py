"""The use cases of the school year."""
