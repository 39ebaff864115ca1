"""The use cases that a timer, a message or a webhook starts."""
