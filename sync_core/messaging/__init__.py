"""The queues: their messages, how to send them, and dead letters."""
