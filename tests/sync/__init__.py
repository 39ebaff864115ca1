"""The use cases of timer, message and webhook."""
