"""The queues: the messages on them, and the way onto them."""
