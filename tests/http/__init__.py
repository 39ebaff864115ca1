"""The admin API, the webhooks and the console over HTTP."""
