"""The use cases of admins and teachers."""
